package facts

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/shachain"
)

// Channel is everything durable about a channel but its event queue. It changes by Apply only.
type Channel struct {
	*Static

	// Commitments. A number counts from 0; the counterparty's is the oldest one that it did not revoke, and Unrevoked says that one more is signed.
	HolderNumber          uint64
	HolderSig             lnwire.Sig   // the counterparty's, on the holder's current commitment
	HolderHTLCSigs        []lnwire.Sig // in the order of its HTLC outputs
	CounterpartyNumber    uint64
	CounterpartyPoint     [33]byte // per-commitment point of CounterpartyNumber
	CounterpartyNextPoint [33]byte // of the one after it; zero until channel_ready
	Unrevoked             bool     // commitment_signed for CounterpartyNumber+1 is out and not acknowledged
	CommitmentAfterRAA    bool     // our last commitment_signed came after our last revoke_and_ack: the order to repeat them in (rule 5)
	Secrets               *shachain.RevocationStore

	// Balances without any live HTLC: those are added by Balances.
	HolderMsat       uint64
	CounterpartyMsat uint64
	FeePerKw         uint32      // irrevocably committed
	FeeUpdates       []FeeUpdate // newer ones, oldest first

	Outbound           map[uint64]*HTLC // offered by the holder, live
	Inbound            map[uint64]*HTLC // offered by the counterparty, live
	NextOutboundHTLCID uint64
	NextInboundHTLCID  uint64

	Policy Policy

	// Life.
	Funding              *FundingConfirmed // nil until it confirms
	WasFunded            bool              // ever; a reorganisation does not make it a channel that was never funded
	HolderReady          bool
	Reburying            bool // the funding transaction confirmed anew after HolderReady; until the next HolderReady
	CounterpartyReady    bool
	CounterpartyAlias    uint64
	HolderShutdown       []byte // nil until sent
	CounterpartyShutdown []byte // nil until received
	ClosingFeeSat        uint64 // last proposal of ours, 0 if none
	MutualClose          *wire.MsgTx
	ForceClose           *ForceClosed
	ProvenBehind         bool
	Unverified           bool // restored from a copy that may be old: see Restored
	Spent                *FundingSpent
	WasSpent             bool // ever; a reorganisation does not bring the channel back: what was not signed since is not to be signed any more

	OnChain OnChain // once the funding output is spent, or a commitment broadcast

	Height    uint32 // everything up to this block is in these facts (rule 20)
	BlockHash chainhash.Hash
}

// New makes the channel that Opened describes.
func New(o Opened) *Channel {
	return &Channel{
		Static:            o.Static,
		HolderSig:         o.HolderSig,
		CounterpartyPoint: o.CounterpartyPoint,
		Secrets:           shachain.NewRevocationStore(),
		HolderMsat:        o.HolderMsat,
		CounterpartyMsat:  o.CounterpartyMsat,
		FeePerKw:          o.FeePerKw,
		Outbound:          map[uint64]*HTLC{},
		Inbound:           map[uint64]*HTLC{},
		Height:            o.ChainHeight,
		BlockHash:         o.ChainHash,
	}
}

// Open tells whether HTLCs can be exchanged: both sides are ready, the funding transaction is where it was then, and nothing ended the channel.
func (c *Channel) Open() bool {
	return c.HolderReady && c.CounterpartyReady && !c.Unburied() && c.HolderShutdown == nil && c.CounterpartyShutdown == nil && !c.Ended()
}

// Unburied tells whether a reorganisation took the funding transaction of a channel out that was ready, and it is not as deep again. The money may
// be gone for good: whoever paid it in can spend it elsewhere now. So nothing more is taken into the channel; what is in it stays. A channel that has
// ended since stays so: the peer's last revocation may still commit to an HTLC.
func (c *Channel) Unburied() bool { return c.HolderReady && (c.Funding == nil || c.Reburying) }

// Ended tells whether the channel's off-chain life is over: nothing is signed or revoked any more. It never becomes false again.
func (c *Channel) Ended() bool {
	return c.ForceClose != nil || c.MutualClose != nil || c.ProvenBehind || c.WasSpent
}

// Clone is a deep copy but for Static, and for the bytes that never change: onions, reasons, scripts, transactions.
func (c *Channel) Clone() *Channel {
	d := *c
	d.Secrets = cloneSecrets(c.Secrets)
	d.HolderHTLCSigs = append([]lnwire.Sig(nil), c.HolderHTLCSigs...)
	d.FeeUpdates = append([]FeeUpdate(nil), c.FeeUpdates...)
	d.Outbound = cloneHTLCs(c.Outbound)
	d.Inbound = cloneHTLCs(c.Inbound)
	d.OnChain = c.OnChain.clone()
	return &d
}

func cloneHTLCs(m map[uint64]*HTLC) map[uint64]*HTLC {
	out := make(map[uint64]*HTLC, len(m))
	for id, h := range m {
		g := *h
		out[id] = &g
	}
	return out
}
