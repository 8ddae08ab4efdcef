package chainwatch

import (
	"errors"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/messages"
)

// forgetDepth is how many blocks bury a transaction before it is no longer kept for the case that a reorganisation throws it out.
const forgetDepth = 100

// cast is a transaction that must confirm.
type cast struct {
	txid chainhash.Hash
	tx   *wire.MsgTx
	to   []messages.Addr
	then []messages.Delivery // after the next answer

	// height of the block that holds it, 0 while there is none.
	height uint32

	// answered: the source was asked at least once; reason is what it said then, reported when it changes.
	answered bool
	reason   castReason
	queued   bool
	gone     bool
}

// castReason tells failures apart for reporting.
type castReason struct {
	code  chain.BroadcastCode
	other string
}

// broadcasts are offered in order of arrival, one at a time, and again after every block.
type broadcasts struct {
	byID  map[chainhash.Hash]*cast
	order []*cast
	queue []*cast

	open   *cast
	openID uint64
}

func newBroadcasts() broadcasts { return broadcasts{byID: make(map[chainhash.Hash]*cast)} }

// broadcast takes a transaction to the chain. A repeat is tried and answered again.
func (c *core) broadcast(m messages.Broadcast) effects {
	if m.Tx == nil {
		return c.done()
	}
	b := &c.casts
	txid := m.Tx.TxHash()
	x, ok := b.byID[txid]
	if !ok {
		x = &cast{txid: txid, tx: m.Tx}
		b.byID[txid] = x
		b.order = append(b.order, x)
	}
	if m.ReplyTo != "" && !slices.Contains(x.to, m.ReplyTo) {
		x.to = append(x.to, m.ReplyTo)
	}
	x.then = append(x.then, m.Then...)
	x.answered = false
	c.queueCast(x)
	return c.done()
}

// withdraw ends the rebroadcast of a transaction.
func (c *core) withdraw(m messages.Withdraw) effects {
	if x, ok := c.casts.byID[m.Txid]; ok {
		c.forgetCast(x)
		c.casts.order = slices.DeleteFunc(c.casts.order, func(y *cast) bool { return y == x })
	}
	return c.done()
}

func (c *core) forgetCast(x *cast) {
	x.gone = true
	delete(c.casts.byID, x.txid)
}

func (c *core) queueCast(x *cast) {
	if !x.queued && !x.gone {
		x.queued = true
		c.casts.queue = append(c.casts.queue, x)
	}
}

// castsDue offers everything unconfirmed again.
func (c *core) castsDue() {
	for _, x := range c.casts.order {
		if x.height == 0 {
			c.queueCast(x)
		}
	}
}

func (c *core) castNext() {
	b := &c.casts
	for b.open == nil && len(b.queue) > 0 {
		x := b.queue[0]
		b.queue = b.queue[1:]
		x.queued = false
		if x.gone {
			continue
		}
		c.lastID++
		b.open, b.openID = x, c.lastID
		c.out.asks = append(c.out.asks, ask{id: b.openID, broadcast: x.tx})
	}
}

func (c *core) castAnswered(a answer) {
	b := &c.casts
	x := b.open
	b.open, b.openID = nil, 0
	if x.gone {
		return
	}
	reason, err := classify(a.err)
	if !x.answered || reason != x.reason {
		for _, to := range x.to {
			c.send(to, messages.BroadcastReply{Txid: x.txid, Err: err})
		}
	}
	x.answered, x.reason = true, reason
	for _, d := range x.then {
		c.send(d.To, d.Msg)
	}
	x.then = nil
	var be *chain.BroadcastError
	if errors.As(a.err, &be) && be.Code == chain.BroadcastConfirmed && x.height == 0 && c.ready {
		// It confirmed in a block that was not looked at for it. Taking the tip for that block errs on the side of offering it again.
		x.height = c.tip().height
	}
	if reason.other != "" { // not an answer about the transaction
		c.queueCast(x)
		c.sourceFailed(a.err)
	}
}

// classify says what is reported, and by what two reports are equal.
func classify(err error) (castReason, error) {
	if chain.IsKnown(err) {
		return castReason{}, nil
	}
	var be *chain.BroadcastError
	if errors.As(err, &be) {
		return castReason{code: be.Code}, err
	}
	return castReason{other: err.Error()}, err
}

// castsConnected notes what a block confirms, and lets go of what is buried deep enough.
func (c *core) castsConnected(id blockID, block *wire.MsgBlock) {
	b := &c.casts
	if len(b.order) == 0 {
		return
	}
	for _, tx := range block.Transactions {
		if x, ok := b.byID[tx.TxHash()]; ok {
			x.height = id.height
		}
	}
	b.order = slices.DeleteFunc(b.order, func(x *cast) bool {
		if x.height != 0 && id.height-x.height >= forgetDepth {
			c.forgetCast(x)
			return true
		}
		return false
	})
}

// castsDisconnected offers again what a reorganisation threw out, once the new tip is reached.
func (c *core) castsDisconnected(fork uint32) {
	for _, x := range c.casts.order {
		if x.height > fork {
			x.height = 0
		}
	}
}
