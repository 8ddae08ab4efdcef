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
	sides    []*side // alice, who funds the channel of a pair, bob and so on
	links    []link
	ledger   *ledger
	saboteur *saboteur
	tell     func(News)
	began    time.Time
	fail     context.CancelCauseFunc // ends the run

	channels  []lnactor.ChannelID // of the links
	channel   lnactor.ChannelID   // the first: of a pair there is no other
	continued bool
}

func (w *world) now() time.Duration { return time.Since(w.began) }

func (w *world) alice() *side { return w.sides[0] }
func (w *world) bob() *side   { return w.sides[1] }

// open starts the chain and the nodes, and opens the channels if there are none.
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
	for _, l := range w.links {
		if err := w.connect(ctx, l); err != nil {
			return err
		}
	}
	if err := w.openChannels(ctx); err != nil {
		return err
	}
	w.channel = w.channels[0]
	if err := w.awaitOpen(ctx); err != nil {
		return err
	}
	return w.awaitGossip(ctx)
}

// chainError tells by its kind that another process has the chain: a second demo on the same directory meets that before it meets the nodes.
func chainError(err error) error {
	if e, ok := errors.AsType[database.Error](err); ok && errors.Is(e.Err, syscall.EAGAIN) {
		return fmt.Errorf("%w: %w", lnactor.ErrInUse, err)
	}
	return err
}

func (w *world) connect(ctx context.Context, l link) error {
	to, err := w.sides[l.to].get(ctx)
	if err != nil {
		return err
	}
	from, err := w.sides[l.from].get(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return from.Connect(ctx, to.ID(), to.ListenAddress())
}

// keepConnected does what a user with payments under way does about a lost connection: it does not wait for the end of the node's back-off,
// which grows while connections end soon after they begin, as here.
func (w *world) keepConnected(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range w.links {
		all.Go(func() { w.keepLink(ctx, l) })
	}
	all.Wait()
}

func (w *world) keepLink(ctx context.Context, l link) {
	for ctx.Err() == nil {
		from, err := w.sides[l.from].get(ctx)
		to, err2 := w.sides[l.to].get(ctx)
		if err == nil && err2 == nil {
			call, cancel := context.WithTimeout(ctx, patience)
			peers, err := from.Peers(call)
			cancel()
			if err == nil && !slices.ContainsFunc(peers, func(p lnactor.Peer) bool { return p.Connected && p.Peer == to.ID() }) {
				_ = w.connect(ctx, l) // the peer may be down, or this node by now; it is tried again
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// openChannels finds the channels of an earlier run, and opens those that are missing, with half of the money on each side.
func (w *world) openChannels(ctx context.Context) error {
	w.channels = make([]lnactor.ChannelID, len(w.links))
	missing := map[int][]int{} // links by who pays for them
	for i, l := range w.links {
		c, err := w.between(ctx, l)
		switch {
		case err == nil:
			w.channels[i], w.continued = c.Channel, true
		case errors.Is(err, lnactor.ErrNotFound):
			missing[l.from] = append(missing[l.from], i)
		default:
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	what := "a channel, with half of its money on each side"
	if len(w.links) > 1 {
		what = fmt.Sprintf("%d public channels, with half of their money on each side", len(w.links))
	}
	w.tell(Opening{what})
	for from, links := range missing {
		for _, i := range links { // a coin for each: change would have to confirm first
			if err := w.fund(ctx, w.sides[from], fundingSat); err != nil {
				return err
			}
			if err := w.openChannel(ctx, i); err != nil {
				return fmt.Errorf("open the channel: %w", err)
			}
		}
	}
	depth := 3
	if w.public() {
		depth = 6 // before it is announced (BOLT 7)
	}
	_, err := w.chain.Mine(depth)
	return err
}

// public tells whether the channels are to be found by gossip.
func (w *world) public() bool { return len(w.sides) > 2 }

func (w *world) openChannel(ctx context.Context, i int) error {
	l := w.links[i]
	to, err := w.sides[l.to].get(ctx)
	if err != nil {
		return err
	}
	return w.sides[l.from].do(ctx, func(ctx context.Context, n *lnactor.Node) (err error) {
		w.channels[i], err = n.OpenChannel(ctx, lnactor.OpenParams{
			Peer: to.ID(), CapacitySat: capacitySat, PushMsat: capacitySat / 2 * 1000, Announce: w.public(),
		})
		return err
	})
}

// awaitGossip waits until every node knows all channels and what both sides of each ask for. They learn it from each other only.
func (w *world) awaitGossip(ctx context.Context) error {
	if !w.public() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	w.tell(Opening{"the network: nodes tell each other of the channels"})
	for _, s := range w.sides {
		err := poll(ctx, func() (bool, error) {
			var g lnactor.GraphSummary
			err := s.do(ctx, func(ctx context.Context, n *lnactor.Node) (err error) {
				g, err = n.Graph(ctx)
				return err
			})
			return g.Channels == len(w.links) && g.Policies == 2*len(w.links), err
		})
		if err != nil {
			return fmt.Errorf("%s does not learn the network: %w", s.name, err)
		}
	}
	return nil
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

// between is the open channel of a link, as the side that paid for it sees it.
func (w *world) between(ctx context.Context, l link) (found lnactor.Channel, err error) {
	to, err := w.sides[l.to].get(ctx)
	if err != nil {
		return found, err
	}
	return w.find(ctx, w.sides[l.from], func(c lnactor.Channel) bool { return c.Peer == to.ID() })
}

// summary is the channel of a pair as one side sees it.
func (w *world) summary(ctx context.Context, s *side) (lnactor.Channel, error) {
	return w.view(ctx, s, w.channel)
}

// view is an open channel as one of its sides sees it.
func (w *world) view(ctx context.Context, s *side, id lnactor.ChannelID) (lnactor.Channel, error) {
	return w.find(ctx, s, func(c lnactor.Channel) bool { return c.Channel == id })
}

func (w *world) find(ctx context.Context, s *side, is func(lnactor.Channel) bool) (found lnactor.Channel, err error) {
	err = s.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		list, err := n.Channels(ctx)
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.Phase != lnactor.PhaseClosed && is(c) {
				found = c
				return nil
			}
		}
		return lnactor.ErrNotFound
	})
	return found, err
}

// ends are the sides of a channel.
func (w *world) ends(l link) [2]*side { return [2]*side{w.sides[l.from], w.sides[l.to]} }

// awaitOpen waits until both sides can use their channel and nothing is under way in it.
func (w *world) awaitOpen(ctx context.Context) error {
	return w.eachEnd(func(s *side, id lnactor.ChannelID) error {
		err := poll(ctx, func() (bool, error) {
			c, err := w.view(ctx, s, id)
			if errors.Is(err, lnactor.ErrNotFound) {
				return false, nil
			}
			return c.Phase == lnactor.PhaseOpen && atRest(c), err
		})
		if err != nil {
			return fmt.Errorf("%s: the channel does not open: %w", s.name, err)
		}
		return nil
	})
}

// eachEnd calls f for both sides of every channel.
func (w *world) eachEnd(f func(*side, lnactor.ChannelID) error) error {
	for i, l := range w.links {
		for _, s := range w.ends(l) {
			if err := f(s, w.channels[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func atRest(c lnactor.Channel) bool {
	return c.UnackedEvents == 0 && c.OutboundHTLCs == 0 && c.InboundHTLCs == 0
}

// balances asks all nodes.
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

// close stops everything, all nodes at once: each may wait for the other's last words.
func (w *world) close() error {
	var all sync.WaitGroup
	errs := make([]error, len(w.sides))
	for i, s := range w.sides {
		all.Go(func() { errs[i] = s.close() })
	}
	all.Wait()
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
