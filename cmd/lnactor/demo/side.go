package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// side is one node with its user, over all its crashes.
type side struct {
	w      *world
	name   string
	dir    string
	manual bool   // its user is asked about each payment
	listen string // fixed after the first start, so that the other side finds it again
	tally  *tally
	fuse   *fuse

	mu    sync.Mutex
	node  *lnactor.Node
	up    chan struct{} // closed while the node works
	users sync.WaitGroup
}

func newSide(w *world, name string) *side {
	s := &side{w: w, name: name, dir: filepath.Join(w.dir, name), listen: "127.0.0.1:0", up: make(chan struct{})}
	s.tally = newTally(name, w.now, w.tell)
	s.fuse = &fuse{node: name, seen: s.tally, say: w.saboteur.strike}
	return s
}

// open starts the node on its directory. An error keeps its kind: in use, corrupt, failed.
func (s *side) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s.fuse.forget()
	node, err := lnactor.Open(ctx, lnactor.Config{
		Dir: s.dir, Name: s.name, Chain: s.w.chain.Source(), Params: s.w.chain.Params(), Listen: s.listen, MinDepth: 1, Log: s.w.log, ManualClaim: s.manual,
		Restart:    supervisor.Backoff{Min: 10 * time.Millisecond, Max: 250 * time.Millisecond, Decay: time.Second},
		Observe:    func(ev lnactor.SupervisionEvent) { s.w.saboteur.observe(s.name, ev) },
		Faults:     s.fuse,
		Forwarding: lnactor.ForwardingPolicy{BaseMsat: 1000, PropMillionths: 100},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.listen = node.ListenAddress()
	s.mu.Lock()
	s.node = node
	close(s.up)
	s.mu.Unlock()
	s.users.Go(func() { s.listenTo(node) })
	return nil
}

// listenTo is the node's user: it writes every event down, and handles it by that.
func (s *side) listenTo(node *lnactor.Node) {
	for ev, err := range node.Events(context.Background()) {
		if err != nil {
			break
		}
		s.w.ledger.record(s.name, ev)
	}
	<-node.Done()
	if err := node.Err(); err != nil {
		s.w.fail(fmt.Errorf("%s stopped by itself: %w", s.name, err))
	}
}

// get waits for the node to work.
func (s *side) get(ctx context.Context) (*lnactor.Node, error) {
	for {
		s.mu.Lock()
		node, up := s.node, s.up
		s.mu.Unlock()
		if node != nil {
			return node, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// down takes the node out of use.
func (s *side) down() *lnactor.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.node
	if node != nil {
		s.node, s.up = nil, make(chan struct{})
	}
	return node
}

// crash drops the node as the end of its process would, and starts it again on what is durable.
func (s *side) crash(ctx context.Context) error {
	began := s.w.now()
	s.down().Kill()
	s.users.Wait()
	if err := s.open(ctx); err != nil {
		return err
	}
	s.w.tell(Returned{At: s.w.now(), Node: s.name, After: s.w.now() - began})
	return nil
}

func (s *side) close() error {
	node := s.down()
	if node == nil {
		return nil
	}
	err := node.Close()
	s.users.Wait()
	return err
}

// patience is how long a call waits for its answer before it is made again: a crash may swallow a question or its answer.
const patience = time.Second

// do calls a method of the node until it gets a definite answer. f must be safe to repeat.
func (s *side) do(ctx context.Context, f func(context.Context, *lnactor.Node) error) error {
	for {
		node, err := s.get(ctx)
		if err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, patience)
		err = f(call, node)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// passing tells whether an error says only that now is not the time: a part of the node crashed over the call, is down, or is busy.
func passing(err error) bool {
	if _, crashed := errors.AsType[messages.Fault](err); crashed {
		return true
	}
	for _, passes := range []error{
		context.DeadlineExceeded, lnactor.ErrClosed, lnactor.ErrBusy, lnactor.ErrStarting, lnactor.ErrNoChannel, lnactor.ErrNotConnected,
		lnactor.ErrBalance, lnactor.ErrPeerGone, lnactor.ErrNoRoute,
	} {
		if errors.Is(err, passes) {
			return true
		}
	}
	return false
}
