package demo

import (
	"context"
	"errors"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
)

// How long a node must have been silent before the next block comes, and how much longer after a crash, whose back-off is silent too.
const (
	breath      = 4 * time.Millisecond
	crashBreath = 60 * time.Millisecond
)

// errReloading says that the monitor of the channel is not there at the moment.
var errReloading = errors.New("the channel is being loaded")

// look asks a side about the channel: what it is, or what is kept of it since it was archived.
func (w *world) look(ctx context.Context, s *side) (found lnactor.Channel, archived *lnactor.ClosedChannel, err error) {
	err = s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		list, err := n.Channels(ctx)
		if err != nil {
			return err
		}
		for _, ch := range list {
			if ch.Channel == w.channel {
				found, archived = ch, nil
				return nil
			}
		}
		closed, _, err := n.ClosedChannels(ctx, nil, 1000)
		if err != nil {
			return err
		}
		for i := range closed {
			if closed[i].Channel == w.channel {
				archived = &closed[i]
				return nil
			}
		}
		return errReloading
	})
	return found, archived, err
}

// follow waits until the nodes have taken in the newest block and are silent, and tells where they stand. spender is what spends the funding output
// in that block, nil for nothing.
func (c *course) follow(ctx context.Context, spender *chainhash.Hash) ([]Stand, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	var stands []Stand
	err := poll2(ctx, func() (bool, error) {
		if !c.crew.calm() {
			return false, nil
		}
		for _, s := range c.live {
			if s.fuse.idle() < c.crew.breath() {
				return false, nil
			}
		}
		stands = stands[:0]
		for _, s := range c.live {
			stand, ok, err := c.stand(ctx, s, spender)
			if err != nil || !ok {
				return false, err
			}
			stands = append(stands, stand)
		}
		return c.crew.calm(), nil
	})
	return stands, err
}

// stand is where a side stands, and whether it has the newest block, and what closed the channel.
func (c *course) stand(ctx context.Context, s *side, spender *chainhash.Hash) (Stand, bool, error) {
	found, archived, err := c.look(ctx, s)
	if errors.Is(err, errReloading) {
		return Stand{}, false, nil
	}
	if err != nil {
		return Stand{}, false, err
	}
	now := Stand{Node: s.name, Balance: found.Balance}
	if archived != nil {
		now.Archived = true
		now.Balance = lnactor.ChannelBalance{
			Swept: archived.SweptSat, Lost: archived.LostSat, Fees: archived.FeesSat, Total: archived.SweptSat + archived.LostSat + archived.FeesSat,
		}
	}
	err = s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		b, err := n.Balance(ctx)
		now.WalletSat = b.ConfirmedSat + b.UnconfirmedSat + b.ReservedSat
		return err
	})
	knows := spender == nil || archived != nil || found.Spent != nil && found.Spent.Txid == *spender
	return now, knows && int64(s.fuse.height()) >= int64(c.chain.Height()), err
}

// question tells whether a message is one of follow's own, which are no sign of life.
func question(msg any) bool {
	switch msg.(type) {
	case messages.ListChannels, messages.ListClosed:
		return true
	}
	return false
}

// poll2 is poll for what is about to happen.
func poll2(ctx context.Context, f func() (bool, error)) error {
	for {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}
