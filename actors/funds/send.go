package funds

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// Errors of a payment, beside those of the wallet.
var (
	// ErrNoFeeRate: there is no estimate and no rate was given.
	ErrNoFeeRate = errors.New("funds: there is no fee estimate, give a fee rate")

	// ErrNotSynced: the wallet does not know its coins yet.
	ErrNotSynced = errors.New("funds: the wallet has not caught up with the chain yet, try again later")

	// ErrRefused: the chain does not take the transaction. It is forgotten and its coins are free.
	ErrRefused = errors.New("funds: the chain refuses the transaction")
)

// sendTarget is the confirmation time of a payment that names none.
const sendTarget = 6

// Refusal is what an answer to a broadcast means.
type Refusal uint8

// Kinds of refusals.
const (
	Accepted  Refusal = iota // the chain has it
	Undecided                // the source could not be asked, or the transaction is early: it is offered again
	TooLow                   // it would be taken with a higher fee
	Refused                  // it never will be taken as long as the chain is what it is
)

// sending is a payment whose caller waits for the chain's first word.
type sending struct {
	to    messages.Addr
	reply messages.SendReply
	old   *wire.MsgTx // that it is to replace; nil: none
}

// send makes a payment. It is durable before it leaves: save, which the shell gives, writes the wallet down.
func (c *core) send(m messages.SendFunds, save func() error) {
	funded, err := c.pay(&m)
	if err != nil {
		c.tell(m.ReplyTo, messages.SendReply{Err: err})
		return
	}
	txid := funded.Tx.TxHash()
	if err := save(); err != nil {
		c.wallet.Abandon(txid)
		c.tell(m.ReplyTo, messages.SendReply{Err: fmt.Errorf("the payment could not be made durable and was not sent: %w", err)})
		return
	}
	reply := messages.SendReply{Txid: txid, AmountSat: uint64(funded.Tx.TxOut[funded.Outputs[0]].Value), FeeSat: uint64(funded.Fee)}
	c.sending[txid] = sending{to: m.ReplyTo, reply: reply}
	c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: funded.Tx, Label: "send", ReplyTo: messages.FundsAddr})
}

func (c *core) pay(m *messages.SendFunds) (*wallet.Funded, error) {
	if !c.coinsKnown() {
		return nil, ErrNotSynced
	}
	rate, err := c.sendRate(m.FeePerKw, m.Target, sendTarget)
	if err != nil {
		return nil, err
	}
	p := &wallet.Payment{PkScript: m.PkScript, Amount: amount(m.AmountSat), FeeRate: rate}
	if !m.UseReserve {
		p.Keep = amount(c.cfg.Board.Keep())
	}
	return c.wallet.Pay(p)
}

// sendRate is the rate that was given, or an estimate.
func (c *core) sendRate(given, target, otherwise uint32) (chainfee.SatPerKWeight, error) {
	if given != 0 {
		return chainfee.SatPerKWeight(given), nil
	}
	if target == 0 {
		target = otherwise
	}
	if c.fees.state == FeesUnknown || c.fees.state == FeesMissing {
		return 0, ErrNoFeeRate
	}
	return max(chainfee.SatPerKWeight(c.fees.rate(target)), chainfee.FeePerKwFloor), nil
}

// resend offers again what was sent before a restart, of this actor or of the chain's.
func (c *core) resend() {
	for _, tx := range c.wallet.Sent() {
		c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: tx, Label: "send", ReplyTo: messages.FundsAddr})
	}
	for _, x := range c.sortedSweeps() {
		c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: x.tx, Label: sweepLabel, ReplyTo: messages.FundsAddr})
	}
}

// broadcastAnswered is what the chain says of a transaction of ours.
func (c *core) broadcastAnswered(m messages.BroadcastReply, save func() error) {
	refusal := Accepted
	if m.Err != nil {
		refusal = Undecided
		if c.cfg.Classify != nil {
			refusal = c.cfg.Classify(m.Err)
		}
	}
	if x, ok := c.sweeps.txs[m.Txid]; ok {
		c.sweepAnswered(x, refusal, m.Err)
		return
	}
	c.sendAnswered(m.Txid, refusal, m.Err, save)
}

func (c *core) sendAnswered(txid chainhash.Hash, refusal Refusal, err error, save func() error) {
	x, asked := c.sending[txid]
	delete(c.sending, txid)
	if refusal == Accepted || refusal == Undecided || !asked {
		if err != nil {
			c.log.Warn("a payment is not in the mempool; it is offered again with every block", slog.String("txid", txid.String()), slog.Any("error", err))
		}
		x.reply.Accepted = refusal == Accepted
		if x.old != nil {
			c.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: x.old.TxHash()})
		}
		c.tell(x.to, x.reply)
		return
	}
	if x.old != nil {
		c.bumpRefused(txid, x, err, save)
		return
	}
	// Its caller is told that it did not happen, so it must not happen later.
	c.wallet.Abandon(txid)
	c.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: txid})
	reply := messages.SendReply{Err: fmt.Errorf("%w: %w", ErrRefused, err)}
	if failed := save(); failed != nil { // then it is offered again after a restart
		reply = x.reply
		reply.Err = fmt.Errorf("%w: %w; it may be offered again after a restart: %w", ErrRefused, err, failed)
	}
	c.tell(x.to, reply)
}
