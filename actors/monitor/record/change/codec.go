// Package change reads and writes facts.Update as a record.
package change

import (
	"fmt"

	"github.com/lnactor/lnactor/actors/monitor/record/onchain"
	"github.com/lnactor/lnactor/actors/monitor/record/state"
	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/facts"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// Write writes an update. The result shares bytes that never change. An update of an unknown kind is a bug and panics.
func Write(u facts.Update) *pb.Update {
	p := &pb.Update{}
	switch u := u.(type) {
	case facts.Opened:
		p.Kind = &pb.Update_Opened{Opened: &pb.Opened{
			Static: state.Static(u.Static), HolderMsat: u.HolderMsat, CounterpartyMsat: u.CounterpartyMsat, FeePerKw: u.FeePerKw,
			CounterpartyPoint: u.CounterpartyPoint[:], HolderSig: state.Sig(u.HolderSig), Chain: state.Block(u.ChainHeight, u.ChainHash),
		}}
	case facts.FundingConfirmed:
		p.Kind = &pb.Update_FundingConfirmed{FundingConfirmed: &pb.FundingConfirmed{Height: u.Height, TxIndex: u.TxIndex}}
	case facts.FundingUnconfirmed:
		p.Kind = &pb.Update_FundingUnconfirmed{FundingUnconfirmed: &pb.Nothing{}}
	case facts.HolderReady:
		p.Kind = &pb.Update_HolderReady{HolderReady: &pb.Nothing{}}
	case facts.CounterpartyReady:
		p.Kind = &pb.Update_CounterpartyReady{CounterpartyReady: &pb.CounterpartyReady{NextPoint: u.NextPoint[:], Alias: u.Alias}}
	case facts.CounterpartyCommitment:
		p.Kind = &pb.Update_CounterpartyCommitment{CounterpartyCommitment: &pb.CounterpartyCommitment{
			Adds: htlcs(u.Adds), Removes: u.Removes, FeePerKw: u.FeePerKw,
		}}
	case facts.HolderCommitment:
		p.Kind = &pb.Update_HolderCommitment{HolderCommitment: &pb.HolderCommitment{
			Sig: state.Sig(u.Sig), HtlcSigs: state.Sigs(u.HTLCSigs), Adds: htlcs(u.Adds), Removes: removals(u.Removes), FeePerKw: u.FeePerKw,
		}}
	case facts.Revocation:
		p.Kind = &pb.Update_Revocation{Revocation: &pb.Revocation{Secret: u.Secret[:], NextPoint: u.NextPoint[:]}}
	case facts.PreimageLearned:
		p.Kind = &pb.Update_PreimageLearned{PreimageLearned: &pb.PreimageLearned{HtlcId: u.HTLCID, Preimage: u.Preimage[:], OnChain: u.OnChain}}
	case facts.Decided:
		p.Kind = &pb.Update_Decided{Decided: &pb.Decided{HtlcId: u.HTLCID, Resolution: state.Resolution(&u.Resolution)}}
	case facts.HolderShutdown:
		p.Kind = &pb.Update_HolderShutdown{HolderShutdown: u.Script}
	case facts.CounterpartyShutdown:
		p.Kind = &pb.Update_CounterpartyShutdown{CounterpartyShutdown: u.Script}
	case facts.ClosingProposed:
		p.Kind = &pb.Update_ClosingProposed{ClosingProposed: u.FeeSat}
	case facts.MutualClosed:
		p.Kind = &pb.Update_MutualClosed{MutualClosed: take.TxBytes(u.Tx)}
	case facts.ForceClosed:
		p.Kind = &pb.Update_ForceClosed{ForceClosed: state.ForceClosed(u.Reason, u.Detail)}
	case facts.ProvenBehind:
		p.Kind = &pb.Update_ProvenBehind{ProvenBehind: &pb.Nothing{}}
	case facts.Restored:
		p.Kind = &pb.Update_Restored{Restored: &pb.Nothing{}}
		if u.Seqs != 0 {
			p.Kind = &pb.Update_RestoredAhead{RestoredAhead: u.Seqs}
		}
	case facts.Verified:
		p.Kind = &pb.Update_Verified{Verified: &pb.Verified{Trusted: u.Trusted}}
	case facts.BlockSeen:
		p.Kind = &pb.Update_BlockSeen{BlockSeen: state.Block(u.Height, u.Hash)}
	case facts.FundingSpent:
		p.Kind = &pb.Update_FundingSpent{FundingSpent: state.FundingSpent(&u)}
	case facts.FundingUnspent:
		p.Kind = &pb.Update_FundingUnspent{FundingUnspent: &pb.Nothing{}}
	case facts.RevokedRead:
		p.Kind = &pb.Update_RevokedRead{RevokedRead: onchain.Revoked(&u.Revoked)}
	case facts.OutputSpent:
		p.Kind = &pb.Update_OutputSpent{OutputSpent: onchain.OutputSpent(&u)}
	case facts.OutputUnspent:
		p.Kind = &pb.Update_OutputUnspent{OutputUnspent: onchain.OutPoint(u.Output)}
	case facts.ClaimSigned:
		p.Kind = &pb.Update_ClaimSigned{ClaimSigned: onchain.ClaimSigned(&u)}
	case facts.ClaimEnded:
		p.Kind = &pb.Update_ClaimEnded{ClaimEnded: u.ID}
	case facts.HTLCEnded:
		p.Kind = &pb.Update_HtlcEnded{HtlcEnded: onchain.HTLCEnded(&u)}
	case facts.HTLCFailedEarly:
		p.Kind = &pb.Update_HtlcFailedEarly{HtlcFailedEarly: u.HTLCID}
	case facts.OutputsSpendable:
		p.Kind = &pb.Update_OutputsSpendable{OutputsSpendable: onchain.OutPoints(u.Outputs)}
	case facts.PolicySet:
		p.Kind = &pb.Update_PolicySet{PolicySet: state.Policy(&u.Policy)}
	default:
		panic(fmt.Sprintf("change: %T has no record", u))
	}
	return p
}

// Read is the inverse of Write.
func Read(r *take.Reader, p *pb.Update) facts.Update {
	switch k := p.GetKind().(type) {
	case *pb.Update_Opened:
		o := k.Opened
		u := facts.Opened{
			Static: state.ReadStatic(r, o.GetStatic()), HolderMsat: o.GetHolderMsat(), CounterpartyMsat: o.GetCounterpartyMsat(),
			FeePerKw: o.GetFeePerKw(), CounterpartyPoint: r.B33("counterparty_point", o.GetCounterpartyPoint()),
			HolderSig: r.Sig("holder_sig", o.GetHolderSig()),
		}
		u.ChainHeight, u.ChainHash = state.ReadBlock(r, o.GetChain())
		return u
	case *pb.Update_FundingConfirmed:
		return facts.FundingConfirmed{Height: k.FundingConfirmed.GetHeight(), TxIndex: k.FundingConfirmed.GetTxIndex()}
	case *pb.Update_FundingUnconfirmed:
		return facts.FundingUnconfirmed{}
	case *pb.Update_HolderReady:
		return facts.HolderReady{}
	case *pb.Update_CounterpartyReady:
		c := k.CounterpartyReady
		return facts.CounterpartyReady{NextPoint: r.B33("next_point", c.GetNextPoint()), Alias: c.GetAlias()}
	case *pb.Update_CounterpartyCommitment:
		c := k.CounterpartyCommitment
		return facts.CounterpartyCommitment{Adds: readHTLCs(r, c.GetAdds()), Removes: c.GetRemoves(), FeePerKw: c.GetFeePerKw()}
	case *pb.Update_HolderCommitment:
		c := k.HolderCommitment
		return facts.HolderCommitment{
			Sig: r.Sig("sig", c.GetSig()), HTLCSigs: state.ReadSigs(r, c.GetHtlcSigs()), Adds: readHTLCs(r, c.GetAdds()),
			Removes: readRemovals(r, c.GetRemoves()), FeePerKw: c.GetFeePerKw(),
		}
	case *pb.Update_Revocation:
		return facts.Revocation{Secret: r.B32("secret", k.Revocation.GetSecret()), NextPoint: r.B33("next_point", k.Revocation.GetNextPoint())}
	case *pb.Update_PreimageLearned:
		return facts.PreimageLearned{HTLCID: k.PreimageLearned.GetHtlcId(), Preimage: r.B32("preimage", k.PreimageLearned.GetPreimage()), OnChain: k.PreimageLearned.GetOnChain()}
	case *pb.Update_Decided:
		return facts.Decided{HTLCID: k.Decided.GetHtlcId(), Resolution: resolution(r, k.Decided.GetResolution())}
	case *pb.Update_HolderShutdown:
		return facts.HolderShutdown{Script: k.HolderShutdown}
	case *pb.Update_CounterpartyShutdown:
		return facts.CounterpartyShutdown{Script: k.CounterpartyShutdown}
	case *pb.Update_ClosingProposed:
		return facts.ClosingProposed{FeeSat: k.ClosingProposed}
	case *pb.Update_MutualClosed:
		return facts.MutualClosed{Tx: r.Tx("mutual_closed", k.MutualClosed)}
	case *pb.Update_ForceClosed:
		return state.ReadForceClosed(r, k.ForceClosed)
	case *pb.Update_ProvenBehind:
		return facts.ProvenBehind{}
	case *pb.Update_Restored:
		return facts.Restored{}
	case *pb.Update_RestoredAhead:
		return facts.Restored{Seqs: k.RestoredAhead}
	case *pb.Update_Verified:
		return facts.Verified{Trusted: k.Verified.GetTrusted()}
	case *pb.Update_BlockSeen:
		var u facts.BlockSeen
		u.Height, u.Hash = state.ReadBlock(r, k.BlockSeen)
		return u
	case *pb.Update_FundingSpent:
		return state.ReadFundingSpent(r, k.FundingSpent)
	case *pb.Update_FundingUnspent:
		return facts.FundingUnspent{}
	case *pb.Update_RevokedRead:
		return facts.RevokedRead{Revoked: onchain.ReadRevoked(r, k.RevokedRead)}
	case *pb.Update_OutputSpent:
		return onchain.ReadOutputSpent(r, k.OutputSpent)
	case *pb.Update_OutputUnspent:
		return facts.OutputUnspent{Output: onchain.ReadOutPoint(r, k.OutputUnspent)}
	case *pb.Update_ClaimSigned:
		return onchain.ReadClaimSigned(r, k.ClaimSigned)
	case *pb.Update_ClaimEnded:
		return facts.ClaimEnded{ID: k.ClaimEnded}
	case *pb.Update_HtlcEnded:
		return facts.HTLCEnded{Outbound: k.HtlcEnded.GetOutbound(), HTLCID: k.HtlcEnded.GetHtlcId(), Fulfilled: k.HtlcEnded.GetFulfilled()}
	case *pb.Update_HtlcFailedEarly:
		return facts.HTLCFailedEarly{HTLCID: k.HtlcFailedEarly}
	case *pb.Update_OutputsSpendable:
		return facts.OutputsSpendable{Outputs: onchain.ReadOutPoints(r, k.OutputsSpendable)}
	case *pb.Update_PolicySet:
		return facts.PolicySet{Policy: state.ReadPolicy(r, k.PolicySet)}
	}
	r.Fail("an update of no known kind")
	return nil
}

func htlcs(from []facts.HTLC) (to []*pb.HTLC) {
	for i := range from {
		to = append(to, state.HTLC(&from[i]))
	}
	return to
}

func readHTLCs(r *take.Reader, from []*pb.HTLC) (to []facts.HTLC) {
	for _, p := range from {
		to = append(to, state.ReadHTLC(r, p))
	}
	return to
}

func removals(from []facts.Removal) (to []*pb.Removal) {
	for i := range from {
		to = append(to, &pb.Removal{HtlcId: from[i].HTLCID, Resolution: state.Resolution(&from[i].Resolution)})
	}
	return to
}

func readRemovals(r *take.Reader, from []*pb.Removal) (to []facts.Removal) {
	for _, p := range from {
		to = append(to, facts.Removal{HTLCID: p.GetHtlcId(), Resolution: resolution(r, p.GetResolution())})
	}
	return to
}

func resolution(r *take.Reader, p *pb.Resolution) facts.Resolution {
	v := state.ReadResolution(r, p)
	if v == nil {
		r.Fail("a resolution is missing")
		return facts.Resolution{}
	}
	return *v
}
