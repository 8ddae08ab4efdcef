package messages

import (
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// FundsAddr is the actor that feeds the on-chain wallet with blocks.
const FundsAddr Addr = "funds"

// WalletSpends tells the wallet of a transaction of ours that was or will be broadcast: its inputs are not to be spent again. From an opening once
// the channel is durable, and from every monitor at its start for as long as its funding transaction is not confirmed, because the wallet's
// reservations are in memory only.
type WalletSpends struct {
	Channel ln.ChannelID
	Tx      *wire.MsgTx
	Release ln.ChannelID // the temporary id under which an opening reserved the same inputs; zero if none
}
