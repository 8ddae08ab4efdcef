// Package event reads and writes facts.Event as a record.
package event

import (
	"fmt"

	"github.com/lnactor/lnactor/actors/monitor/record/onchain"
	"github.com/lnactor/lnactor/actors/monitor/record/state"
	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// Write writes an event. The result shares bytes that never change. An event of an unknown kind is a bug and panics.
func Write(e facts.Event) *pb.Event {
	p := &pb.Event{Seq: e.Seq}
	switch k := e.Kind.(type) {
	case facts.Claimed:
		p.Kind = &pb.Event_Claimed{Claimed: &pb.Claimed{
			HtlcId: k.HTLCID, Hash: k.Hash[:], Source: state.Source(&k.Source), AmountMsat: k.AmountMsat, Preimage: k.Preimage[:], OnChain: k.OnChain,
		}}
	case facts.Failed:
		p.Kind = &pb.Event_Failed{Failed: &pb.Failed{
			HtlcId: k.HTLCID, Hash: k.Hash[:], Source: state.Source(&k.Source), AmountMsat: k.AmountMsat,
			Resolution: state.Resolution(&k.Resolution), Local: uint32(k.Local),
		}}
	case facts.HTLCAccepted:
		p.Kind = &pb.Event_HtlcAccepted{HtlcAccepted: &pb.HTLCAccepted{
			HtlcId: k.HTLCID, AmountMsat: k.AmountMsat, Hash: k.Hash[:], CltvExpiry: k.CLTVExpiry, Onion: k.Onion,
			OverDust: k.OverDust, Unburied: k.Unburied,
		}}
	case facts.CommitmentTxConfirmed:
		p.Kind = &pb.Event_CommitmentTxConfirmed{CommitmentTxConfirmed: &pb.CommitmentTxConfirmed{
			Txid: k.Txid[:], Height: k.Height, Spend: uint32(k.Spend),
		}}
	case facts.HolderForceClosed:
		p.Kind = &pb.Event_HolderForceClosed{HolderForceClosed: state.ForceClosed(k.Reason, k.Detail)}
	case facts.SpendableOutputs:
		p.Kind = &pb.Event_SpendableOutputs{SpendableOutputs: spendable(k.Outputs)}
	case facts.ChannelPending:
		p.Kind = &pb.Event_ChannelPending{ChannelPending: &pb.Nothing{}}
	case facts.ChannelReady:
		p.Kind = &pb.Event_ChannelReady{ChannelReady: &pb.Nothing{}}
	default:
		panic(fmt.Sprintf("event: %T has no record", k))
	}
	return p
}

// Read is the inverse of Write.
func Read(r *take.Reader, p *pb.Event) facts.Event {
	e := facts.Event{Seq: p.GetSeq()}
	switch k := p.GetKind().(type) {
	case *pb.Event_Claimed:
		c := k.Claimed
		e.Kind = facts.Claimed{
			HTLCID: c.GetHtlcId(), Hash: r.B32("hash", c.GetHash()), Source: source(r, c.GetSource()), AmountMsat: c.GetAmountMsat(),
			Preimage: r.B32("preimage", c.GetPreimage()), OnChain: c.GetOnChain(),
		}
	case *pb.Event_Failed:
		f := k.Failed
		v := facts.Failed{
			HTLCID: f.GetHtlcId(), Hash: r.B32("hash", f.GetHash()), Source: source(r, f.GetSource()), AmountMsat: f.GetAmountMsat(),
			Local: facts.FailCode(r.U8("local", f.GetLocal(), uint32(facts.OutcomeUnknown))),
		}
		if res := state.ReadResolution(r, f.GetResolution()); res != nil {
			v.Resolution = *res
		}
		e.Kind = v
	case *pb.Event_HtlcAccepted:
		a := k.HtlcAccepted
		v := facts.HTLCAccepted{
			HTLCID: a.GetHtlcId(), AmountMsat: a.GetAmountMsat(), Hash: r.B32("hash", a.GetHash()), CLTVExpiry: a.GetCltvExpiry(),
			OverDust: a.GetOverDust(), Unburied: a.GetUnburied(),
		}
		if len(a.GetOnion()) > 0 {
			v.Onion = a.GetOnion()
		}
		e.Kind = v
	case *pb.Event_CommitmentTxConfirmed:
		s := k.CommitmentTxConfirmed
		e.Kind = facts.CommitmentTxConfirmed{
			Txid: r.B32("txid", s.GetTxid()), Height: s.GetHeight(), Spend: facts.SpendKind(r.U8("spend", s.GetSpend(), uint32(facts.SpendMutualClose))),
		}
	case *pb.Event_HolderForceClosed:
		e.Kind = facts.HolderForceClosed(state.ReadForceClosed(r, k.HolderForceClosed))
	case *pb.Event_SpendableOutputs:
		e.Kind = facts.SpendableOutputs{Outputs: readSpendable(r, k.SpendableOutputs.GetOutputs())}
	case *pb.Event_ChannelPending:
		e.Kind = facts.ChannelPending{}
	case *pb.Event_ChannelReady:
		e.Kind = facts.ChannelReady{}
	default:
		r.Fail("an event of no known kind")
	}
	return e
}

func source(r *take.Reader, p *pb.Source) ln.Source {
	s := state.ReadSource(r, p)
	if s == nil {
		r.Fail("an event without a source")
		return ln.Source{}
	}
	return *s
}

func spendable(outs []facts.SpendableOutput) *pb.SpendableOutputs {
	p := &pb.SpendableOutputs{}
	for i := range outs {
		o := &outs[i]
		q := &pb.SpendableOutput{
			Output: onchain.OutPoint(o.Output), ValueSat: o.ValueSat, Kind: uint32(o.Kind), KeyIndex: o.KeyIndex,
			WitnessScript: o.WitnessScript, Sequence: o.Sequence,
		}
		if o.Point != [33]byte{} {
			q.Point = o.Point[:]
		}
		p.Outputs = append(p.Outputs, q)
	}
	return p
}

func readSpendable(r *take.Reader, from []*pb.SpendableOutput) (outs []facts.SpendableOutput) {
	for _, p := range from {
		o := facts.SpendableOutput{
			Output: onchain.ReadOutPoint(r, p.GetOutput()), ValueSat: p.GetValueSat(), KeyIndex: p.GetKeyIndex(),
			Kind:          facts.SpendableKind(r.U8("kind", p.GetKind(), uint32(facts.SpendableAnchor))),
			WitnessScript: p.GetWitnessScript(), Sequence: p.GetSequence(),
		}
		if len(p.GetPoint()) > 0 {
			o.Point = r.B33("point", p.GetPoint())
		}
		outs = append(outs, o)
	}
	return outs
}
