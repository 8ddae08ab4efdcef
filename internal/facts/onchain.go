package facts

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// After the funding output is spent the facts are about what the chain did, and about what we gave to it. Which outputs are there, whose they are
// and what is to be done about them follows from these facts (package claim of the monitor) and is not kept.

// RevokedRead: the row of the revoked commitment that spent the funding output was read. Its outputs can be punished from here on.
type RevokedRead struct{ Revoked Revoked }

// OutputSpent: a confirmed transaction spends an output that the monitor watches: of the transaction that spent the funding output, or of a second
// stage of it.
type OutputSpent struct {
	Output   wire.OutPoint
	Txid     chainhash.Hash // of the spender
	Input    uint32         // the spender's input; a second stage's output has the same index (BOLT 3, SIGHASH_SINGLE)
	Height   uint32
	Ours     bool         // we signed the spender, or handed the output to the wallet
	Preimage *ln.Preimage // that the spender reveals, of the output's HTLC
}

// OutputUnspent: a reorganisation took the spender out.
type OutputUnspent struct{ Output wire.OutPoint }

// ClaimSigned: a transaction of ours that claims outputs; durable before its broadcast, so that a restart knows it and the wallet's coins in it
// (rule 22). One with an id that is there takes the place of the former.
type ClaimSigned struct {
	ID       uint64
	Tx       *wire.MsgTx
	FeeSat   uint64
	FeePerKw uint32
	Height   uint32 // of the chain when it was made
	Deadline uint32 // height at which somebody else may take what it claims, 0 for never
}

// ClaimEnded: nothing is left that this claim is for, or another one took its place.
type ClaimEnded struct{ ID uint64 }

// HTLCEnded: the transaction that decides about an HTLC of a closed channel is irrevocable (rule 12).
type HTLCEnded struct {
	Outbound  bool
	HTLCID    uint64
	Fulfilled bool
}

// HTLCFailedEarly: an outbound HTLC of a forward is failed upstream although it can still be claimed, because the inbound HTLC is about to expire
// and its channel would have to be closed over it (the 3-block rule).
type HTLCFailedEarly struct{ HTLCID uint64 }

// OutputsSpendable: these outputs are the holder's for good, and handed to the wallet with the event SpendableOutputs.
type OutputsSpendable struct{ Outputs []wire.OutPoint }

func (RevokedRead) update()      {}
func (OutputSpent) update()      {}
func (OutputUnspent) update()    {}
func (ClaimSigned) update()      {}
func (ClaimEnded) update()       {}
func (HTLCEnded) update()        {}
func (HTLCFailedEarly) update()  {}
func (OutputsSpendable) update() {}

// Fate is how an HTLC ended on chain.
type Fate uint8

// Fates. An HTLC that ended stays in the facts, because commitment transactions are rebuilt from them.
const (
	FateOpen Fate = iota
	FateFulfilled
	FateFailed
)

// OnChain is what the chain did to a closed channel and what we gave to it.
type OnChain struct {
	Revoked   *Revoked // of the commitment in Channel.Spent, nil until its row is read
	Spends    map[wire.OutPoint]OutputSpent
	Claims    map[uint64]ClaimSigned // that may still confirm
	Spendable map[wire.OutPoint]bool // handed to the wallet
}

func (c *Channel) applySpent(u FundingSpent) {
	if c.Spent == nil || c.Spent.Txid != u.Txid {
		c.OnChain.Revoked = nil
	}
	c.Spent, c.WasSpent = &u, true
}

func (c *Channel) applyUnspent() { c.Spent, c.OnChain.Revoked = nil, nil }

func (c *Channel) applyRevokedRead(u RevokedRead) string {
	if c.Spent == nil || c.Spent.Spend != SpendRevoked {
		return "no revoked commitment spent the funding output"
	}
	c.OnChain.Revoked = &u.Revoked
	return ""
}

func (c *Channel) applyOutputSpent(u OutputSpent) {
	if c.OnChain.Spends == nil {
		c.OnChain.Spends = map[wire.OutPoint]OutputSpent{}
	}
	c.OnChain.Spends[u.Output] = u
}

func (c *Channel) applyClaimSigned(u ClaimSigned) string {
	if u.Tx == nil {
		return "a claim without a transaction"
	}
	if c.OnChain.Claims == nil {
		c.OnChain.Claims = map[uint64]ClaimSigned{}
	}
	c.OnChain.Claims[u.ID] = u
	return ""
}

func (c *Channel) applySpendable(u OutputsSpendable) {
	if c.OnChain.Spendable == nil {
		c.OnChain.Spendable = map[wire.OutPoint]bool{}
	}
	for _, o := range u.Outputs {
		c.OnChain.Spendable[o] = true
	}
}

func (c *Channel) applyHTLCEnded(u HTLCEnded) (ch Changes, why string) {
	h := c.Inbound[u.HTLCID]
	if u.Outbound {
		h = c.Outbound[u.HTLCID]
	}
	switch {
	case h == nil:
		return ch, fmt.Sprintf("htlc %d does not exist", u.HTLCID)
	case u.Outbound && u.Fulfilled && h.Preimage == nil:
		return ch, fmt.Sprintf("outbound htlc %d is fulfilled without a preimage", u.HTLCID)
	case h.Fate != FateOpen:
		return ch, ""
	}
	h.Fate = FateFailed
	if u.Fulfilled {
		h.Fate = FateFulfilled
	}
	switch {
	case u.Outbound:
		ch.OutboundEnd = []*HTLC{h}
		if h.Preimage == nil && !h.FailedEarly {
			ch.Failed = []*HTLC{h}
		}
	case h.State < RcvdRemoveRevocation: // else it was resolved off chain
		ch.Resolved = []*HTLC{h}
	}
	return ch, ""
}

func (c *Channel) applyFailedEarly(u HTLCFailedEarly) (ch Changes, why string) {
	h := c.Outbound[u.HTLCID]
	switch {
	case h == nil:
		return ch, fmt.Sprintf("outbound htlc %d does not exist", u.HTLCID)
	case h.Preimage != nil || h.Fate != FateOpen:
		return ch, fmt.Sprintf("outbound htlc %d has ended", u.HTLCID)
	case h.FailedEarly:
		return ch, ""
	}
	h.FailedEarly = true
	ch.Failed = []*HTLC{h}
	return ch, ""
}

// Fulfilled tells whether an HTLC that left the commitments, or ended on chain, ended with its preimage.
func (h *HTLC) Fulfilled() bool {
	if h.Fate != FateOpen {
		return h.Fate == FateFulfilled
	}
	return h.Resolution.Fulfilled()
}

func (o *OnChain) clone() OnChain {
	d := *o
	d.Spends = maps.Clone(o.Spends)
	d.Claims = maps.Clone(o.Claims)
	d.Spendable = maps.Clone(o.Spendable)
	return d
}

// CompareOutPoints orders outpoints by txid and index.
func CompareOutPoints(a, b wire.OutPoint) int {
	return cmp.Or(bytes.Compare(a.Hash[:], b.Hash[:]), cmp.Compare(a.Index, b.Index))
}

// SortedOutPoints returns the keys in order: a map is never walked in its own.
func SortedOutPoints[V any](m map[wire.OutPoint]V) []wire.OutPoint {
	return slices.SortedFunc(maps.Keys(m), CompareOutPoints)
}

// without makes an empty map nil, as a record reads it.
func without[K comparable, V any](m map[K]V, k K) map[K]V {
	if delete(m, k); len(m) == 0 {
		return nil
	}
	return m
}
