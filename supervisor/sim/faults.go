package sim

import (
	"errors"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrInjected is what actors crash with when they are told to.
var ErrInjected = errors.New("sim: injected crash")

// FaultKind is what goes wrong.
type FaultKind int

const (
	None       FaultKind = iota
	CrashActor           // the actor panics
	CrashNode            // the whole node is gone
	Delay                // the actor rests for Fault.Delay, with the message still unread; Before only
	Drop                 // the message is lost, and nobody is told: no rule allows it, so it breaks one on purpose; Before, and user messages only
)

// Fault is what shall happen at a point.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration
}

// Point is a place where a fault can be injected: an actor about to handle, or done with, a user message, *actor.Started or
// *actor.Restart (then the crash hits the Started of the new instance).
type Point struct {
	Number uint64 // of this point, from 0; a delayed message is counted once
	Step   uint64
	Node   string // such as "alice"
	Actor  string // its address, such as "monitor/0a1b"
	Kind   string // first part of the address, such as "monitor"
	Msg    any
}

// Faults decide about crashes. Both may be nil and are called on the scheduler's goroutine; they must draw from Sim.Rand only.
type Faults struct {
	Before func(Point) Fault
	After  func(Point) Fault
}

// CrashAt hits the point with this number, once. An exhaustive sweep increases it until Sim.Points no longer reaches it.
func (s *Sim) CrashAt(number uint64, kind FaultKind) func(Point) Fault {
	done := false
	return func(p Point) Fault {
		if done || p.Number != number {
			return Fault{}
		}
		done = true
		return Fault{Kind: kind}
	}
}

// CrashRate hits each message of an actor of a kind (such as "monitor") with the given probability.
func (s *Sim) CrashRate(kind FaultKind, byActor map[string]float64) func(Point) Fault {
	return func(p Point) Fault {
		if rate := byActor[p.Kind]; rate > 0 && s.rng.Float64() < rate {
			return Fault{Kind: kind}
		}
		return Fault{}
	}
}

// before asks what shall happen to the message that m is about to handle.
func (s *Sim) before(m *mailbox, class string, msg any) Fault {
	s.point = Point{}
	if class == "system" {
		switch msg.(type) {
		case *actor.Started, *actor.Restart:
		default:
			return Fault{}
		}
	}
	if !m.exempt {
		m.number = s.points
		s.points++
	}
	addr := strings.TrimPrefix(m.self.Id, m.node.name+"/")
	s.point = Point{Number: m.number, Step: s.step, Node: m.node.name, Actor: addr, Kind: kindOf(addr), Msg: msg}
	if s.Faults.Before == nil || m.exempt {
		return Fault{}
	}
	f := s.Faults.Before(s.point)
	if f.Kind != None {
		s.trace.add(s, "fault", m.self.Id, f.Kind.String(), "")
	}
	return f
}

// hooks is where the actors' guards ask for crashes.
type hooks struct{ sim *Sim }

func (h hooks) Before(string, any) {
	if h.sim.inject {
		h.sim.inject = false
		panic(ErrInjected)
	}
}

func (h hooks) After(name string, _ any) {
	s := h.sim
	if s.Faults.After == nil || s.running == nil || s.point.Msg == nil {
		return
	}
	f := s.Faults.After(s.point)
	switch f.Kind {
	case CrashActor:
		s.trace.add(s, "fault after", name, f.Kind.String(), "")
		panic(ErrInjected)
	case CrashNode:
		s.Crash(s.point.Node)
	}
}

func (k FaultKind) String() string {
	switch k {
	case CrashActor:
		return "crash actor"
	case CrashNode:
		return "crash node"
	case Delay:
		return "delay"
	case Drop:
		return "drop"
	}
	return "none"
}
