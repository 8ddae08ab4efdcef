package messages

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// ChainRegister starts to watch for a channel, from its cursor on. It replaces an earlier registration of the same channel; messages of the
// older incarnation end with it. If the cursor is not in the best chain any more, ChainDisconnected comes first.
type ChainRegister struct {
	Channel     ln.ChannelID // zero for the graph
	Graph       bool         // it is the graph's: no peer can choose a channel id that takes its place
	Incarnation uint64
	Height      uint32         // everything up to this block is known to the watcher
	Hash        chainhash.Hash // of that block
	Outpoints   []wire.OutPoint
	Scripts     [][]byte
	WakeAt      uint32 // 0 for never
	To          Addr
}

// ChainWatch adds to a registration. An outpoint or script is looked for from the block FromHeight on, also where that is already past.
type ChainWatch struct {
	Channel     ln.ChannelID
	Graph       bool
	Incarnation uint64
	FromHeight  uint32
	Outpoints   []wire.OutPoint
	Scripts     [][]byte
	WakeAt      uint32 // replaces the earlier one; 0 leaves it
}

// ChainBlock tells a watcher that the chain has reached Height. It comes for blocks with a match, for WakeAt, and once when catching up has
// ended; blocks in between held nothing for this watcher. Heights ascend, but for a ChainWatch that looks back.
type ChainBlock struct {
	Incarnation uint64
	Height      uint32
	Hash        chainhash.Hash
	Matches     []ChainMatch // in the order of the block
	Tip         uint32       // best height that the node knows
}

// ChainMatch is a transaction that spends a watched outpoint or pays to a watched script.
type ChainMatch struct {
	Tx      *wire.MsgTx
	TxIndex uint32
	Height  uint32 // of the block that holds it; below ChainBlock.Height only after a ChainWatch that looked back
}

// ChainDisconnected tells that all blocks above Height left the best chain. Only watchers that were told of something above it get it.
type ChainDisconnected struct {
	Incarnation uint64
	Height      uint32 // the fork point: still in the chain
	Hash        chainhash.Hash
}

// Broadcast hands a transaction to the chain, again with every block until it confirms or Withdraw comes.
type Broadcast struct {
	Tx      *wire.MsgTx
	Label   string     // for logs
	ReplyTo Addr       // gets BroadcastReply after the first attempt; may be empty
	Then    []Delivery // sent after the first attempt, whatever it brought
	Channel ln.ChannelID
}

// BroadcastReply answers Broadcast. A transaction that the chain has already is no error.
type BroadcastReply struct {
	Txid chainhash.Hash
	Err  error
}

// Withdraw ends the rebroadcast of a transaction.
type Withdraw struct{ Txid chainhash.Hash }

// ChainUnregister ends all watches of a channel.
type ChainUnregister struct {
	Channel     ln.ChannelID
	Incarnation uint64
}

// ChainStarted goes from a new incarnation of chainwatch to Monitors, Manager and the wallet's owner: they register again.
type ChainStarted struct{ Incarnation uint64 }

// ChainSubscribe asks for ChainTip at every change of the best block. One subscriber an address.
type ChainSubscribe struct{ To Addr }

// ChainTip is the best block. Blocks holds what was connected since the last ChainTip to this subscriber, in order, and Disconnected how many
// of those it was told before have left the chain first.
type ChainTip struct {
	Height       uint32
	Hash         chainhash.Hash
	Disconnected uint32
	Blocks       []*wire.MsgBlock
}
