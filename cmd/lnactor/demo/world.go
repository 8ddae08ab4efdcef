package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/database"
	"github.com/btcsuite/btcd/txscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// What the channel begins with: half of it on either side.
const (
	capacitySat = 10_000_000
	fundingSat  = 20_000_000
	feesSat     = 1_000_000 // for bob's claims when the channel is closed
)

// world is the chain, the nodes on it, and what all parts of a run share.
type world struct {
	dir      string
	log      *slog.Logger
	chain    *regtest.Chain
	sides    [2]*side // alice, who funds the channel, and bob
	ledger   *ledger
	saboteur *saboteur
	tell     func(News)
	began    time.Time
	fail     context.CancelCauseFunc // ends the run

	channel   lnactor.ChannelID
	continued bool
}

func (w *world) now() time.Duration { return time.Since(w.began) }

func (w *world) alice() *side { return w.sides[0] }
func (w *world) bob() *side   { return w.sides[1] }

// open starts the chain and the nodes, and opens the channel if there is none.
func (w *world) open(ctx context.Context) (err error) {
	w.tell(Opening{"an embedded regtest chain"})
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	if w.chain, err = regtest.New(filepath.Join(w.dir, "chain")); err != nil {
		return chainError(err)
	}
	for _, s := range w.sides {
		w.tell(Opening{"node " + s.name})
		if err := s.open(ctx); err != nil {
			return err
		}
	}
	if err := w.connect(ctx); err != nil {
		return err
	}
	alice, err := w.summary(ctx, w.alice())
	switch {
	case err == nil:
		w.channel, w.continued = alice.Channel, true
	case errors.Is(err, lnactor.ErrNotFound):
		if err := w.openChannel(ctx); err != nil {
			return fmt.Errorf("open the channel: %w", err)
		}
	default:
		return err
	}
	return w.awaitOpen(ctx)
}

// chainError tells by its kind that another process has the chain: a second demo on the same directory meets that before it meets the nodes.
func chainError(err error) error {
	if e, ok := errors.AsType[database.Error](err); ok && errors.Is(e.Err, syscall.EAGAIN) {
		return fmt.Errorf("%w: %w", lnactor.ErrInUse, err)
	}
	return err
}

func (w *world) connect(ctx context.Context) error {
	bob, err := w.bob().get(ctx)
	if err != nil {
		return err
	}
	alice, err := w.alice().get(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return alice.Connect(ctx, bob.ID(), bob.ListenAddress())
}

// keepConnected does what a user with payments under way does about a lost connection: it does not wait for the end of the node's back-off,
// which grows while connections end soon after they begin, as here.
func (w *world) keepConnected(ctx context.Context) {
	for ctx.Err() == nil {
		if node, err := w.alice().get(ctx); err == nil {
			call, cancel := context.WithTimeout(ctx, patience)
			peers, err := node.Peers(call)
			cancel()
			if err == nil && !slices.ContainsFunc(peers, func(p lnactor.Peer) bool { return p.Connected }) {
				_ = w.connect(ctx) // the peer may be down, or this node by now; it is tried again
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (w *world) openChannel(ctx context.Context) error {
	w.tell(Opening{"a channel, with half of its money on each side"})
	if err := w.fund(ctx, w.alice(), fundingSat); err != nil {
		return err
	}
	bob, err := w.bob().get(ctx)
	if err != nil {
		return err
	}
	if err := w.alice().do(ctx, func(ctx context.Context, alice *lnactor.Node) (err error) {
		w.channel, err = alice.OpenChannel(ctx, lnactor.OpenParams{
			Peer: bob.ID(), CapacitySat: capacitySat, PushMsat: capacitySat / 2 * 1000,
		})
		return err
	}); err != nil {
		return err
	}
	_, err = w.chain.Mine(3)
	return err
}

// fund gives a node money on chain.
func (w *world) fund(ctx context.Context, s *side, sat uint64) error {
	node, err := s.get(ctx)
	if err != nil {
		return err
	}
	text, err := node.NewAddress(ctx)
	if err != nil {
		return err
	}
	address, err := btcutil.DecodeAddress(text, w.chain.Params())
	if err != nil {
		return err
	}
	script, err := txscript.PayToAddrScript(address)
	if err != nil {
		return err
	}
	if _, err := w.chain.Fund(script, btcutil.Amount(sat)); err != nil {
		return err
	}
	if _, err := w.chain.Mine(1); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		b, err := node.Balance(ctx)
		return b.ConfirmedSat >= sat, err
	})
}

// summary is the open channel as one side sees it.
func (w *world) summary(ctx context.Context, s *side) (lnactor.Channel, error) {
	var found lnactor.Channel
	err := s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		list, err := n.Channels(ctx)
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.Phase != lnactor.PhaseClosed && (w.channel == lnactor.ChannelID{} || c.Channel == w.channel) {
				found = c
				return nil
			}
		}
		return lnactor.ErrNotFound
	})
	return found, err
}

// awaitOpen waits until both sides can use the channel and nothing is under way in it.
func (w *world) awaitOpen(ctx context.Context) error {
	for _, s := range w.sides {
		err := poll(ctx, func() (bool, error) {
			c, err := w.summary(ctx, s)
			if errors.Is(err, lnactor.ErrNotFound) {
				return false, nil
			}
			return c.Phase == lnactor.PhaseOpen && atRest(c), err
		})
		if err != nil {
			return fmt.Errorf("%s: the channel does not open: %w", s.name, err)
		}
	}
	return nil
}

func atRest(c lnactor.Channel) bool {
	return c.UnackedEvents == 0 && c.OutboundHTLCs == 0 && c.InboundHTLCs == 0
}

// balances asks both nodes.
func (w *world) balances(ctx context.Context) (map[string]Balance, error) {
	all := map[string]Balance{}
	for _, s := range w.sides {
		err := s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
			b, err := n.Balance(ctx)
			all[s.name] = Balance{OnChainSat: b.ConfirmedSat + b.UnconfirmedSat + b.ReservedSat, ChannelMsat: b.ChannelsMsat}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// close stops everything, both nodes at once: each may wait for the other's last words.
func (w *world) close() error {
	var both sync.WaitGroup
	errs := make([]error, len(w.sides))
	for i, s := range w.sides {
		both.Go(func() { errs[i] = s.close() })
	}
	both.Wait()
	if w.chain != nil {
		return errors.Join(append(errs, w.chain.Close())...) //nolint:makezero // errs is full
	}
	return errors.Join(errs...)
}

// poll asks until the answer is yes.
func poll(ctx context.Context, f func() (bool, error)) error {
	for {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
