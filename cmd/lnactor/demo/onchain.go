package demo

import "github.com/lnactor/lnactor"

// CloseKind is how the channel ends.
type CloseKind string

// Kinds of closes.
const (
	CloseNot         CloseKind = ""            // the channel stays open
	CloseCooperative CloseKind = "cooperative" // both sides sign
	CloseForce       CloseKind = "force"       // alice alone, with payments in flight both ways
	CloseRevoked     CloseKind = "revoked"     // bob cheats with a commitment that he revoked
)

// CloseKinds are what Options.Close may be, beside CloseNot.
var CloseKinds = []CloseKind{CloseCooperative, CloseForce, CloseRevoked}

// OnChain is the part of a report about the close of the channel. Amounts are in satoshi.
type OnChain struct {
	Kind          CloseKind         `json:"kind"`
	ClosingTxid   string            `json:"closing_txid"`
	ClosingHeight int32             `json:"closing_height"`
	Blocks        int               `json:"blocks"`        // mined from the close until both sides had archived the channel
	Crashes       int               `json:"crashes"`       // during these blocks
	Held          Held              `json:"held_payments"` // in flight when the channel was closed, or when bob made his copy
	Transactions  []ChainTx         `json:"transactions"`
	Sides         map[string]Closed `json:"sides"`         // by node
	FeesSat       uint64            `json:"fees_sat"`      // of all transactions, as the chain has them
	UnclaimedSat  uint64            `json:"unclaimed_sat"` // in outputs of the channel that cost more than they are worth
}

// Held counts payments that were held by their payees.
type Held struct {
	Claimed  int `json:"claimed"`
	Returned int `json:"returned"` // timed out on chain, or refused by the payee
}

// ChainTx is a transaction of the close.
type ChainTx struct {
	Txid       string   `json:"txid"`
	Height     int32    `json:"height"`
	Kind       TxKind   `json:"kind"`
	Label      string   `json:"label"`
	By         string   `json:"by,omitempty"` // the side that it is of, none for a cooperative close
	Inputs     int      `json:"inputs"`
	TakesSat   uint64   `json:"takes_sat"` // outputs of the channel among them
	OutputsSat []uint64 `json:"outputs_sat"`
	FeeSat     uint64   `json:"fee_sat"`
}

// Closed is what the close brought one side.
type Closed struct {
	WalletBeforeSat uint64 `json:"wallet_before_sat"`
	ChannelSat      uint64 `json:"channel_sat"`    // its own in the channel when that was closed, payments that it had in flight included
	SweptSat        uint64 `json:"swept_sat"`      // from the channel into its wallet
	LostSat         uint64 `json:"lost_sat"`       // to the other side: paid HTLCs, and all that a cheater had
	CommitFeesSat   uint64 `json:"commit_fee_sat"` // its part of the closing transaction's fee, anchors and dust that nobody claims
	TxFeesSat       uint64 `json:"tx_fees_sat"`    // of its claims and sweeps
	WalletAfterSat  uint64 `json:"wallet_after_sat"`
}

type (
	// Closing says that the channel is being closed.
	Closing struct {
		Kind CloseKind
		Held int // payments in flight
	}
	// Did says what a user did.
	Did struct {
		Node string
		What string // such as "force-closes the channel"
		Sat  uint64 // for how much, 0 if that has no meaning
	}
	// BlockMined says what a block did to the channel.
	BlockMined struct {
		Height int32
		Quiet  int // blocks before it in which nothing happened
		Txs    []ChainTx
		Sides  []Stand // those whose balance changed
	}
	// Stand is where a side's money is.
	Stand struct {
		Node      string
		Balance   lnactor.ChannelBalance
		WalletSat uint64
		Archived  bool
	}
)

func (Closing) news()    {}
func (Did) news()        {}
func (BlockMined) news() {}
