package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
)

// anchorSat is the value of an anchor (BOLT 3).
const anchorSat = 330

// longest is how many blocks a close may take. The longest has an expiry, a delay and the depth of the archive, about 300 blocks.
const longest = 800

// errLongest ends a course that takes more blocks than that.
var errLongest = errors.New("the channel is not resolved")

// course is the close of the channel, block by block.
type course struct {
	*run
	live   []*side // whose nodes run
	held   []*held
	before map[string]Balance
	stood  map[string]Stand
	least  map[string]uint64 // what a side's total may not fall below
	mine   *explorer
	crew   *wreckers
	friend *wire.MsgTx // to be in the next block, alone
	quiet  int
	book   OnChain
}

// runCourse closes the channel as the options say and follows it until every side that runs has archived it.
func (r *run) runCourse(ctx context.Context) error {
	c := &course{
		run: r, live: r.sides[:], stood: map[string]Stand{}, least: map[string]uint64{},
		book: OnChain{Kind: r.opts.Close, Transactions: []ChainTx{}, Sides: map[string]Closed{}},
	}
	r.report.OnChain = &c.book
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keepConnected(ctx) })
	defer keeper.Wait()
	defer cancel()

	ways := map[CloseKind]func(context.Context) error{CloseCooperative: c.cooperative, CloseForce: c.force, CloseRevoked: c.revoked}
	c.crew = newWreckers(r, c.bombs())
	err := ways[r.opts.Close](ctx)
	if err == nil {
		err = c.last(ctx)
	}
	c.crew.end()
	c.book.Crashes = c.crew.struck()
	if err == nil {
		err = c.settleBooks(ctx)
	}
	return err
}

// checkpoint looks at the books while the channel is still open, then nothing but the close can be at fault, and notes what both sides have.
func (c *course) checkpoint(ctx context.Context) error {
	c.tell(Settling{"everything to be at rest"})
	if err := c.awaitIdle(ctx); err != nil {
		return err
	}
	before, err := c.balances(ctx)
	c.before = before
	if err != nil {
		return err
	}
	alice, err := c.summary(ctx, c.alice())
	if err != nil {
		return err
	}
	c.mine = newExplorer([2]string{c.alice().name, c.bob().name}, wire.OutPoint{Hash: chainhash.Hash(alice.FundingTxid), Index: alice.FundingIndex})
	for height := int32(1); height <= c.chain.Height(); height++ {
		block, err := c.chain.Block(height)
		if err != nil {
			return err
		}
		for _, tx := range block.Transactions {
			c.mine.learn(tx)
		}
	}
	for _, s := range c.sides {
		ch, err := c.summary(ctx, s)
		if err != nil {
			return err
		}
		c.least[s.name] = (ch.HolderMsat + ch.OutboundMsat) / 1000
		c.book.Sides[s.name] = Closed{WalletBeforeSat: before[s.name].OnChainSat, ChannelSat: c.least[s.name]}
	}
	c.gossip()
	c.tell(Closing{Kind: c.opts.Close, Held: len(c.held)})
	return nil
}

// awaitIdle waits until nothing moves in both nodes.
func (c *course) awaitIdle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		for _, s := range c.live {
			if s.fuse.idle() < 20*time.Millisecond {
				return false, nil
			}
		}
		return true, nil
	})
}

// until mines blocks until something has happened, or the nodes are through.
func (c *course) until(ctx context.Context, what string, f func() bool) error {
	for !f() {
		if c.book.Blocks >= longest {
			return fmt.Errorf("%w after %d blocks: %s", errLongest, c.book.Blocks, what)
		}
		if err := c.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// blocks mines some.
func (c *course) blocks(ctx context.Context, n int) error {
	for range n {
		if err := c.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// archived tells whether all that run have archived the channel.
func (c *course) archived() bool {
	for _, s := range c.live {
		if !c.stood[s.name].Archived {
			return false
		}
	}
	return true
}

// step mines a block, gives the nodes time for it and looks at what it did.
func (c *course) step(ctx context.Context) error {
	c.crew.arm(ctx, c.book.Blocks, c.live, len(c.chain.Mempool()) > 0, func(node string) bool { return c.stood[node].Archived })
	mined, err := c.mineNext()
	if err != nil {
		return err
	}
	c.book.Blocks++
	stands, err := c.follow(ctx, c.mine.closes(mined))
	if err != nil {
		return err
	}
	c.gossip()
	block := BlockMined{Height: c.chain.Height(), Quiet: c.quiet}
	for _, tx := range mined.Transactions[1:] {
		t := c.mine.label(tx, block.Height, func() (string, TxKind) { return c.closer(ctx) })
		if t.Kind == TxOther && t.TakesSat == 0 {
			continue
		}
		c.book.Transactions = append(c.book.Transactions, t)
		block.Txs = append(block.Txs, t)
		if t.Kind == TxCooperative || t.Kind == TxCommitment || t.Kind == TxRevoked {
			c.book.ClosingTxid, c.book.ClosingHeight = t.Txid, t.Height
		}
	}
	for _, now := range stands {
		c.judge(now, block)
		if was, seen := c.stood[now.Node]; !seen || changed(was, now) {
			block.Sides = append(block.Sides, now)
		}
		c.stood[now.Node] = now
	}
	if len(block.Txs) == 0 && len(block.Sides) == 0 {
		c.quiet++
		return nil
	}
	c.quiet = 0
	c.tell(block)
	return c.rest(ctx)
}

// gossip tells what came again and was acknowledged, and which payments were made again.
func (c *course) gossip() {
	c.shop.tellRetried()
	for _, s := range c.sides {
		s.tally.news()
	}
}

// mineNext mines what the mempool has, or what its miner was asked for.
func (c *course) mineNext() (*wire.MsgBlock, error) {
	if tx := c.friend; tx != nil {
		c.friend = nil
		return c.chain.MineTxs(tx)
	}
	blocks, err := c.chain.Mine(1)
	if err != nil {
		return nil, err
	}
	return blocks[0], nil
}

// rest lets a reader follow.
func (c *course) rest(ctx context.Context) error {
	if c.opts.Pace <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(c.opts.Pace):
		return nil
	}
}

func changed(a, b Stand) bool {
	a.Balance.SpendableAt, b.Balance.SpendableAt = 0, 0
	return a.Balance != b.Balance || a.Archived != b.Archived
}

// judge holds a side's balance against what it was: the parts add up, and the total stays but for payments that the side learned the preimage of.
func (c *course) judge(now Stand, block BlockMined) {
	b := now.Balance
	if sum := b.Available + b.InHTLCs + b.Awaiting + b.Contested + b.Swept + b.Fees + b.Lost; sum != b.Total && !now.Archived {
		c.fault("%s: at block %d its parts add up to %d sat and its total is %d", now.Node, block.Height, sum, b.Total)
	}
	was, seen := c.stood[now.Node]
	floor := c.least[now.Node]
	if seen && c.opts.Close != CloseRevoked {
		floor = was.Balance.Total
	}
	most := c.least[now.Node] + c.claims(now.Node)
	if now.Node != c.alice().name {
		most += anchorSat // alice, the funder, paid for his
	}
	if c.opts.Close == CloseRevoked { // what was hers until she knows what can be punished, and then all of that
		if floor, most = c.least[now.Node], capacitySat; seen && was.Balance.Total > c.least[now.Node] {
			floor, most = was.Balance.Total, was.Balance.Total
		}
	}
	if b.Total < floor || b.Total > most {
		c.fault("%s: at block %d its total is %d sat, and should be from %d to %d", now.Node, block.Height, b.Total, floor, most)
	}
}

// closer says who closed the channel, and how, as alice's monitor has it.
func (c *course) closer(ctx context.Context) (string, TxKind) {
	found, archived, err := c.look(ctx, c.alice())
	if err != nil || archived != nil || found.Spent == nil {
		c.fault("alice does not know what spent the funding output (%v)", err)
		return "", TxOther
	}
	switch found.Spent.Spend {
	case lnactor.SpendMutualClose:
		return "", TxCooperative
	case lnactor.SpendHolder:
		return c.alice().name, TxCommitment
	case lnactor.SpendCounterparty:
		return c.bob().name, TxCommitment
	case lnactor.SpendRevoked:
		return c.bob().name, TxRevoked
	}
	c.fault("the funding output is spent by something that alice does not know")
	return "", TxOther
}
