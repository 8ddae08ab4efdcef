package kit

import (
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/internal/redact"
	"github.com/lnactor/lnactor/messages"
)

// Faults injects crashes. Both methods run on the actor's goroutine, within its turn, and crash the actor by panicking: Before, and the
// message is lost unseen; After, and it was handled and what it sent is on its way, but the actor dies of it. They are not called for
// Stopping, Stopped and Restarting.
type Faults interface {
	Before(actor string, msg any)
	After(actor string, msg any)
}

// Disposable is a message that holds something open, such as a connection. Dispose is called when it reached nobody: its receiver crashed over it, or
// is gone. A receiver that crashed may have taken it first; what it held is lost with it then, so closing it once more must do no harm.
type Disposable interface{ Dispose() }

// Kill, when panicked with, ends the turn without a failure: nobody is told, nothing restarts. It is how a simulation drops a node in the
// middle of a message. An actor never uses it.
type Kill struct{}

// Crash is the reason with which a supervisor is told of a panic.
type Crash struct {
	Actor   string   // full name
	Message string   // Go type of the message, which is lost
	Value   any      // what was panicked with
	Stack   []byte   // without the values of arguments
	Recent  []string // Go types of the last messages that it handled, the newest last
}

func (c *Crash) Error() string {
	return fmt.Sprintf("%s crashed while handling %s: %v", c.Actor, c.Message, c.Value)
}

// Unwrap finds the error that was panicked with.
func (c *Crash) Unwrap() error {
	err, _ := c.Value.(error)
	return err
}

// LogValue leaves the stack out; supervision events carry it.
func (c *Crash) LogValue() slog.Value { return slog.StringValue(c.Error()) }

// guard stands between protoactor and one instance of an actor.
type guard struct {
	env     *Env
	inner   actor.Actor
	faults  Faults
	failed  bool // it panicked: its memory is not to be trusted
	closing bool // it was told to stop or to make place
}

// supervisingGuard is the guard of an actor that decides about its children's failures itself.
type supervisingGuard struct {
	guard
	strategy actor.SupervisorStrategy
}

func (e *Env) guarded(p actor.Producer, f Faults) actor.Actor {
	g := guard{env: e, faults: f, inner: produce(p)}
	if s, ok := g.inner.(actor.SupervisorStrategy); ok {
		return &supervisingGuard{guard: g, strategy: s}
	}
	return &g
}

// produce turns the panic of a producer into one of the actor: it would hit whoever spawns the actor.
func produce(p actor.Producer) (a actor.Actor) {
	defer func() {
		if r := recover(); r != nil {
			a = actor.ReceiveFunc(func(actor.Context) { panic(r) })
		}
	}()
	if a = p(); a == nil {
		panic("producer returned nil")
	}
	return a
}

func (g *guard) Receive(ctx actor.Context) {
	msg := ctx.Message()
	switch msg.(type) {
	case *actor.Stopped:
		g.contain(ctx, msg)
		g.env.forget(ctx)
		return
	case *actor.Stopping, *actor.Restarting:
		// What comes while its children stop is for the next instance, whose start resumes the mailbox, or for the dead letters. It could
		// make this one spawn a child, which nobody would stop: protoactor stops those of this moment, and waits for all.
		if p, ok := g.env.System.ProcessRegistry.Get(ctx.Self()); ok {
			p.SendSystemMessage(ctx.Self(), &actor.SuspendMailbox{})
		}
		g.closing = true
		g.contain(ctx, msg)
		return
	case Ping:
		if !g.failed {
			ctx.Respond(Pong{})
		}
		return
	}
	switch {
	case g.failed: // system messages reach it while its supervisor decides
	case g.closing:
		g.contain(ctx, msg)
	default:
		g.receive(ctx, msg)
	}
}

func (g *guard) receive(ctx actor.Context, msg any) {
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		g.failed = true
		if _, ok := r.(Kill); ok {
			panic(r)
		}
		dispose(msg)
		if r == nil {
			g.answer(ctx, msg, ErrGoexit) // the mailbox tells the supervisor: this goroutine is ending
			return
		}
		g.answer(ctx, msg, r)
		panic(&Crash{Actor: ctx.Self().Id, Message: typeName(msg), Value: r, Stack: Stack(), Recent: g.env.recent(ctx.Self().Id)})
	}()
	if g.faults != nil {
		g.faults.Before(ctx.Self().Id, msg)
	}
	g.inner.Receive(ctx)
	if _, ok := msg.(*actor.Started); ok {
		g.env.began(ctx.Self().Id, g.inner)
	}
	if g.faults != nil {
		g.faults.After(ctx.Self().Id, msg)
	}
	returned = true
}

// contain lets nothing out. A panic in Stopped would hang the parent's stop for ever, one in Stopping resurrect the actor. The goroutine
// is for Goexit, which cannot be caught on one's own.
func (g *guard) contain(ctx actor.Context, msg any) {
	ended := make(chan any, 1)
	go func() {
		var reason any = ErrGoexit
		defer func() {
			if r := recover(); r != nil {
				reason = r
			}
			ended <- reason
		}()
		g.inner.Receive(ctx)
		reason = nil
	}()
	reason := <-ended
	if _, ok := reason.(Kill); ok {
		panic(reason)
	}
	if reason != nil {
		g.answer(ctx, msg, reason)
		g.env.Log.Error("panic of a stopping actor ignored", "actor", ctx.Self().Id, "message", typeName(msg), "reason", redact.Text(fmt.Sprint(reason)))
	}
}

func dispose(msg any) {
	if d, ok := msg.(Disposable); ok {
		d.Dispose()
	}
}

func (g *guard) answer(ctx actor.Context, msg, reason any) {
	if to := ctx.Sender(); to != nil {
		g.env.System.Root.Send(to, messages.Fault{Actor: ctx.Self().Id, Message: typeName(msg), Reason: redact.Text(fmt.Sprint(reason)), Request: msg})
	}
}

// HandleFailure runs in the supervisor's own turn.
func (g *supervisingGuard) HandleFailure(system *actor.ActorSystem, s actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	if g.failed || g.closing {
		return // the child is stopped with it
	}
	defer func() {
		if r := recover(); r != nil {
			g.failed = true
			panic(&Crash{Actor: fmt.Sprint(s), Message: typeName(&actor.Failure{}), Value: r, Stack: Stack()})
		}
	}()
	g.strategy.HandleFailure(system, s, child, rs, reason, message)
}

// forget closes the mailbox of a stopped actor and drops it from the node's books, unless the name already belongs to a new actor.
func (e *Env) forget(ctx actor.Context) {
	id := ctx.Self().Id
	if v, ok := e.mailboxes.Load(id); ok && any(v.(*mailbox).invoker) == any(ctx) {
		e.mailboxes.CompareAndDelete(id, v)
		v.(*mailbox).close()
	}
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
