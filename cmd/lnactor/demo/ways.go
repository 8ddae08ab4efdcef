package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/lnactor/lnactor"
)

// cooperative: both sides sign a closing transaction.
func (c *course) cooperative(ctx context.Context) error {
	if err := c.checkpoint(ctx); err != nil {
		return err
	}
	c.tell(Did{Node: c.alice().name, What: "asks bob to close the channel"})
	if err := c.ask(ctx, func(ctx context.Context, n *lnactor.Node) error { return n.CloseChannel(ctx, c.channel) }); err != nil {
		return fmt.Errorf("close the channel: %w", err)
	}
	if err := c.awaitTransaction(ctx); err != nil {
		return err
	}
	return c.until(ctx, "cooperative close", c.archived)
}

// force: alice closes with payments in flight both ways. Of each way one is claimed before her commitment confirms, one after it, one never.
func (c *course) force(ctx context.Context) error {
	if err := c.holdable(ctx); err != nil {
		return err
	}
	list, err := c.hold(ctx, c.sat(), c.sat(), c.sat(), c.sat(), c.sat(), c.sat())
	if err != nil {
		return err
	}
	if err := c.checkpoint(ctx); err != nil {
		return err
	}
	c.tell(Did{Node: c.alice().name, What: "force-closes the channel"})
	if err := c.ask(ctx, func(ctx context.Context, n *lnactor.Node) error { return n.ForceCloseChannel(ctx, c.channel) }); err != nil {
		return fmt.Errorf("force-close the channel: %w", err)
	}
	if err := c.claim(ctx, list[0], list[1]); err != nil {
		return err
	}
	if err := c.awaitTransaction(ctx); err != nil {
		return err
	}
	if err := c.blocks(ctx, 4); err != nil {
		return err
	}
	if err := c.claim(ctx, list[2], list[3]); err != nil {
		return err
	}
	return c.until(ctx, "force-close", c.archived)
}

// spent is what bob pays in satoshi before he cheats: what he would like to have back.
const spent = 1_000_000

// revoked: bob keeps a copy of his data from when he was richer and four payments were in flight, and closes with it later.
func (c *course) revoked(ctx context.Context) error {
	if err := c.holdable(ctx); err != nil {
		return err
	}
	list, err := c.hold(ctx, c.sat(), c.sat(), c.sat(), c.sat())
	if err != nil {
		return err
	}
	bob, copied := c.bob(), filepath.Join(c.dir, "bob-then")
	if err := bob.close(); err != nil {
		return err
	}
	if err := backUp(bob.dir, copied); err != nil {
		return err
	}
	c.tell(Did{Node: bob.name, What: "keeps a copy of his data, with four payments in flight"})
	if err := bob.open(ctx); err != nil {
		return err
	}
	if err := c.reconnect(ctx); err != nil {
		return err
	}
	if err := c.claim(ctx, list[0], list[1]); err != nil {
		return err
	}
	if err := c.refuse(ctx, list[2], list[3]); err != nil {
		return err
	}
	c.tell(Did{Node: bob.name, What: "pays alice for something good", Sat: spent})
	paid, err := c.holdOne(ctx, purchase{number: c.opts.Payments + len(c.held) + 1, payer: bob, payee: c.alice(), msat: spent * 1000})
	if err != nil {
		return err
	}
	c.held = append(c.held, paid)
	if err := c.claim(ctx, paid); err != nil {
		return err
	}
	if err := c.awaitOpen(ctx); err != nil {
		return err
	}
	if err := c.checkpoint(ctx); err != nil {
		return err
	}
	return c.cheat(ctx, copied, list[0])
}

// cheat: bob's node stays down, and he publishes what he makes of his copy: the commitment, and a claim of a payment that he had claimed off chain
// since. The claim has no fee, which no mempool takes, but the miner of the next block is a friend of his.
func (c *course) cheat(ctx context.Context, copied string, claimed *held) error {
	bob := c.bob()
	if err := bob.close(); err != nil {
		return err
	}
	c.live = c.live[:1]
	l, err := steal(copied, c.channel, c.chain.Params())
	if err != nil {
		return fmt.Errorf("bob's copy: %w", err)
	}
	closing, err := l.commitment()
	if err != nil {
		return fmt.Errorf("bob's old commitment: %w", err)
	}
	again, err := l.success(c.ledger.proof(claimed.id))
	if err != nil {
		return fmt.Errorf("bob's claim: %w", err)
	}
	c.tell(Did{Node: bob.name, What: "stops his node and broadcasts his commitment of then"})
	if err := c.chain.Broadcast(closing); err != nil {
		return err
	}
	if err := c.step(ctx); err != nil {
		return err
	}
	c.tell(Did{Node: bob.name, What: "has a miner include his claim of a payment that he was paid already", Sat: claimed.msat / 1000})
	c.friend = again
	return c.until(ctx, "revoked commitment", c.archived)
}

// sat is an amount with an output of its own, in whole satoshis, so that what is rounded is as before.
func (c *course) sat() uint64 { return 20_000 + c.rng.Uint64N(180_000) }

// ask asks alice for something until there is an answer.
func (c *course) ask(ctx context.Context, f func(context.Context, *lnactor.Node) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	return c.alice().do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		err := f(ctx, n)
		if errors.Is(err, lnactor.ErrNotFound) { // its monitor is being loaded
			return lnactor.ErrStarting
		}
		return err
	})
}

// awaitTransaction waits until the transaction that closes the channel is on its way.
func (c *course) awaitTransaction(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	return poll(ctx, func() (bool, error) { return len(c.chain.Mempool()) > 0, nil })
}

// last has the remaining crashes happen and waits until the users know everything.
func (c *course) last(ctx context.Context) error {
	for range spans[c.opts.Close] {
		if c.crew.through() {
			break
		}
		if err := c.step(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	c.tell(Settling{"the last acknowledgements"})
	return poll(ctx, func() (bool, error) {
		var e Events
		for _, s := range c.sides {
			s.tally.add(&e)
		}
		for _, s := range c.live {
			if !c.ledger.resolved(s.name, c.channel) {
				return false, nil
			}
		}
		for _, h := range c.held {
			if how, _, _ := c.ledger.outcome(h.id); how == pending {
				return false, nil
			}
		}
		return e.Unacked == 0, nil
	})
}

// through tells whether all bombs have gone off.
func (w *wreckers) through() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.armed {
		b.skip.Store(0)
	}
	return w.hits == len(w.bombs) && w.down == 0
}

// reconnect waits until both sides are connected again while payments are in flight.
func (c *course) reconnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	_ = c.connect(ctx, c.links[0])
	return poll(ctx, func() (bool, error) {
		for _, s := range c.sides {
			up := false
			if err := s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
				peers, err := n.Peers(ctx)
				for _, p := range peers {
					up = up || p.Connected
				}
				return err
			}); err != nil || !up {
				return false, err
			}
		}
		return true, nil
	})
}
