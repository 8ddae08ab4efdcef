package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lnactor/lnactor"
)

// held is a payment that its payee holds, neither claimed nor refused.
type held struct {
	purchase
	hash    lnactor.Hash
	id      lnactor.PaymentID
	claimed bool // its payee was told to claim it
}

// holdable lets both sides hold what is paid to them: their users claimed everything so far.
func (c *course) holdable(ctx context.Context) error {
	for _, s := range c.sides {
		s.manual = true
		if err := s.close(); err != nil {
			return err
		}
		if err := s.open(ctx); err != nil {
			return err
		}
		c.tell(Did{Node: s.name, What: "was restarted, to ask its user about each payment"})
	}
	return c.ready(ctx)
}

// ready waits until both sides can pay.
func (c *course) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	_ = c.connect(ctx, c.links[0]) // the other side may have done it; keepConnected tries again
	return c.awaitOpen(ctx)
}

// hold makes payments to be held, of so many satoshis each, in turns from alice to bob and back.
func (c *course) hold(ctx context.Context, amounts ...uint64) ([]*held, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	var list []*held
	for i, sat := range amounts {
		h, err := c.holdOne(ctx, purchase{
			number: c.opts.Payments + len(c.held) + 1, payer: c.sides[i%2], payee: c.sides[1-i%2], msat: sat * 1000,
		})
		if err != nil {
			return nil, err
		}
		c.held, list = append(c.held, h), append(list, h)
	}
	return list, nil
}

func (c *course) holdOne(ctx context.Context, p purchase) (*held, error) {
	inv, err := c.shop.invoice(ctx, p)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		id, err := c.shop.send(ctx, p, inv, try)
		if err != nil {
			return nil, err
		}
		arrived := func() (bool, error) { return c.ledger.holds(inv.Hash), nil }
		err = poll(ctx, func() (bool, error) {
			how, _, _ := c.ledger.outcome(id)
			yes, _ := arrived()
			return yes || how != pending, nil
		})
		if err != nil {
			return nil, err
		}
		if yes, _ := arrived(); yes {
			return &held{purchase: p, hash: inv.Hash, id: id}, nil
		}
	}
}

// claim has the payee claim a held payment, and waits until its node says so.
func (c *course) claim(ctx context.Context, list ...*held) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	for _, h := range list {
		h.claimed = true
		c.tell(Did{Node: h.payee.name, What: "claims a payment", Sat: h.msat / 1000})
		if err := c.decide(ctx, h, func(ctx context.Context, n *lnactor.Node) error { return n.ClaimPayment(ctx, h.hash) }, func() bool {
			yes, _ := c.ledger.claimed(h.hash)
			return yes
		}); err != nil {
			return fmt.Errorf("%s: claim %s: %w", h.payee.name, h.hash, err)
		}
	}
	return nil
}

// refuse has the payee refuse a held payment, and waits until its payer has it back.
func (c *course) refuse(ctx context.Context, list ...*held) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	for _, h := range list {
		if err := c.decide(ctx, h, func(ctx context.Context, n *lnactor.Node) error { return n.RefusePayment(ctx, h.hash) }, func() bool {
			how, _, _ := c.ledger.outcome(h.id)
			return how != pending
		}); err != nil {
			return fmt.Errorf("%s: refuse %s: %w", h.payee.name, h.hash, err)
		}
	}
	return nil
}

// decide makes a decision about a held payment. An answer that a crash swallowed leaves open whether it was made, and the payment is then not held
// any more: what counts is what the user is told.
func (c *course) decide(ctx context.Context, h *held, f func(context.Context, *lnactor.Node) error, done func() bool) error {
	err := h.payee.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		err := f(ctx, n)
		for wait := patience; errors.Is(err, lnactor.ErrNotHeld) && !done() && wait > 0; wait -= 10 * time.Millisecond {
			time.Sleep(10 * time.Millisecond)
		}
		if errors.Is(err, lnactor.ErrNotHeld) && done() {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) { return done(), nil })
}

// claims is what a side claimed of held payments, in satoshi.
func (c *course) claims(name string) (sat uint64) {
	for _, h := range c.held {
		if h.claimed && h.payee.name == name && c.opts.Close == CloseForce {
			sat += h.msat / 1000
		}
	}
	return sat
}
