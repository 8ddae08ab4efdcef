package chainwatch

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/messages"
)

const (
	// window is how many blocks back the best chain is known by hash, and so how deep a reorganisation may be. Deeper ones restart the watcher.
	window = 144

	// forgottenDepth is how far a cursor on a branch that nobody knows any more is set back.
	forgottenDepth = 144
)

var (
	errDeepReorg  = errors.New("chainwatch: reorganisation deeper than the known chain, all watchers start again")
	errBrokenPath = errors.New("chainwatch: the source's headers do not connect")
)

// blockID is a block of the best chain.
type blockID struct {
	height uint32
	hash   chainhash.Hash
}

// ask is a question to the chain source. Its answer is an input with the same id. Exactly one of the fields below id says what is asked.
type ask struct {
	id uint64

	tip       bool
	headers   *askHeaders
	hashAt    *uint32
	block     *chainhash.Hash
	broadcast *wire.MsgTx

	// yield asks the shell to let other messages in before it answers: catching up must not lock out registrations.
	yield bool
}

// askHeaders asks for a block and its ancestors, newest first, at most count, ending with the genesis block.
type askHeaders struct {
	hash  chainhash.Hash
	count int
}

// answer is what the source said.
type answer struct {
	id      uint64
	err     error
	tip     blockID
	headers []blockID
	hash    chainhash.Hash
	block   *wire.MsgBlock
}

// effects is what a step wants done, in this order.
type effects struct {
	send []messages.Delivery
	asks []ask

	// retry asks for a call of core.retry after a back-off that grows with the number.
	retry int

	// fatal ends this incarnation: its memory no longer fits the chain.
	fatal error
}

// purpose says what the open question is for.
type purpose uint8

const (
	wantNothing purpose = iota
	wantTip
	wantWindow
	wantPath
	wantPathBlock
	wantCursorHash
	wantCursorHeaders
	wantForkHash
	wantScanHash
	wantScanBlock
)

// core follows the best chain and serves watchers. It is not safe for concurrent use.
type core struct {
	best

	// want is the purpose of the open question about the chain, wantID its id.
	want   purpose
	wantID uint64
	lastID uint64

	// blocked: the source failed; nothing is asked until retry.
	blocked  bool
	failures int

	watchers map[watcherKey]*watcher
	index    index
	wakes    wakeQueue             // of live watchers
	told     map[uint32][]*watcher // who was told of a height, as far as the window reaches
	cursors  cursorQueue
	scan     pass

	subs  []*subscriber
	casts broadcasts

	out effects
}

func newCore() *core {
	return &core{
		best:     best{below: make(map[uint32]chainhash.Hash), dirty: true},
		watchers: make(map[watcherKey]*watcher),
		index:    newIndex(),
		told:     make(map[uint32][]*watcher),
		cursors:  newCursorQueue(),
		casts:    newBroadcasts(),
	}
}

// done ends a step: it decides what to ask next and hands out the effects.
func (c *core) done() effects {
	c.proceed()
	out := c.out
	c.out = effects{}
	return out
}

func (c *core) send(to messages.Addr, msg any) {
	if to != "" {
		c.out.send = append(c.out.send, messages.Delivery{To: to, Msg: msg})
	}
}

// start and tipChanged are hints: the best chain may have moved.
func (c *core) tipChanged() effects {
	c.dirty = true
	return c.done()
}

// retry is called after the back-off that effects.retry asked for.
func (c *core) retry() effects {
	if c.blocked {
		c.blocked, c.dirty = false, true
	}
	return c.done()
}

// answer takes what the source said. Answers to questions that are not open are dropped.
func (c *core) answer(a answer) effects {
	switch a.id {
	case 0:
	case c.wantID:
		p := c.want
		c.want, c.wantID = wantNothing, 0
		c.read(p, a)
	case c.casts.openID:
		c.castAnswered(a)
	}
	return c.done()
}

func (c *core) read(p purpose, a answer) {
	if a.err != nil && !errors.Is(a.err, chain.ErrNotFound) {
		c.sourceFailed(a.err)
		return
	}
	var err error
	switch p {
	case wantTip:
		err = c.gotTip(a)
	case wantWindow:
		err = c.gotWindow(a)
	case wantPath:
		err = c.gotPath(a)
	case wantPathBlock:
		err = c.gotPathBlock(a)
	case wantCursorHash:
		err = c.gotCursorHash(a)
	case wantCursorHeaders:
		c.gotCursorHeaders(a)
	case wantForkHash:
		err = c.gotForkHash(a)
	case wantScanHash:
		err = c.gotScanHash(a)
	case wantScanBlock:
		err = c.gotScanBlock(a)
	}
	switch {
	case err == nil:
		c.failures = 0
	case errors.Is(err, errDeepReorg):
		c.out.fatal = err
	default:
		// The chain moved between two questions: begin again at the tip, but not in a tight loop.
		c.path, c.fetched = nil, nil
		c.sourceFailed(err)
	}
}

// sourceFailed stops asking until the shell calls retry.
func (c *core) sourceFailed(err error) {
	if errors.Is(err, chain.ErrWrongChain) {
		c.out.fatal = err
		return
	}
	if !c.blocked {
		c.blocked = true
		c.failures++
		c.out.retry = c.failures
	}
}

// proceed opens the next question, if none is open: the tip first, then cursors, then catching up.
func (c *core) proceed() {
	if c.out.fatal != nil || c.blocked {
		return
	}
	c.castNext()
	if c.want != wantNothing {
		return
	}
	switch {
	case c.follow():
	case c.resolveNext():
	case c.scanNext():
	}
}

// open asks a question about the chain.
func (c *core) open(p purpose, q ask) {
	c.lastID++
	q.id = c.lastID
	c.want, c.wantID = p, q.id
	c.out.asks = append(c.out.asks, q)
}

func unexpected(what string, err error) error {
	return fmt.Errorf("chainwatch: %s: %w", what, err)
}
