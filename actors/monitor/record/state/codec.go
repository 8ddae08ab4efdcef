// Package state reads and writes facts.Channel and its parts as records.
package state

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/monitor/record/onchain"
	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// Channel writes a channel. The result shares bytes that never change.
func Channel(c *facts.Channel) *pb.Channel {
	p := &pb.Channel{
		Static: Static(c.Static), HolderNumber: c.HolderNumber, HolderSig: Sig(c.HolderSig), HolderHtlcSigs: Sigs(c.HolderHTLCSigs),
		CounterpartyNumber: c.CounterpartyNumber, CounterpartyPoint: take.Slice(c.CounterpartyPoint[:]),
		Unrevoked: c.Unrevoked, CommitmentAfterRaa: c.CommitmentAfterRAA, Secrets: facts.EncodeSecrets(c.Secrets),
		HolderMsat: c.HolderMsat, CounterpartyMsat: c.CounterpartyMsat, FeePerKw: c.FeePerKw,
		NextOutboundHtlcId: c.NextOutboundHTLCID, NextInboundHtlcId: c.NextInboundHTLCID,
		HolderReady: c.HolderReady, Reburying: c.Reburying, CounterpartyReady: c.CounterpartyReady, CounterpartyAlias: c.CounterpartyAlias,
		HolderShutdown: c.HolderShutdown, CounterpartyShutdown: c.CounterpartyShutdown, ClosingFeeSat: c.ClosingFeeSat,
		MutualClose: take.TxBytes(c.MutualClose), ProvenBehind: c.ProvenBehind, Unverified: c.Unverified, WasSpent: c.WasSpent, WasFunded: c.WasFunded, Seen: Block(c.Height, c.BlockHash),
		OnChain: onchain.Write(&c.OnChain),
	}
	if !c.Policy.IsDefault() {
		p.Policy = Policy(&c.Policy)
	}
	if c.CounterpartyNextPoint != [33]byte{} {
		p.CounterpartyNextPoint = take.Slice(c.CounterpartyNextPoint[:])
	}
	for _, f := range c.FeeUpdates {
		p.FeeUpdates = append(p.FeeUpdates, &pb.FeeUpdate{FeePerKw: f.FeePerKw, State: uint32(f.State)})
	}
	for _, h := range facts.Sorted(c.Outbound) {
		p.Outbound = append(p.Outbound, HTLC(h))
	}
	for _, h := range facts.Sorted(c.Inbound) {
		p.Inbound = append(p.Inbound, HTLC(h))
	}
	if c.Funding != nil {
		p.Funding = &pb.FundingConfirmed{Height: c.Funding.Height, TxIndex: c.Funding.TxIndex}
	}
	if c.ForceClose != nil {
		p.ForceClose = ForceClosed(c.ForceClose.Reason, c.ForceClose.Detail)
	}
	if c.Spent != nil {
		p.Spent = FundingSpent(c.Spent)
	}
	return p
}

// ReadChannel is the inverse of Channel.
func ReadChannel(r *take.Reader, p *pb.Channel) *facts.Channel {
	if p == nil {
		r.Fail("no channel")
		return nil
	}
	c := &facts.Channel{
		Static: ReadStatic(r, p.Static), HolderNumber: p.HolderNumber, HolderSig: r.Sig("holder_sig", p.HolderSig),
		HolderHTLCSigs: ReadSigs(r, p.HolderHtlcSigs), CounterpartyNumber: p.CounterpartyNumber,
		CounterpartyPoint: r.B33("counterparty_point", p.CounterpartyPoint),
		Unrevoked:         p.Unrevoked, CommitmentAfterRAA: p.CommitmentAfterRaa,
		HolderMsat: p.HolderMsat, CounterpartyMsat: p.CounterpartyMsat, FeePerKw: p.FeePerKw,
		Outbound: make(map[uint64]*facts.HTLC, len(p.Outbound)), Inbound: make(map[uint64]*facts.HTLC, len(p.Inbound)),
		NextOutboundHTLCID: p.NextOutboundHtlcId, NextInboundHTLCID: p.NextInboundHtlcId,
		HolderReady: p.HolderReady, Reburying: p.Reburying, CounterpartyReady: p.CounterpartyReady, CounterpartyAlias: p.CounterpartyAlias,
		HolderShutdown: optional(p.HolderShutdown), CounterpartyShutdown: optional(p.CounterpartyShutdown), ClosingFeeSat: p.ClosingFeeSat,
		MutualClose: r.Tx("mutual_close", p.MutualClose), ProvenBehind: p.ProvenBehind, Unverified: p.Unverified, WasSpent: p.WasSpent, WasFunded: p.WasFunded,
		OnChain: onchain.Read(r, p.OnChain),
	}
	c.Height, c.BlockHash = ReadBlock(r, p.Seen)
	if len(p.CounterpartyNextPoint) > 0 {
		c.CounterpartyNextPoint = r.B33("counterparty_next_point", p.CounterpartyNextPoint)
	}
	secrets, err := facts.DecodeSecrets(p.Secrets)
	if err != nil {
		r.Fail("secrets: %w", err)
	}
	c.Secrets = secrets
	for _, f := range p.FeeUpdates {
		c.FeeUpdates = append(c.FeeUpdates, facts.FeeUpdate{FeePerKw: f.FeePerKw, State: readState(r, f.State)})
	}
	readHTLCs(r, "outbound", p.Outbound, c.Outbound)
	readHTLCs(r, "inbound", p.Inbound, c.Inbound)
	if f := p.Funding; f != nil {
		c.Funding = &facts.FundingConfirmed{Height: f.Height, TxIndex: f.TxIndex}
	}
	if f := p.ForceClose; f != nil {
		v := ReadForceClosed(r, f)
		c.ForceClose = &v
	}
	if p.Policy != nil {
		c.Policy = ReadPolicy(r, p.Policy)
	}
	if s := p.Spent; s != nil {
		v := ReadFundingSpent(r, s)
		c.Spent = &v
	}
	return c
}

func readHTLCs(r *take.Reader, what string, from []*pb.HTLC, to map[uint64]*facts.HTLC) {
	for _, p := range from {
		h := ReadHTLC(r, p)
		if readState(r, p.GetState()); h.State == 0 {
			r.Fail("%s htlc %d has no state", what, h.ID)
		}
		if what == "outbound" && h.Source == nil {
			r.Fail("outbound htlc %d has no source", h.ID)
		}
		if to[h.ID] != nil {
			r.Fail("%s htlc %d is there twice", what, h.ID)
		}
		to[h.ID] = &h
	}
}

// Static writes what never changes.
func Static(s *facts.Static) *pb.Static {
	t := &s.Tx
	return &pb.Static{
		ChannelId: take.Slice(s.ID[:]), TemporaryId: take.Slice(s.TemporaryID[:]), Peer: take.Slice(s.Peer[:]), KeyIndex: s.KeyIndex,
		FundingTxid: take.Slice(t.Funding.Hash[:]), FundingIndex: t.Funding.Index,
		CapacitySat: uint64(t.Capacity), HolderIsFunder: t.HolderIsFunder,
		Holder: side(&t.Holder, &s.Holder), Counterparty: side(&t.Counterparty, &s.Counterparty),
		MinDepth: s.MinDepth, Announce: s.Announce, Alias: s.Alias, FundingTx: s.FundingTx, OpenedHeight: s.OpenedHeight,
		HolderDustLimitSat: uint64(t.HolderDustLimit), CounterpartyDustLimitSat: uint64(t.CounterpartyDustLimit),
		HolderToSelfDelay: uint32(t.HolderToSelfDelay), CounterpartyToSelfDelay: uint32(t.CounterpartyToSelfDelay),
	}
}

// ReadStatic is the inverse of Static.
func ReadStatic(r *take.Reader, p *pb.Static) *facts.Static {
	if p == nil {
		r.Fail("no static part")
		return nil
	}
	s := &facts.Static{
		ID: r.B32("channel_id", p.ChannelId), TemporaryID: r.B32("temporary_id", p.TemporaryId), Peer: r.B33("peer", p.Peer), KeyIndex: p.KeyIndex,
		MinDepth: p.MinDepth, Announce: p.Announce, Alias: p.Alias, FundingTx: optional(p.FundingTx), OpenedHeight: p.OpenedHeight,
		Tx: commitment.Static{
			Funding:         wire.OutPoint{Hash: r.B32("funding_txid", p.FundingTxid), Index: p.FundingIndex},
			Capacity:        btcutil.Amount(r.Int64("capacity_sat", p.CapacitySat)),
			HolderIsFunder:  p.HolderIsFunder,
			HolderDustLimit: btcutil.Amount(r.Int64("holder_dust_limit_sat", p.HolderDustLimitSat)), HolderToSelfDelay: r.U16("holder_to_self_delay", p.HolderToSelfDelay),
			CounterpartyDustLimit:   btcutil.Amount(r.Int64("counterparty_dust_limit_sat", p.CounterpartyDustLimitSat)),
			CounterpartyToSelfDelay: r.U16("counterparty_to_self_delay", p.CounterpartyToSelfDelay),
		},
	}
	s.Tx.Holder, s.Holder = readSide(r, p.Holder)
	s.Tx.Counterparty, s.Counterparty = readSide(r, p.Counterparty)
	if r.Err() == nil {
		if err := s.Tx.Check(); err != nil {
			r.Fail("static part: %w", err)
		}
	}
	return s
}

func side(b *commitment.Basepoints, p *facts.Params) *pb.Side {
	key := func(k *btcec.PublicKey) []byte {
		if k == nil {
			return nil
		}
		return k.SerializeUncompressed()
	}
	return &pb.Side{
		FundingKey: key(b.Funding), RevocationBasepoint: key(b.Revocation), PaymentBasepoint: key(b.Payment),
		DelayedPaymentBasepoint: key(b.DelayedPayment), HtlcBasepoint: key(b.HTLC),
		DustLimitSat: p.DustLimitSat, MaxHtlcValueInFlightMsat: p.MaxHTLCValueInFlightMsat, ReserveSat: p.ReserveSat,
		HtlcMinimumMsat: p.HTLCMinimumMsat, ToSelfDelay: uint32(p.ToSelfDelay), MaxAcceptedHtlcs: uint32(p.MaxAcceptedHTLCs),
		UpfrontShutdownScript: p.UpfrontShutdownScript,
	}
}

func readSide(r *take.Reader, p *pb.Side) (b commitment.Basepoints, q facts.Params) {
	b = commitment.Basepoints{
		Funding: r.PubKey("funding_key", p.GetFundingKey()), Revocation: r.PubKey("revocation_basepoint", p.GetRevocationBasepoint()),
		Payment: r.PubKey("payment_basepoint", p.GetPaymentBasepoint()), HTLC: r.PubKey("htlc_basepoint", p.GetHtlcBasepoint()),
		DelayedPayment: r.PubKey("delayed_payment_basepoint", p.GetDelayedPaymentBasepoint()),
	}
	q = facts.Params{
		DustLimitSat: p.GetDustLimitSat(), MaxHTLCValueInFlightMsat: p.GetMaxHtlcValueInFlightMsat(), ReserveSat: p.GetReserveSat(),
		HTLCMinimumMsat: p.GetHtlcMinimumMsat(), ToSelfDelay: r.U16("to_self_delay", p.GetToSelfDelay()),
		MaxAcceptedHTLCs:      r.U16("max_accepted_htlcs", p.GetMaxAcceptedHtlcs()),
		UpfrontShutdownScript: optional(p.GetUpfrontShutdownScript()),
	}
	return b, q
}

// HTLC writes an HTLC.
func HTLC(h *facts.HTLC) *pb.HTLC {
	p := &pb.HTLC{
		Id: h.ID, AmountMsat: h.AmountMsat, Hash: take.Slice(h.Hash[:]), CltvExpiry: h.CLTVExpiry, State: uint32(h.State), Onion: h.Onion,
		Source: Source(h.Source), Resolution: Resolution(h.Resolution), Fate: uint32(h.Fate), FailedEarly: h.FailedEarly,
	}
	if h.Preimage != nil {
		p.Preimage = h.Preimage[:]
	}
	return p
}

// ReadHTLC is the inverse of HTLC.
func ReadHTLC(r *take.Reader, p *pb.HTLC) facts.HTLC {
	return facts.HTLC{
		ID: p.GetId(), AmountMsat: p.GetAmountMsat(), Hash: r.B32("hash", p.GetHash()), CLTVExpiry: p.GetCltvExpiry(),
		State: readState(r, p.GetState()), Onion: optional(p.GetOnion()), Source: ReadSource(r, p.GetSource()),
		Preimage: (*ln.Preimage)(r.Optional32("preimage", p.GetPreimage())), Resolution: ReadResolution(r, p.GetResolution()),
		Fate: facts.Fate(r.U8("fate", p.GetFate(), uint32(facts.FateFailed))), FailedEarly: p.GetFailedEarly(),
	}
}

func readState(r *take.Reader, v uint32) facts.State {
	s := facts.State(r.U8("state", v, 255))
	if s != 0 && s.String() == "unknown" {
		r.Fail("state %d is unknown", v)
		return 0
	}
	return s
}

// Resolution writes a resolution; nil for nil.
func Resolution(v *facts.Resolution) *pb.Resolution {
	if v == nil {
		return nil
	}
	p := &pb.Resolution{Settled: v.Settled}
	switch {
	case v.Preimage != nil:
		p.How = &pb.Resolution_Preimage{Preimage: v.Preimage[:]}
	case v.Malformed != nil:
		p.How = &pb.Resolution_Malformed{Malformed: &pb.Malformed{
			OnionSha256: v.Malformed.OnionSHA256[:], Code: uint32(v.Malformed.Code),
		}}
	case v.Reason != nil:
		p.How = &pb.Resolution_Reason{Reason: v.Reason}
	}
	for i := range v.Parts {
		p.Parts = append(p.Parts, &pb.Part{ChannelId: v.Parts[i].Channel[:], HtlcId: v.Parts[i].HTLCID})
	}
	return p
}

// ReadResolution is the inverse of Resolution.
func ReadResolution(r *take.Reader, p *pb.Resolution) *facts.Resolution {
	if p == nil {
		return nil
	}
	v := &facts.Resolution{Settled: p.GetSettled()}
	switch how := p.How.(type) {
	case *pb.Resolution_Preimage:
		preimage := ln.Preimage(r.B32("preimage", how.Preimage))
		v.Preimage = &preimage
	case *pb.Resolution_Malformed:
		v.Malformed = &facts.Malformed{
			OnionSHA256: r.B32("onion_sha256", how.Malformed.GetOnionSha256()), Code: r.U16("code", how.Malformed.GetCode()),
		}
	case *pb.Resolution_Reason:
		if v.Reason = how.Reason; v.Reason == nil {
			v.Reason = []byte{} // a peer may fail an HTLC without a word
		}
	}
	for _, part := range p.Parts {
		v.Parts = append(v.Parts, facts.Part{Channel: r.B32("channel_id", part.GetChannelId()), HTLCID: part.GetHtlcId()})
	}
	return v
}

// Source writes a source; nil for nil.
func Source(s *ln.Source) *pb.Source {
	switch {
	case s == nil:
		return nil
	case s.Payment != nil:
		p := &pb.PaymentSource{
			PaymentId: s.Payment.PaymentID[:], PartId: s.Payment.PartID, SessionKey: s.Payment.SessionKey[:], TotalMsat: s.Payment.TotalMsat,
			PartMsat: s.Payment.PartMsat,
		}
		for i := range s.Payment.Path {
			p.Path = append(p.Path, s.Payment.Path[i][:])
		}
		return &pb.Source{Of: &pb.Source_Payment{Payment: p}}
	case s.Forward != nil:
		return &pb.Source{Of: &pb.Source_Forward{Forward: &pb.ForwardSource{
			ChannelId: s.Forward.Channel[:], HtlcId: s.Forward.HTLCID, SharedSecret: s.Forward.SharedSecret[:],
			CltvExpiry: s.Forward.CLTVExpiry, AmountMsat: s.Forward.AmountMsat,
		}}}
	}
	return &pb.Source{}
}

// ReadSource is the inverse of Source.
func ReadSource(r *take.Reader, p *pb.Source) *ln.Source {
	if p == nil {
		return nil
	}
	switch of := p.Of.(type) {
	case *pb.Source_Payment:
		q := of.Payment
		s := &ln.PaymentSource{
			PaymentID: r.B32("payment_id", q.GetPaymentId()), PartID: q.GetPartId(), SessionKey: r.B32("session_key", q.GetSessionKey()),
			TotalMsat: q.GetTotalMsat(), PartMsat: q.GetPartMsat(),
		}
		if path := q.GetPath(); len(path) > 0 {
			s.Path = make([]ln.NodeID, len(path))
			for i, hop := range path {
				s.Path[i] = r.B33("path", hop)
			}
		}
		return &ln.Source{Payment: s}
	case *pb.Source_Forward:
		q := of.Forward
		return &ln.Source{Forward: &ln.ForwardSource{
			Channel: r.B32("channel_id", q.GetChannelId()), HTLCID: q.GetHtlcId(), SharedSecret: r.B32("shared_secret", q.GetSharedSecret()),
			CLTVExpiry: q.GetCltvExpiry(), AmountMsat: q.GetAmountMsat(),
		}}
	}
	r.Fail("a source of no known kind")
	return nil
}

// Block writes a position in the chain.
func Block(height uint32, hash chainhash.Hash) *pb.Block {
	return &pb.Block{Height: height, Hash: take.Slice(hash[:])}
}

// ReadBlock is the inverse of Block.
func ReadBlock(r *take.Reader, p *pb.Block) (uint32, chainhash.Hash) {
	return p.GetHeight(), r.B32("block hash", p.GetHash())
}

// ForceClosed writes the decision to close.
func ForceClosed(reason facts.CloseReason, detail string) *pb.ForceClosed {
	return &pb.ForceClosed{Reason: uint32(reason), Detail: []byte(detail)}
}

// ReadForceClosed is the inverse of ForceClosed.
func ReadForceClosed(r *take.Reader, p *pb.ForceClosed) facts.ForceClosed {
	return facts.ForceClosed{Reason: facts.CloseReason(r.U8("reason", p.GetReason(), 255)), Detail: string(p.GetDetail())}
}

// FundingSpent writes who spent the funding output.
func FundingSpent(s *facts.FundingSpent) *pb.FundingSpent {
	return &pb.FundingSpent{Txid: take.Slice(s.Txid[:]), Height: s.Height, Spend: uint32(s.Spend), Tx: take.TxBytes(s.Tx)}
}

// ReadFundingSpent is the inverse of FundingSpent.
func ReadFundingSpent(r *take.Reader, p *pb.FundingSpent) facts.FundingSpent {
	s := facts.FundingSpent{
		Txid: r.B32("txid", p.GetTxid()), Height: p.GetHeight(), Spend: facts.SpendKind(r.U8("spend", p.GetSpend(), uint32(facts.SpendMutualClose))),
		Tx: r.Tx("tx", p.GetTx()),
	}
	if s.Tx == nil {
		r.Fail("the transaction that spends the funding output is missing")
	}
	return s
}

// Sig writes a signature.
func Sig(s lnwire.Sig) []byte { return take.Slice(s.RawBytes()) }

// Sigs writes signatures.
func Sigs(s []lnwire.Sig) (out [][]byte) {
	for i := range s {
		out = append(out, Sig(s[i]))
	}
	return out
}

// ReadSigs is the inverse of Sigs.
func ReadSigs(r *take.Reader, b [][]byte) (out []lnwire.Sig) {
	for i := range b {
		out = append(out, r.Sig("htlc_sig", b[i]))
	}
	return out
}

// optional makes absent bytes nil, as the facts have them.
func optional(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
