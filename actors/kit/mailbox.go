package kit

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrGoexit is the reason of a failure when an actor's Receive ended its goroutine (runtime.Goexit, or a test's FailNow).
var ErrGoexit = errors.New("kit: Receive called runtime.Goexit")

const (
	throughput = 300     // messages of one actor before others get their turn
	keep       = 1 << 10 // capacity that a drained queue may keep, in messages
)

const (
	idle int32 = iota
	scheduled
)

// mailbox queues without limit; windows at the source keep it short, and HighWater tells when they do not.
//
// From the moment its name is known it accepts messages, though nothing is handled before Start: protoactor's own mailboxes are bricked by
// a message that arrives in between. System messages overtake user messages, as protoactor requires.
type mailbox struct {
	env        *Env
	self       *actor.PID
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	turn       func() // m.process, made once
	high       int
	pressure   func(string, int, bool)

	mu      sync.Mutex
	system  []any
	user    []any
	started bool
	closed  bool

	status    atomic.Int32
	nsystem   atomic.Int64
	nuser     atomic.Int64
	suspended atomic.Bool
	pressed   atomic.Bool

	trace trace

	// Only the running turn touches these.
	systemOut queue
	userOut   queue
	current   any
	stopping  bool
}

// queue is what a turn took out of the shared slice. It survives the turn, since a suspended actor keeps its messages.
type queue struct {
	items []any
	head  int
}

func (q *queue) pop() (any, bool) {
	if q.head == len(q.items) {
		return nil, false
	}
	msg := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	return msg, true
}

// reuse returns the emptied slice for further use, or nil if a burst made it large.
func (q *queue) reuse() []any {
	if cap(q.items) > keep {
		return nil
	}
	return q.items[:0]
}

func newMailbox(e *Env, high int, pressure func(string, int, bool)) *mailbox {
	m := &mailbox{env: e, high: high, pressure: pressure}
	if pressure == nil {
		m.high = 0
	}
	m.turn = m.process
	return m
}

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	m.invoker, m.dispatcher = invoker, dispatcher
	if c, ok := invoker.(interface{ Self() *actor.PID }); ok {
		m.self = c.Self()
	}
	m.mu.Unlock()
	if m.self != nil {
		m.env.mailboxes.Store(m.self.Id, m)
		if m.env.dead.Load() { // spawned in a turn that Kill waits for
			m.env.System.ProcessRegistry.Remove(m.self)
		}
	}
}

func (m *mailbox) Start() {
	m.mu.Lock()
	m.started = true
	m.mu.Unlock()
	m.schedule()
}

func (m *mailbox) UserMessageCount() int { return int(m.nuser.Load()) }

// PostUserMessage refuses nil, which no actor can tell from an empty queue.
func (m *mailbox) PostUserMessage(msg any) {
	if msg == nil || m.env.dead.Load() {
		return
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.env.System.DeadLetter.SendUserMessage(m.self, msg)
		return
	}
	m.user = append(m.user, msg)
	n := m.nuser.Add(1)
	ready := m.started
	m.mu.Unlock()
	if m.high > 0 && n >= int64(m.high) && m.pressed.CompareAndSwap(false, true) {
		m.pressure(m.name(), int(n), true)
	}
	if ready {
		m.schedule()
	}
}

func (m *mailbox) PostSystemMessage(msg any) {
	if msg == nil || m.env.dead.Load() {
		return
	}
	m.mu.Lock()
	m.system = append(m.system, msg)
	m.nsystem.Add(1)
	ready := m.started
	m.mu.Unlock()
	if ready {
		m.schedule()
	}
}

func (m *mailbox) name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.self == nil {
		return ""
	}
	return m.self.Id
}

func (m *mailbox) schedule() {
	if m.status.CompareAndSwap(idle, scheduled) {
		m.dispatcher.Schedule(m.turn)
	}
}

// process runs one turn. However it ends, by Goexit too, the mailbox is free to run again afterwards.
func (m *mailbox) process() {
	returned := false
	defer func() {
		if !returned {
			m.invoker.EscalateFailure(ErrGoexit, m.current)
		}
		m.trace.rest()
		m.status.Store(idle)
		if m.nsystem.Load() > 0 || (m.nuser.Load() > 0 && !m.suspended.Load()) {
			m.schedule()
		}
	}()
	m.run()
	returned = true
}

func (m *mailbox) run() {
	defer func() {
		if r := recover(); r != nil {
			if _, killed := r.(Kill); !killed {
				m.invoker.EscalateFailure(r, m.current)
			}
		}
	}()
	for range throughput {
		if m.env.dead.Load() {
			m.drop()
			return
		}
		if m.nsystem.Load() > 0 {
			m.current = m.next(&m.system, &m.systemOut)
			m.nsystem.Add(-1)
			m.trace.begin(m.current)
			m.handleSystem(m.current)
			continue
		}
		if m.suspended.Load() || m.nuser.Load() == 0 {
			break
		}
		m.current = m.next(&m.user, &m.userOut)
		n := m.nuser.Add(-1)
		if m.high > 0 && n <= int64(m.high/2) && m.pressed.CompareAndSwap(true, false) {
			m.pressure(m.name(), int(n), false)
		}
		m.trace.begin(m.current)
		m.invoker.InvokeUserMessage(m.current)
	}
	m.current = nil
}

// next takes the oldest message. The caller has seen that there is one.
func (m *mailbox) next(in *[]any, out *queue) any {
	if msg, ok := out.pop(); ok {
		return msg
	}
	m.mu.Lock()
	*in, *out = out.reuse(), queue{items: *in}
	m.mu.Unlock()
	msg, _ := out.pop()
	return msg
}

func (m *mailbox) handleSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended.Store(true)
		return
	case *actor.ResumeMailbox:
		m.suspended.Store(false)
		return
	case *actor.Stop:
		m.stopping = true
	case *actor.Restart:
		if m.stopping {
			return // protoactor would resurrect the actor, without a name
		}
	}
	m.invoker.InvokeSystemMessage(msg)
}

// close gives what a stopped actor leaves unread to the dead letters, so that askers learn that there will be no answer. It is called
// within the actor's last turn.
func (m *mailbox) close() {
	m.mu.Lock()
	m.closed = true
	left := append(m.userOut.items[m.userOut.head:len(m.userOut.items):len(m.userOut.items)], m.user...)
	m.user, m.userOut = nil, queue{}
	m.nuser.Store(0)
	m.mu.Unlock()
	for _, msg := range left {
		m.env.System.DeadLetter.SendUserMessage(m.self, msg)
	}
}

// fence reports that no turn runs and none will.
func (m *mailbox) fence() bool {
	if m.status.CompareAndSwap(idle, scheduled) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.started
}

// drop empties the queues of a killed node.
func (m *mailbox) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.system, m.user, m.systemOut, m.userOut = nil, nil, queue{}, queue{}
	m.nsystem.Store(0)
	m.nuser.Store(0)
}
