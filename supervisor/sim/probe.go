package sim

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// Probe stands for an actor that is none: it keeps what it is sent, at once and without a step. It belongs to no node and survives all.
type Probe struct {
	sim *Sim
	pid *actor.PID
	got []any

	// On, if set, is called with each message instead of keeping it.
	On func(msg any)
}

// Probe makes a probe; its name must be new.
func (s *Sim) Probe(name string) *Probe {
	p := &Probe{sim: s}
	p.pid = s.newProcess("probe/"+name, p)
	return p
}

// PID is for messages that ask for a process.
func (p *Probe) PID() *actor.PID { return p.pid }

// Addr is where actors of any node reach it.
func (p *Probe) Addr() messages.Addr { return messages.Absolute(p.pid.Id) }

// Take returns what came since the last Take.
func (p *Probe) Take() []any {
	got := p.got
	p.got = nil
	return got
}

// Send sends a message to an actor of a node with the probe as the sender.
func (p *Probe) Send(node string, to messages.Addr, msg any) {
	if n := p.sim.nodes[node]; n != nil {
		p.sim.system.Root.RequestWithCustomSender(n.env.PID(to), msg, p.pid)
	}
}

// SendUserMessage implements actor.Process.
func (p *Probe) SendUserMessage(_ *actor.PID, msg any) {
	if p.sim.silenced(nil) {
		return
	}
	msg = actor.UnwrapEnvelopeMessage(msg)
	if p.On != nil {
		p.On(msg)
		return
	}
	p.got = append(p.got, msg)
}

// SendSystemMessage implements actor.Process.
func (p *Probe) SendSystemMessage(pid *actor.PID, msg any) { p.SendUserMessage(pid, msg) }

// Stop implements actor.Process.
func (p *Probe) Stop(*actor.PID) {}

// ErrNoAnswer says that an Ask got no answer within its steps, or before nothing was left to do.
var ErrNoAnswer = errors.New("sim: no answer")

// Ask sends a message and steps until the answer is there, as kit.Ask does on real time.
func (s *Sim) Ask(node string, to messages.Addr, msg any, max int) (any, error) {
	p := s.Probe(s.system.ProcessRegistry.NextID())
	defer s.system.ProcessRegistry.Remove(p.pid)
	p.Send(node, to, msg)
	if !s.RunUntil(func() bool { return len(p.got) > 0 }, max) {
		return nil, fmt.Errorf("ask %s/%s: %w", node, to, ErrNoAnswer)
	}
	switch got := p.got[0].(type) {
	case messages.Fault:
		return nil, got
	case *actor.DeadLetterResponse:
		return nil, fmt.Errorf("ask %s/%s: %w", node, to, kit.ErrNoActor)
	default:
		return got, nil
	}
}
