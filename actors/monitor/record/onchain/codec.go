// Package onchain reads and writes facts.OnChain and its parts as records.
package onchain

import (
	"maps"
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// Write writes what the chain did to a channel; nil for nothing.
func Write(o *facts.OnChain) *pb.OnChain {
	if o.Revoked == nil && len(o.Spends) == 0 && len(o.Claims) == 0 && len(o.Spendable) == 0 {
		return nil
	}
	p := &pb.OnChain{}
	if o.Revoked != nil {
		p.Revoked = Revoked(o.Revoked)
	}
	for _, out := range facts.SortedOutPoints(o.Spends) {
		s := o.Spends[out]
		p.Spends = append(p.Spends, OutputSpent(&s))
	}
	for _, id := range slices.Sorted(maps.Keys(o.Claims)) {
		c := o.Claims[id]
		p.Claims = append(p.Claims, ClaimSigned(&c))
	}
	for _, out := range facts.SortedOutPoints(o.Spendable) {
		p.Spendable = append(p.Spendable, OutPoint(out))
	}
	return p
}

// Read is the inverse of Write.
func Read(r *take.Reader, p *pb.OnChain) (o facts.OnChain) {
	if p == nil {
		return o
	}
	if p.Revoked != nil {
		v := ReadRevoked(r, p.Revoked)
		o.Revoked = &v
	}
	for _, s := range p.Spends {
		if o.Spends == nil {
			o.Spends = make(map[wire.OutPoint]facts.OutputSpent, len(p.Spends))
		}
		v := ReadOutputSpent(r, s)
		o.Spends[v.Output] = v
	}
	for _, c := range p.Claims {
		if o.Claims == nil {
			o.Claims = make(map[uint64]facts.ClaimSigned, len(p.Claims))
		}
		v := ReadClaimSigned(r, c)
		o.Claims[v.ID] = v
	}
	for _, out := range p.Spendable {
		if o.Spendable == nil {
			o.Spendable = make(map[wire.OutPoint]bool, len(p.Spendable))
		}
		o.Spendable[ReadOutPoint(r, out)] = true
	}
	return o
}

// OutPoint writes an outpoint.
func OutPoint(o wire.OutPoint) *pb.OutPoint {
	return &pb.OutPoint{Txid: take.Slice(o.Hash[:]), Index: o.Index}
}

// ReadOutPoint is the inverse of OutPoint.
func ReadOutPoint(r *take.Reader, p *pb.OutPoint) wire.OutPoint {
	return wire.OutPoint{Hash: r.B32("txid", p.GetTxid()), Index: p.GetIndex()}
}

// OutPoints writes outpoints.
func OutPoints(outs []wire.OutPoint) *pb.OutPoints {
	p := &pb.OutPoints{}
	for _, o := range outs {
		p.Outputs = append(p.Outputs, OutPoint(o))
	}
	return p
}

// ReadOutPoints is the inverse of OutPoints.
func ReadOutPoints(r *take.Reader, p *pb.OutPoints) (outs []wire.OutPoint) {
	for _, o := range p.GetOutputs() {
		outs = append(outs, ReadOutPoint(r, o))
	}
	return outs
}

// Revoked writes the HTLC data of a revoked commitment. It is a row as well, which has a version.
func Revoked(c *facts.Revoked) *pb.RevokedCommitment {
	p := &pb.RevokedCommitment{Number: c.Number}
	for i := range c.HTLCs {
		h := &c.HTLCs[i]
		p.Htlcs = append(p.Htlcs, &pb.RevokedHTLC{
			HtlcId: h.HTLCID, Offered: h.Offered, AmountMsat: h.AmountMsat, Hash: h.Hash[:], CltvExpiry: h.CLTVExpiry,
		})
	}
	return p
}

// ReadRevoked is the inverse of Revoked.
func ReadRevoked(r *take.Reader, p *pb.RevokedCommitment) facts.Revoked {
	c := facts.Revoked{Number: p.GetNumber()}
	for _, h := range p.GetHtlcs() {
		c.HTLCs = append(c.HTLCs, facts.RevokedHTLC{
			HTLCID: h.GetHtlcId(), Offered: h.GetOffered(), AmountMsat: h.GetAmountMsat(), Hash: r.B32("hash", h.GetHash()), CLTVExpiry: h.GetCltvExpiry(),
		})
	}
	return c
}

// OutputSpent writes a spend.
func OutputSpent(s *facts.OutputSpent) *pb.OutputSpent {
	p := &pb.OutputSpent{Output: OutPoint(s.Output), Txid: take.Slice(s.Txid[:]), Input: s.Input, Height: s.Height, Ours: s.Ours}
	if s.Preimage != nil {
		p.Preimage = s.Preimage[:]
	}
	return p
}

// ReadOutputSpent is the inverse of OutputSpent.
func ReadOutputSpent(r *take.Reader, p *pb.OutputSpent) facts.OutputSpent {
	return facts.OutputSpent{
		Output: ReadOutPoint(r, p.GetOutput()), Txid: r.B32("txid", p.GetTxid()), Input: p.GetInput(), Height: p.GetHeight(), Ours: p.GetOurs(),
		Preimage: (*ln.Preimage)(r.Optional32("preimage", p.GetPreimage())),
	}
}

// ClaimSigned writes a claim.
func ClaimSigned(c *facts.ClaimSigned) *pb.ClaimSigned {
	return &pb.ClaimSigned{
		Id: c.ID, Tx: take.TxBytes(c.Tx), FeeSat: c.FeeSat, FeePerKw: c.FeePerKw, Height: c.Height, Deadline: c.Deadline,
	}
}

// ReadClaimSigned is the inverse of ClaimSigned.
func ReadClaimSigned(r *take.Reader, p *pb.ClaimSigned) facts.ClaimSigned {
	c := facts.ClaimSigned{
		ID: p.GetId(), Tx: r.Tx("tx", p.GetTx()), FeeSat: p.GetFeeSat(), FeePerKw: p.GetFeePerKw(), Height: p.GetHeight(), Deadline: p.GetDeadline(),
	}
	if c.Tx == nil {
		r.Fail("claim %d has no transaction", c.ID)
	}
	return c
}

// HTLCEnded writes how an HTLC ended.
func HTLCEnded(u *facts.HTLCEnded) *pb.HTLCEnded {
	return &pb.HTLCEnded{Outbound: u.Outbound, HtlcId: u.HTLCID, Fulfilled: u.Fulfilled}
}
