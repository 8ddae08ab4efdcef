package sim

import (
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
)

// mailbox is an actor.Mailbox that runs only when the scheduler says so.
type mailbox struct {
	sim     *Sim
	node    *node
	self    *actor.PID
	invoker actor.MessageInvoker

	system    []any
	user      []any
	started   bool
	suspended bool
	stopping  bool
	resting   bool
	exempt    bool   // the message at the head has been delayed once
	number    uint64 // of the current fault point
	index     int    // in the scheduler's list, -1 if it is not there
}

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
	m.self = invoker.(interface{ Self() *actor.PID }).Self()
	m.node.mailboxes = append(m.node.mailboxes, m)
	if m.node.dead { // spawned by an actor that is dying with its node
		m.sim.system.ProcessRegistry.Remove(m.self)
	}
}

func (m *mailbox) Start() {
	m.started = true
	m.update()
}

func (m *mailbox) UserMessageCount() int { return len(m.user) }

func (m *mailbox) PostUserMessage(msg any) {
	if msg != nil && !m.sim.silenced(m.node) {
		m.user = append(m.user, msg)
		m.update()
	}
}

func (m *mailbox) PostSystemMessage(msg any) {
	if !m.sim.silenced(m.node) {
		m.system = append(m.system, msg)
		m.update()
	}
}

// silenced tells whether a message that is sent now to a node is lost, because the one or the other is no more.
func (s *Sim) silenced(to *node) bool {
	return (to != nil && to.dead) || (s.running != nil && s.running.node.dead)
}

// update puts the mailbox on the list of those that can run, or takes it off.
func (m *mailbox) update() {
	ready := m.started && !m.resting && !m.node.dead && (len(m.system) > 0 || (len(m.user) > 0 && !m.suspended))
	list := m.sim.runnable
	switch {
	case ready && m.index < 0:
		m.index = len(list)
		m.sim.runnable = append(list, m)
	case !ready && m.index >= 0:
		last := list[len(list)-1]
		list[m.index], last.index = last, m.index
		list[len(list)-1] = nil
		m.sim.runnable = list[:len(list)-1]
		m.index = -1
	}
}

// handle runs one message of m.
func (s *Sim) handle(m *mailbox) {
	queue, class := &m.user, "user"
	if len(m.system) > 0 {
		queue, class = &m.system, "system"
	}
	msg := (*queue)[0]
	plain := actor.UnwrapEnvelopeMessage(msg)
	fault := s.before(m, class, plain)
	if fault.Kind == Delay {
		s.rest(m, fault.Delay)
		return
	}
	m.exempt = false
	(*queue)[0] = nil
	*queue = (*queue)[1:]
	s.trace.add(s, class, m.self.Id, typeName(plain), s.describe(plain))
	if fault.Kind == Drop && class == "user" {
		m.update()
		return
	}

	s.running = m
	m.invoke(class, msg, fault)
	s.running, s.inject = nil, false
	m.update()
	if n := m.node; n.stop != nil {
		s.Crash(n.name)
	}
}

func (m *mailbox) invoke(class string, msg any, fault Fault) {
	s := m.sim
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(kit.Kill); ok {
			return
		}
		if c, ok := r.(*kit.Crash); ok && !errors.Is(c, ErrInjected) {
			s.crashes = append(s.crashes, c)
		}
		m.invoker.EscalateFailure(r, msg)
	}()
	switch fault.Kind {
	case CrashNode:
		s.Crash(m.node.name)
	case CrashActor:
		s.inject = true
	}
	if class == "user" {
		m.invoker.InvokeUserMessage(msg)
		return
	}
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
		return
	case *actor.ResumeMailbox:
		m.suspended = false
		return
	case *actor.Stop:
		m.stopping = true
	case *actor.Restart:
		if m.stopping {
			return // as in kit
		}
	}
	m.invoker.InvokeSystemMessage(msg)
}

// rest lets the actor do nothing for a while. The message that it rests on is not asked about again.
func (s *Sim) rest(m *mailbox, d time.Duration) {
	m.resting, m.exempt = true, true
	m.update()
	s.push(&timer{due: s.now.Add(d), node: m.node, name: "rest of " + m.self.Id, fn: func() {
		m.resting = false
		m.update()
	}})
}

func (s *Sim) describe(msg any) string {
	if s.Describe == nil {
		return ""
	}
	return s.Describe(msg)
}

func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}

// kindOf is the first part of an actor's name: "monitor" for "alice/monitor/0a1b".
func kindOf(addr string) string {
	kind, _, _ := strings.Cut(addr, "/")
	return kind
}

// noDispatcher is never asked: the scheduler runs mailboxes itself.
type noDispatcher struct{}

func (noDispatcher) Schedule(func()) { panic("sim: a mailbox asked for a dispatcher") }
func (noDispatcher) Throughput() int { return 1 }
