package kit

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// ErrNode says that the name of a node cannot be used: it must not be empty and must not contain "/" or "~".
var ErrNode = errors.New("kit: bad node name")

// Options of NewEnv. The zero value is a node on real time that logs nothing.
type Options struct {
	Log    *slog.Logger   // nil: discard
	Clock  Clock          // nil: the time of day
	Stop   func(error)    // called once, perhaps within an actor, so it must return at once; nil: the reason is logged only
	Jitter func() float64 // nil: math/rand

	Mailbox    actor.MailboxProducer // nil: kit's own
	Dispatcher actor.Dispatcher      // nil: a Pool of the node, closed by Env.Close
	Faults     Faults                // nil: none, at no cost

	// Epoch must differ between the environments that one process makes for the same node name, so that no incarnation of a killed node
	// is taken for one of its successor. 0: chosen by NewEnv.
	Epoch uint32

	// HighWater calls Pressure when the queue of an actor grows to this many user messages (high), and when it is down to half of it
	// again (not high). Pressure is called on the sender's or the actor's goroutine and must return at once. 0: never.
	HighWater int
	Pressure  func(actor string, queued int, high bool)
}

var epochs atomic.Uint32

// NewEnv makes the environment of a node in a system that it may share with other nodes. The caller closes it when the actors are stopped.
func NewEnv(system *actor.ActorSystem, node string, opts Options) (*Env, error) {
	if node == "" || strings.ContainsAny(node, "/~") {
		return nil, fmt.Errorf("%w: %q", ErrNode, node)
	}
	e := &Env{System: system, Node: node, Log: opts.Log, Jitter: opts.Jitter}
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Jitter == nil {
		e.Jitter = rand.Float64
	}
	e.Clock = opts.Clock
	if e.Clock == nil {
		e.Clock = wallClock{e}
	}
	if opts.Epoch == 0 {
		opts.Epoch = epochs.Add(1)
	}
	e.incarnations.Store(uint64(opts.Epoch) << 32)

	var once sync.Once
	e.Stop = func(err error) {
		once.Do(func() {
			e.Log.Error("node stops", "node", node, "err", err)
			if opts.Stop != nil {
				opts.Stop(err)
			}
		})
	}

	mailboxes := opts.Mailbox
	if mailboxes == nil {
		mailboxes = func() actor.Mailbox { return newMailbox(e, opts.HighWater, opts.Pressure) }
	}
	dispatcher := opts.Dispatcher
	if dispatcher == nil {
		e.owned = NewPool(0)
		dispatcher = e.owned
	}
	root := system.Root.Copy().WithGuardian(rootGuardian{})
	spawn := func(sys *actor.ActorSystem, id string, props *actor.Props, parent actor.SpawnerContext) (*actor.PID, error) {
		if i := strings.Index(id, absolute); i >= 0 {
			id = node + "/" + id[i+len(absolute):]
		}
		if parent.Self() == nil {
			parent = root
		}
		return actor.DefaultSpawner(sys, id, props, parent)
	}
	e.Props = func(p actor.Producer, more ...actor.PropsOption) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor { return e.guarded(p, opts.Faults) },
			actor.WithMailbox(mailboxes), actor.WithDispatcher(dispatcher), actor.WithSpawnFunc(spawn)).Configure(more...)
	}
	return e, nil
}

// absolute begins a name that is not to be put under the parent's: actors are addressed by what they are, not by who supervises them.
const absolute = "//"

// Spawn starts an actor at an address of the node, as a child of parent, or without a parent if that is nil. The error is
// actor.ErrNameExists if the address is taken. Props must come from Env.Props.
func (e *Env) Spawn(parent actor.SpawnerContext, at messages.Addr, props *actor.Props) (*actor.PID, error) {
	if parent == nil {
		return e.System.Root.SpawnNamed(props, absolute+string(at))
	}
	return parent.SpawnNamed(props, "/"+string(at)) // the context puts its own name and a slash before it
}

// Close ends the workers of the node, if they are its own. Actors that still run fall back to a goroutine per turn.
func (e *Env) Close() {
	if e.owned != nil {
		e.owned.Close()
	}
}

// Kill drops the node's actors as a crash of the process would: no Stopping, no Stopped, nothing more is handled, timers stay silent, and
// the names are free for a new environment. Turns that are being run end first; what they send to the node is dropped. It must not be
// called from one of the node's actors. Stores are the caller's to cut off, before or after.
func (e *Env) Kill() {
	e.dead.Store(true)
	e.mailboxes.Range(func(_, v any) bool {
		m := v.(*mailbox)
		e.System.ProcessRegistry.Remove(m.self)
		for !m.fence() {
			time.Sleep(50 * time.Microsecond)
		}
		return true
	})
	e.Close()
}

// Depth is the number of user messages that wait in the mailbox of an actor, for refusing work at the API; 0 if there is no such actor.
func (e *Env) Depth(at messages.Addr) int {
	if m, ok := e.mailboxes.Load(e.PID(at).Id); ok {
		return m.(*mailbox).UserMessageCount()
	}
	return 0
}

// rootGuardian restarts actors without a parent at once. Ten starts in a row that fail stop the actor; nothing else does. Only a node's
// outermost supervisor and actors of tests have no parent.
type rootGuardian struct{}

func (rootGuardian) HandleFailure(system *actor.ActorSystem, s actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	switch message.(type) {
	case *actor.Started, *actor.Restart:
		rs.Fail()
	default:
		rs.Reset()
	}
	if rs.FailureCount() >= 10 {
		system.Logger().Error("actor without a supervisor fails at every start, it is stopped", "actor", child.Id, "reason", reason)
		s.StopChildren(child)
		return
	}
	s.RestartChildren(child)
}
