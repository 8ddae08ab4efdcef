package lnactor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/actors/funds"
	"github.com/lnactor/lnactor/actors/interceptor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/peer/tcp"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/userevents"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	cfg           Config
	env           *kit.Env
	id            NodeID
	pid           *actor.PID
	chain         ChainSource
	fees          *fees.Source // the same, for its health
	wallet        *wallet.HD
	walletFrom    uint32      // first block that can concern it
	board         funds.Board // its status
	invoices      invoice.Keys
	invoiceSigner invoice.Signer
	events        *userevents.Queue
	interceptions *interceptor.Queue // nil without an interceptor
	transport     *tcp.Transport
	stats         *persister.Stats
	store         persister.Store

	closers []func() error // what Open opened, in that order

	life context.Context // ends when the node begins to stop
	end  context.CancelFunc

	stopOnce sync.Once
	err      error         // why, nil after Close
	done     chan struct{} // closed when everything is shut down
}

// ID is the node's public key, under which others connect to it.
func (n *Node) ID() NodeID { return n.id }

// Dir is the data directory, empty if everything is in memory.
func (n *Node) Dir() string { return n.cfg.Dir }

// ListenAddress is where peers connect to, empty if nowhere.
func (n *Node) ListenAddress() string {
	return n.transport.Addr()
}

// PID is the outermost supervisor of the node, for hosts that watch it. Actors of the host talk to the node by the messages of package messages,
// at the addresses given there.
func (n *Node) PID() *actor.PID { return n.pid }

// Done is closed when the node has stopped, by Close or by itself.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err says why the node stopped by itself: ErrStoreFailed, ErrCorrupt or a supervisor that gave up. It is nil while the node runs and after Close.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

// Close stops the node: no new work, what is under way becomes durable, then the store is closed. It is an optimisation: a process that is killed
// loses nothing either. It returns the reason if the node had stopped by itself.
func (n *Node) Close() error {
	n.stop(nil)
	<-n.done
	return n.err
}

// Kill stops the node as a crash would: nothing is finished, nothing is flushed. For tests and demonstrations.
func (n *Node) Kill() {
	n.stop(errKilled)
	<-n.done
}

var errKilled = errors.New("killed")

// stop begins the end of the node; the first reason wins. It returns at once, so actors may call it.
func (n *Node) stop(why error) {
	n.stopOnce.Do(func() {
		n.err = why
		n.end()
	})
}

// reap shuts everything down once there is a reason to.
func (n *Node) reap() {
	<-n.life.Done()
	n.events.Close()
	var drainErr error
	if n.err == nil && n.pid != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*n.cfg.CloseLimit)
		drainErr = supervisor.DrainTree(ctx, n.env, supervisor.NodeAddr, n.cfg.CloseLimit)
		cancel()
	}
	// Whatever is left, or everything after a failure: nothing is sent any more, no actor takes another message.
	n.env.Kill()
	for i := len(n.closers) - 1; i >= 0; i-- {
		drainErr = errors.Join(drainErr, n.closers[i]())
	}
	if drainErr != nil {
		n.cfg.Log.Warn("not everything was finished before the stop; nothing durable is lost", "error", drainErr)
	}
	if errors.Is(n.err, errKilled) {
		n.err = nil
	}
	close(n.done)
}

// absent is how long an actor that is not there is left alone before it is asked again.
const absent = 2 * time.Millisecond

// again is after how long a question that may be asked any number of times is asked again.
const again = 2 * time.Second

// askAgain is ask for such questions. Whoever keeps one to answer it later may crash, and then nobody answers it.
func askAgain[T any](ctx context.Context, n *Node, to messages.Addr, build func(replyTo messages.Addr) any) (T, error) {
	for {
		wait, cancel := context.WithTimeout(ctx, again)
		reply, err := ask[T](wait, n, to, build)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return reply, err
		}
	}
}

// ask is kit.Ask with a typed answer.
func ask[T any](ctx context.Context, n *Node, to messages.Addr, build func(replyTo messages.Addr) any) (T, error) {
	var zero T
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(n.life, func() { cancel(ErrClosed) })
	defer stop()
	got, err := kit.AskFor(ctx, n.env, to, build)
	for errors.Is(err, kit.ErrNoActor) && ctx.Err() == nil {
		// Nobody has seen the question: the actor is being started, or started again with the tree around it.
		select {
		case <-ctx.Done():
		case <-time.After(absent):
			got, err = kit.AskFor(ctx, n.env, to, build)
		}
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrClosed) {
			err = n.closedError()
		}
		return zero, err
	}
	reply, ok := got.(T)
	if !ok {
		return zero, fmt.Errorf("answer is %T, want %T", got, zero)
	}
	return reply, nil
}
