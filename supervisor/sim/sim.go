package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// Sim is a scheduler with its nodes.
type Sim struct {
	Faults   Faults
	Tick     time.Duration        // how much time one step takes; 10 µs unless changed
	Describe func(msg any) string // optional: what of a message goes into the trace besides its type

	// OnStop, if set, is told that a node asked to be stopped. The node is dropped after the step, whether it is set or not.
	OnStop func(node string, reason error)

	seed     uint64
	start    time.Time
	rng      *rand.Rand
	system   *actor.ActorSystem
	now      time.Time
	step     uint64
	points   uint64 // fault points passed
	nodes    map[string]*node
	epoch    uint32
	runnable []*mailbox
	timers   timers
	instants map[int64]bool
	running  *mailbox
	inject   bool
	point    Point
	trace    trace
	crashes  []*kit.Crash
	stops    map[string]error
}

// node is one life of a node.
type node struct {
	sim       *Sim
	name      string
	env       *kit.Env
	mailboxes []*mailbox
	dead      bool
	stop      error
}

// start is the first instant of a simulation that New makes.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// New makes a simulation without nodes.
func New(seed uint64) *Sim { return NewAt(seed, start) }

// NewAt makes a simulation that begins at another time: that of an earlier one, for nodes that go on from what that one left.
func NewAt(seed uint64, start time.Time) *Sim {
	return &Sim{
		Tick: 10 * time.Microsecond, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6c6e6163746f72)), system: newSystem(), start: start, now: start,
		nodes: map[string]*node{}, instants: map[int64]bool{}, stops: map[string]error{}, trace: newTrace(),
	}
}

// Rand is the simulation's randomness, for the test's own decisions and the transport's.
func (s *Sim) Rand() *rand.Rand { return s.rng }

// Now is the virtual time.
func (s *Sim) Now() time.Time { return s.now }

// Steps is the number of steps so far.
func (s *Sim) Steps() uint64 { return s.step }

// Points is the number of fault points passed so far: an exhaustive sweep ends when this stays below the point to crash at.
func (s *Sim) Points() uint64 { return s.points }

// System is the actor system of the simulation.
func (s *Sim) System() *actor.ActorSystem { return s.system }

// Env is the environment of a node. After Crash it is a new one.
func (s *Sim) Env(name string) *kit.Env {
	if n := s.nodes[name]; n != nil {
		return n.env
	}
	s.epoch++
	n := &node{sim: s, name: name}
	env, err := kit.NewEnv(s.system, name, kit.Options{
		Clock: clock{n}, Jitter: s.rng.Float64, Epoch: s.epoch, Faults: hooks{s}, Dispatcher: noDispatcher{},
		Mailbox: func() actor.Mailbox { return &mailbox{sim: s, node: n, index: -1} },
		Stop: func(err error) {
			if n.dead {
				return
			}
			n.stop = err
			s.stops[name] = err
			if s.OnStop != nil {
				s.OnStop(name, err)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	n.env = env
	s.nodes[name] = n
	delete(s.stops, name)
	return env
}

// Spawn starts an actor of a node that has no parent, such as its outermost supervisor. A failure restarts it at once.
func (s *Sim) Spawn(node string, at messages.Addr, p actor.Producer) *actor.PID {
	env := s.Env(node)
	pid, err := env.Spawn(nil, at, env.Props(p))
	if err != nil {
		panic(fmt.Errorf("sim: spawn %s/%s: %w", node, at, err))
	}
	return pid
}

// Alive tells whether a node runs.
func (s *Sim) Alive(name string) bool { return s.nodes[name] != nil }

// StopReason is what the node's last life asked to be stopped for, nil if it did not.
func (s *Sim) StopReason(name string) error { return s.stops[name] }

// Crashes are the panics that were not injected, oldest first. A test should usually find none.
func (s *Sim) Crashes() []*kit.Crash { return s.crashes }

// Crash drops a node as a power cut would: its actors, their messages and timers are gone at once and nobody is told. Its names are free
// for the next life, which begins with Env. Called within one of the node's own actors, by a store for example, it does not return.
func (s *Sim) Crash(name string) {
	n := s.nodes[name]
	if n == nil {
		return
	}
	s.trace.add(s, "crash", name, "", "")
	delete(s.nodes, name)
	n.dead = true
	for _, m := range n.mailboxes {
		s.system.ProcessRegistry.Remove(m.self)
		m.update()
	}
	n.mailboxes = nil
	kept := s.timers[:0]
	for _, t := range s.timers {
		if t.node == n {
			delete(s.instants, t.due.UnixNano())
			continue
		}
		kept = append(kept, t)
	}
	clear(s.timers[len(kept):])
	s.timers = kept
	heap.Init(&s.timers)
	for i, t := range s.timers {
		t.index = i
	}
	if s.running != nil && s.running.node == n {
		panic(kit.Kill{})
	}
}

// Step lets one actor handle one message, or fires a timer; false if there is neither.
func (s *Sim) Step() bool {
	if len(s.runnable) == 0 {
		if len(s.timers) == 0 {
			return false
		}
		s.now = later(s.now, s.timers[0].due)
	}
	s.step++
	s.now = s.now.Add(s.Tick)
	choices := len(s.runnable)
	if len(s.timers) > 0 && !s.timers[0].due.After(s.now) {
		choices++
	}
	if i := s.rng.IntN(choices); i < len(s.runnable) {
		s.handle(s.runnable[i])
	} else {
		s.fire()
	}
	return true
}

// Run steps until nothing is left to do, timers included (true), or for max steps.
func (s *Sim) Run(max int) (quiescent bool) {
	for range max {
		if !s.Step() {
			return true
		}
	}
	return len(s.runnable) == 0 && len(s.timers) == 0
}

// RunUntil steps until cond holds (true), or for max steps, or until nothing is left to do.
func (s *Sim) RunUntil(cond func() bool, max int) bool {
	for range max {
		if cond() {
			return true
		}
		if !s.Step() {
			break
		}
	}
	return cond()
}

// Settle steps until nobody has anything to do at this time, leaving timers of the future alone (true), or for max steps.
func (s *Sim) Settle(max int) bool {
	for range max {
		if s.settled() {
			return true
		}
		s.Step()
	}
	return s.settled()
}

func (s *Sim) settled() bool {
	return len(s.runnable) == 0 && (len(s.timers) == 0 || s.timers[0].due.After(s.now))
}

// Advance lets d pass, with all that is to be done and all timers on the way. False if max steps did not suffice.
func (s *Sim) Advance(d time.Duration, max int) bool {
	end := s.now.Add(d)
	for range max {
		if len(s.runnable) == 0 && (len(s.timers) == 0 || s.timers[0].due.After(end)) {
			s.now = later(s.now, end)
			return true
		}
		s.Step()
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newProcess registers a process that is no actor and belongs to no node.
func (s *Sim) newProcess(name string, p actor.Process) *actor.PID {
	pid, ok := s.system.ProcessRegistry.Add(p, name)
	if !ok {
		panic(fmt.Errorf("sim: the name %s is taken", name))
	}
	return pid
}

// String is what a failing test prints.
func (s *Sim) String() string {
	return fmt.Sprintf("seed %d, step %d, time +%v, %d runnable, %d timers, trace %016x\n%s", s.seed, s.step, s.now.Sub(s.start),
		len(s.runnable), len(s.timers), s.TraceHash(), s.Last(40))
}
