package funds

import (
	"fmt"
	"log/slog"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// bumpTarget is the confirmation time of a replacement that names none: who asks for one is in a hurry.
const bumpTarget = 2

// bump replaces a payment or a sweep by one with a higher fee. A payment's replacement is durable, in the place of the old one, before it leaves: so a
// restart offers one of the two, and the chain takes at most one.
func (c *core) bump(m messages.BumpFee, save func() error) {
	reply, err := c.replace(&m, save)
	if err != nil {
		c.tell(m.ReplyTo, messages.SendReply{Err: err})
	} else if reply != nil {
		c.tell(m.ReplyTo, *reply)
	}
}

// replace answers at once, or later if both are nil: when the chain has spoken.
func (c *core) replace(m *messages.BumpFee, save func() error) (*messages.SendReply, error) {
	if !c.coinsKnown() {
		return nil, ErrNotSynced
	}
	rate, err := c.sendRate(m.FeePerKw, m.Target, bumpTarget)
	if err != nil {
		return nil, err
	}
	if x := c.sweeps.txs[m.Txid]; x != nil && c.unconfirmed(m.Txid) {
		return c.replaceSweep(x, rate)
	}
	if _, waits := c.sending[m.Txid]; waits {
		return nil, fmt.Errorf("%w: the chain has not answered to %v yet, try again", ErrNotSynced, m.Txid)
	}
	old := c.sent(m.Txid)
	if old == nil {
		return nil, fmt.Errorf("%w: %v", wallet.ErrNotPending, m.Txid)
	}
	keep := btcutil.Amount(0)
	if !m.UseReserve {
		keep = amount(c.cfg.Board.Keep())
	}
	funded, err := c.wallet.Bump(m.Txid, rate, keep)
	if err != nil {
		return nil, err
	}
	if err := save(); err != nil {
		c.back(old)
		return nil, fmt.Errorf("the replacement could not be made durable and was not sent: %w", err)
	}
	txid := funded.Tx.TxHash()
	reply := messages.SendReply{Txid: txid, FeeSat: uint64(funded.Fee)}
	for _, i := range funded.Outputs {
		reply.AmountSat += uint64(funded.Tx.TxOut[i].Value)
	}
	c.sending[txid] = sending{to: m.ReplyTo, reply: reply, old: old}
	c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: funded.Tx, Label: "send", ReplyTo: messages.FundsAddr})
	return nil, nil
}

func (c *core) sent(txid chainhash.Hash) *wire.MsgTx {
	for _, tx := range c.wallet.Sent() {
		if tx.TxHash() == txid {
			return tx
		}
	}
	return nil
}

// back puts the old transaction in the place of its replacement.
func (c *core) back(old *wire.MsgTx) {
	if err := c.wallet.Resend(old); err != nil {
		c.log.Error("wallet refuses a payment that it made", slog.String("txid", old.TxHash().String()), slog.Any("error", err))
	}
}

// bumpRefused: the chain does not take the replacement, so the old transaction goes on.
func (c *core) bumpRefused(txid chainhash.Hash, x sending, err error, save func() error) {
	c.back(x.old)
	c.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: txid})
	c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: x.old, Label: "send", ReplyTo: messages.FundsAddr})
	reply := messages.SendReply{Err: fmt.Errorf("%w, the old one goes on: %w", ErrRefused, err)}
	if failed := save(); failed != nil { // then the replacement is offered again after a restart
		reply.Err = fmt.Errorf("%w; after a restart the replacement may be offered again: %w", reply.Err, failed)
	}
	c.tell(x.to, reply)
}

// replaceSweep does what bumpSweep does when a sweep takes too long.
func (c *core) replaceSweep(x *sweepTx, rate chainfee.SatPerKWeight) (*messages.SendReply, error) {
	batch := c.batchOf(x)
	if rate <= x.rate || len(batch) == 0 {
		return nil, fmt.Errorf("%w: the sweep pays %d already", wallet.ErrBadFeeRate, x.rate)
	}
	y := c.makeSweep(batch, rate, x, btcutil.MaxSatoshi)
	if y == nil {
		return nil, fmt.Errorf("%w: %s", ErrRefused, batch[0].reason)
	}
	reply := &messages.SendReply{Txid: y.txid, FeeSat: uint64(y.fee)}
	for _, out := range y.tx.TxOut {
		reply.AmountSat += uint64(out.Value)
	}
	return reply, nil
}
