package facts

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Update is a MonitorUpdate's content: the closed set of what can happen to a channel's facts.
type Update interface{ update() }

// Opened makes the channel. At the fundee it is durable before funding_signed (rule 2), at the funder before the funding transaction is
// broadcast (rule 3). Both first commitments, number 0, follow from it.
type Opened struct {
	Static            *Static
	HolderMsat        uint64
	CounterpartyMsat  uint64
	FeePerKw          uint32
	CounterpartyPoint [33]byte   // first_per_commitment_point of the counterparty
	HolderSig         lnwire.Sig // the counterparty's signature on the holder's commitment 0
	ChainHeight       uint32
	ChainHash         chainhash.Hash
}

// FundingConfirmed: the funding transaction is in the block. Depth is counted from there.
type FundingConfirmed struct {
	Height  uint32
	TxIndex uint32
}

// FundingUnconfirmed: a reorganisation took the funding transaction out.
type FundingUnconfirmed struct{}

// HolderReady: the funding is deep enough; durable before channel_ready leaves (rule 4). Again when it is after a reorganisation took it out.
type HolderReady struct{}

// CounterpartyReady: channel_ready was received.
type CounterpartyReady struct {
	NextPoint [33]byte // the counterparty's point for commitment 1
	Alias     uint64   // 0 if none was given
}

// CounterpartyCommitment: we sign the counterparty's next commitment (rule 5). Besides Adds, Removes and FeePerKw it takes in all that the
// counterparty proposed and we acknowledged.
type CounterpartyCommitment struct {
	Adds     []HTLC   // outbound, ids in order; State and Resolution are ignored
	Removes  []uint64 // inbound HTLCs whose decision is now sent
	FeePerKw uint32   // of update_fee, 0 if none
}

// HolderCommitment: a valid commitment_signed was received, and the holder's old commitment is revoked by the message that follows (rule 6).
type HolderCommitment struct {
	Sig      lnwire.Sig
	HTLCSigs []lnwire.Sig // in the order of the outputs
	Adds     []HTLC       // inbound, ids in order; State and Resolution are ignored
	Removes  []Removal    // outbound HTLCs that the counterparty removed
	FeePerKw uint32       // of update_fee, 0 if none
}

// Removal is what the counterparty sent for an outbound HTLC.
type Removal struct {
	HTLCID     uint64
	Resolution Resolution
}

// Revocation: a valid revoke_and_ack was received (rule 7).
type Revocation struct {
	Secret    [32]byte // of the counterparty's commitment that it revokes
	NextPoint [33]byte
}

// PreimageLearned: update_fulfill_htlc with the right preimage was received (rule 10), or a confirmed transaction reveals it. Final, whatever
// happens to the HTLC.
type PreimageLearned struct {
	HTLCID   uint64
	Preimage ln.Preimage
	OnChain  bool
}

// Decided: what happens to an inbound HTLC, durable before it is sent (rules 12, 13).
type Decided struct {
	HTLCID     uint64
	Resolution Resolution
}

// HolderShutdown: we send shutdown with this script, again and again the same (rule 16).
type HolderShutdown struct{ Script []byte }

// CounterpartyShutdown: shutdown was received.
type CounterpartyShutdown struct{ Script []byte }

// ClosingProposed: we send closing_signed with this fee (rule 17).
type ClosingProposed struct{ FeeSat uint64 }

// MutualClosed: both signatures of the closing transaction are known; durable before its broadcast (rule 17).
type MutualClosed struct{ Tx *wire.MsgTx }

// ForceClosed: the decision to close with the current holder commitment, durable before its broadcast; that commitment is never revoked after
// it (rule 18).
type ForceClosed struct {
	Reason CloseReason
	Detail string
}

// ProvenBehind: the counterparty proved that our facts are old. Nothing is ever broadcast after it (rules 18, 19).
type ProvenBehind struct{}

// Restored: these facts are a copy of unknown age. Until Verified nothing is broadcast and nothing is signed or revoked: what looks like the newest
// commitment may have been revoked since (rules 6, 18). A channel whose end was durable in the copy needs no such care, since its commitment is
// never revoked after that (rule 18).
type Restored struct {
	Seqs uint64 // by how much the numbers of events jump; 0 is 2^32: see Jump
}

// Jump is by how much the numbers of events jump: the node may have made events after the copy, and an id never names two (S8). Two restores of one
// copy jump differently, since each makes events of its own.
func (r Restored) Jump() uint64 {
	if r.Seqs == 0 {
		return 1 << 32 // records of the first releases, which did not say
	}
	return r.Seqs
}

// Verified: the counterparty's channel_reestablish fits these facts, so nothing was signed or revoked since; or the operator takes the risk.
type Verified struct{ Trusted bool }

// BlockSeen moves the monitor's height. Events about a block are in the same record (rule 20).
type BlockSeen struct {
	Height uint32
	Hash   chainhash.Hash
}

// FundingSpent: a confirmed transaction spends the funding output.
type FundingSpent struct {
	Txid   chainhash.Hash
	Height uint32
	Spend  SpendKind
	Tx     *wire.MsgTx
}

// FundingUnspent: a reorganisation took the spending transaction out.
type FundingUnspent struct{}

// PolicySet: the channel's policy is another one from here on; the zero Policy brings the node's default back. Whoever asks for it checks it
// (Policy.Check); what was recorded once counts whatever later versions take for sensible.
type PolicySet struct{ Policy Policy }

func (Opened) update()                 {}
func (FundingConfirmed) update()       {}
func (FundingUnconfirmed) update()     {}
func (HolderReady) update()            {}
func (CounterpartyReady) update()      {}
func (CounterpartyCommitment) update() {}
func (HolderCommitment) update()       {}
func (Revocation) update()             {}
func (PreimageLearned) update()        {}
func (Decided) update()                {}
func (HolderShutdown) update()         {}
func (CounterpartyShutdown) update()   {}
func (ClosingProposed) update()        {}
func (MutualClosed) update()           {}
func (ForceClosed) update()            {}
func (ProvenBehind) update()           {}
func (Restored) update()               {}
func (Verified) update()               {}
func (BlockSeen) update()              {}
func (FundingSpent) update()           {}
func (FundingUnspent) update()         {}
func (PolicySet) update()              {}
