package kit

import (
	"context"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// ErrNoActor is returned by Ask when nobody lives at the address.
var ErrNoActor = errors.New("kit: no such actor")

// Ask sends a message from ordinary Go code and waits for the answer; SenderAddr tells the actor where it goes. It must not be called
// within an actor.
//
// The error wraps ctx.Err() if no answer came in time, ErrNoActor if nobody could have answered, and is a [messages.Fault] if the actor
// crashed over the message. In the first and the last case the message may still have had, or may get, its effect.
func Ask(ctx context.Context, e *Env, to messages.Addr, msg any) (any, error) {
	return AskFor(ctx, e, to, func(messages.Addr) any { return msg })
}

// AskFor is Ask for a message that must carry the address of its answer, because other actors than the first give it.
func AskFor(ctx context.Context, e *Env, to messages.Addr, build func(replyTo messages.Addr) any) (any, error) {
	a := &asker{answer: make(chan any, 1)}
	id := "ask/" + e.System.ProcessRegistry.NextID()
	pid, _ := e.System.ProcessRegistry.Add(a, id)
	defer e.System.ProcessRegistry.Remove(pid)

	if e.dead.Load() {
		return nil, fmt.Errorf("ask %s: %w", to, ErrNoActor)
	}
	msg := build(messages.Absolute(pid.Id))
	e.System.Root.RequestWithCustomSender(e.PID(to), msg, pid)
	select {
	case got := <-a.answer:
		switch got := got.(type) {
		case messages.Fault:
			return nil, got
		case *actor.DeadLetterResponse:
			return nil, fmt.Errorf("ask %s: %w", to, ErrNoActor)
		}
		return got, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s: no answer to %s: %w", to, typeName(msg), ctx.Err())
	}
}

// asker is the process that takes the first answer; later ones are lost.
type asker struct{ answer chan any }

func (a *asker) SendUserMessage(_ *actor.PID, msg any) {
	select {
	case a.answer <- actor.UnwrapEnvelopeMessage(msg):
	default:
	}
}

func (a *asker) SendSystemMessage(*actor.PID, any) {}
func (a *asker) Stop(*actor.PID)                   {}
