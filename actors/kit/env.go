package kit

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// Clock is an actor's only source of time.
type Clock interface {
	Now() time.Time
	// After sends msg to the actor once d has passed, unless the returned function was called before. A message that is already in the
	// mailbox stays there, so it must carry what tells the actor that it is out of date.
	After(d time.Duration, to *actor.PID, msg any) (cancel func())
}

// Env is what the actors of one node share. Two nodes in one actor system differ in Node, which prefixes every actor name.
type Env struct {
	System *actor.ActorSystem
	Node   string // such as "alice"; must not be empty and must not contain a slash
	Log    *slog.Logger
	Clock  Clock
	Stop   func(error) // stops the node for the reason given; the first call wins; returns at once

	// Jitter is a random number in [0, 1) to spread what would otherwise happen all at once. Not for anything that must be secret.
	Jitter func() float64

	// Props wraps a producer with the mailbox, dispatcher and middleware that all actors of this node use.
	Props func(actor.Producer, ...actor.PropsOption) *actor.Props

	alarms       alarms
	incarnations atomic.Uint64
	dead         atomic.Bool
	mailboxes    sync.Map // actor name -> *mailbox
	owned        *Pool    // the dispatcher, if Close must close it
}

// NextIncarnation gives every start of every actor of the node a number of its own (rule 4 of package actors).
func (e *Env) NextIncarnation() uint64 { return e.incarnations.Add(1) }

// PID resolves an address to a process of this node.
func (e *Env) PID(to messages.Addr) *actor.PID {
	if id, ok := to.AbsoluteID(); ok {
		return actor.NewPID(e.System.Address(), id)
	}
	return actor.NewPID(e.System.Address(), e.Node+"/"+string(to))
}

// Tell sends a message to an actor of this node. Sending to an address that has no actor is not an error: the message is lost, as any
// message may be (rule 3).
func (e *Env) Tell(to messages.Addr, msg any) {
	if e.dead.Load() {
		return
	}
	e.System.Root.Send(e.PID(to), msg)
}

// Deliver sends messages in order.
func (e *Env) Deliver(then []messages.Delivery) {
	for _, d := range then {
		e.Tell(d.To, d.Msg)
	}
}

// SenderAddr is the address to answer to, empty if the message came without a sender.
func SenderAddr(ctx actor.Context) messages.Addr {
	if ctx.Sender() == nil {
		return ""
	}
	return messages.Absolute(ctx.Sender().Id)
}
