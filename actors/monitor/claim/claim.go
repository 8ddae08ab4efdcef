// Package claim resolves a channel on chain (BOLT 5).
package claim

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Points gives the holder's per-commitment points.
type Points func(number uint64) (*btcec.PublicKey, error)

// Resolution is what became of a channel on chain, and what there is to do about it. It follows from the facts and is as old as they are: make a
// new one after every update.
type Resolution struct {
	f *facts.Channel
}

// Resolve derives the resolution from the facts. It is never nil; of a channel that has not been closed it is empty.
func Resolve(f *facts.Channel, points Points) (*Resolution, error) {
	return &Resolution{f: f}, nil
}

// NeedsRevoked tells which revoked commitment's HTLC data must be read before its HTLCs can be resolved: facts.RevokedRead is missing.
func (r *Resolution) NeedsRevoked() (number uint64, ok bool) { return 0, false }

// Match says what a confirmed transaction means: OutputSpent for each watched output that it spends, PreimageLearned. What the facts have already is
// left out.
func (r *Resolution) Match(tx *wire.MsgTx, txid chainhash.Hash, height uint32) []facts.Update {
	return nil
}

// Disconnected is what a reorganisation that leaves nothing above height takes back: OutputUnspent, in a fixed order.
func Disconnected(f *facts.Channel, height uint32) []facts.Update { return nil }

// Due is what the height of the facts makes final: HTLCEnded, HTLCFailedEarly, OutputsSpendable.
func (r *Resolution) Due() []facts.Update { return nil }

// Spendable describes outputs of an OutputsSpendable for the wallet.
func (r *Resolution) Spendable(outputs []wire.OutPoint) []facts.SpendableOutput { return nil }

// Watch is an output whose spend the monitor has to be told of.
type Watch struct {
	Output     wire.OutPoint
	FromHeight uint32 // of the block that made it
}

// Watches are the outputs that are not irrevocably spent, in a fixed order.
func (r *Resolution) Watches() []Watch { return nil }

// WakeAt is the next height at which something is due or planned, 0 for none.
func (r *Resolution) WakeAt() uint32 { return 0 }

// Plan is what claims there should be at the height of the facts.
type Plan struct {
	Build []Request           // the wallet is to build these
	Keep  []facts.ClaimSigned // to be in the chain: broadcast until they confirm. In a fixed order
	Ended []uint64            // claims whose purpose is gone
}

// Request is a claim to build. Its ID follows from what it claims, so that the same claim has the same id after a restart, and a fee bump the id
// of what it replaces.
type Request struct {
	ID       uint64
	Deadline uint32
	Build    messages.BuildClaim // but for Channel, Incarnation, Claim and ReplyTo
}

// Plan plans.
func (r *Resolution) Plan() Plan { return Plan{} }

// Sign completes what the wallet built for a request of this resolution.
func (r *Resolution) Sign(signer chankeys.Signer, q *Request, built messages.ClaimBuilt) (facts.ClaimSigned, error) {
	return facts.ClaimSigned{}, nil
}

// Swept tells whether all outputs are irrevocably spent; anchors are left out of account.
func (r *Resolution) Swept(outputs []facts.SpendableOutput) bool { return false }

// Balance says where the holder's money is.
func (r *Resolution) Balance() messages.ChannelBalance { return messages.ChannelBalance{} }

// ResolvedAt is the height of the last transaction that the resolution rests on, once nothing is left to wait for but depth.
func (r *Resolution) ResolvedAt() (height uint32, ok bool) { return 0, false }
