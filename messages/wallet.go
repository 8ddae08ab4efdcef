package messages

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// FundsAddr is the actor that feeds the on-chain wallet with blocks.
const FundsAddr Addr = "funds"

// WalletSpends tells the wallet of a transaction of ours that was or will be broadcast: its inputs are not to be spent again. From an opening once
// the channel is durable, and from every monitor at its start for as long as its funding transaction is not confirmed, because the wallet's
// reservations are in memory only.
type WalletSpends struct {
	Channel ln.ChannelID
	Claim   uint64 // 0: the funding transaction; else a claim of the channel, whose wallet inputs are held under its own name until ReleaseClaim
	Tx      *wire.MsgTx
	Held    bool         // only the coins are to be held: the transaction is not in the chain's hands now, and may never be again
	Release ln.ChannelID // the temporary id under which an opening reserved the same inputs; zero if none
}

// BuildClaim asks the wallet for the transaction that spends outputs of a channel that only this node can spend now. The answer is ClaimBuilt. A
// repeat with the same Channel and Claim takes the place of the former question, and is given the same coins again as far as they serve.
//
// Inputs that carry an Output come with no fee of their own (second stages are zero-fee, anchors are too small): the wallet adds coins and a change
// output. Of all others the value goes to the wallet, less the fee.
type BuildClaim struct {
	Channel     ln.ChannelID
	Incarnation uint64
	Claim       uint64 // > 0
	Inputs      []ClaimInput
	LockTime    uint32
	Target      uint32          // blocks within which it should confirm; at least 1
	MinFeePerKw uint32          // of a replacement; 0 if it replaces nothing
	MinFeeSat   uint64          // likewise: more than all that it replaces
	MaxFeeSat   uint64          // more than this is not worth it
	Coins       []wire.OutPoint // the wallet's inputs of what it replaces. If one is gone that is dead: nothing is replaced, see ClaimBuilt.Anew
	Parent      *ClaimParent    // unconfirmed, to be paid for as well (CPFP)
	ReplyTo     Addr
}

// ClaimInput is an output of a channel.
type ClaimInput struct {
	OutPoint      wire.OutPoint
	ValueSat      uint64
	PkScript      []byte
	Sequence      uint32
	WitnessWeight uint32      // upper bound of its witness, in weight units
	Output        *wire.TxOut // has to stand at this input's index (SIGHASH_SINGLE); nil for none
	Attach        bool        // its value is too small to pay a fee: add coins (an anchor)
}

// ClaimParent is the unconfirmed transaction that a claim pays for.
type ClaimParent struct {
	Weight uint32
	FeeSat uint64
}

// ClaimBuilt answers BuildClaim. Tx has the inputs asked for first, in their order and without witnesses, then the wallet's, signed. Nothing is
// durable and nothing broadcast: the coins are held until ReleaseClaim, or until the wallet's actor restarts and no WalletSpends comes.
type ClaimBuilt struct {
	Channel     ln.ChannelID
	Incarnation uint64
	Claim       uint64
	Tx          *wire.MsgTx
	FeeSat      uint64
	FeePerKw    uint32 // of Tx with its witnesses, and of the parent with it
	Anew        bool   // what it was to replace lacks a coin and can't confirm: MinFeePerKw and MinFeeSat were not kept
	Err         error  // *ClaimError: why there is no transaction now; ask again with a later block
}

// ClaimError says why the wallet made no claim.
type ClaimError struct {
	Code ClaimCode
	Err  error
}

func (e *ClaimError) Error() string { return e.Err.Error() }

func (e *ClaimError) Unwrap() error { return e.Err }

// ClaimCode is a reason for ClaimError.
type ClaimCode uint8

// Reasons.
const (
	ClaimNoCoins      ClaimCode = iota + 1 // the wallet has too few confirmed coins for the fee: fund it
	ClaimTooExpensive                      // the fee needed is above MaxFeeSat, or more than the outputs are worth
	ClaimUnneeded                          // the parent's own fee rate is high enough
	ClaimInvalid                           // the question makes no sense: a bug
)

// ReleaseClaim gives the coins of a claim back.
type ReleaseClaim struct {
	Channel ln.ChannelID
	Claim   uint64
}

// SweepOutputs hands outputs to the wallet, which sweeps them to itself, in one transaction with others where that is cheaper. From the manager at
// every start and when the event comes, until OutputsSwept. Repeats are no news. The outputs may be spent already.
type SweepOutputs struct {
	Event   ln.EventID
	Outputs []facts.SpendableOutput
}

// SweepDone ends the sweep of an event's outputs.
type SweepDone struct{ Event ln.EventID }

// SendFunds pays from the wallet to somebody else.
type SendFunds struct {
	PkScript   []byte
	AmountSat  uint64 // 0: all there is
	FeePerKw   uint32 // 0: an estimate for Target
	Target     uint32 // blocks; 0: 6
	UseReserve bool   // spend also what is kept for the fees of channels
	ReplyTo    Addr
}

// BumpFee raises the fee of a transaction of the wallet that is in no block: of a payment (SendFunds) or of the sweep of a closed channel's outputs. The
// answer is SendReply, with the transaction that takes its place. Closing transactions of channels and claims raise their own fees.
type BumpFee struct {
	Txid       chainhash.Hash
	FeePerKw   uint32 // 0: an estimate for Target
	Target     uint32 // blocks; 0: 2
	UseReserve bool   // spend also what is kept for the fees of channels
	ReplyTo    Addr
}

// SendReply answers SendFunds and BumpFee. Without an error the transaction is durable and broadcast again until it confirms.
type SendReply struct {
	Txid      chainhash.Hash
	AmountSat uint64
	FeeSat    uint64
	Accepted  bool // by the chain source; if not, it could not be reached yet
	Err       error
}
