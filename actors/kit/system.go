package kit

import (
	"context"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/lnactor/lnactor/internal/redact"
)

// NewSystem makes an actor system that logs to log (nil: nowhere) and never logs a payload. One system costs 2.8 MB; nodes may share it.
func NewSystem(log *slog.Logger) *actor.ActorSystem {
	var handler slog.Handler = slog.DiscardHandler
	if log != nil {
		handler = typesOnly{log.Handler()}
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(handler) }))
	system.EventStream = eventstream.NewEventStream()
	DeadLetters(system)
	return system
}

// DeadLetters subscribes what a system needs to deal with messages to nobody, on an event stream that has no subscribers yet. It stands
// for protoactor's own subscribers, which log payloads and start a goroutine to throttle that.
func DeadLetters(system *actor.ActorSystem) {
	system.EventStream.Subscribe(func(event any) {
		d, ok := event.(*actor.DeadLetterEvent)
		if !ok {
			return
		}
		dispose(d.Message)
		if w, ok := d.Message.(*actor.Watch); ok {
			if p, ok := system.ProcessRegistry.Get(w.Watcher); ok {
				p.SendSystemMessage(w.Watcher, &actor.Terminated{Who: d.PID, Why: actor.TerminatedReason_NotFound})
			}
			return
		}
		if d.Sender != nil {
			if p, ok := system.ProcessRegistry.Get(d.Sender); ok { // not by Send: an answer to nobody must not be answered
				p.SendUserMessage(d.Sender, &actor.DeadLetterResponse{Target: d.PID})
			}
		}
		to := ""
		if d.PID != nil {
			to = d.PID.Id
		}
		system.Logger().Debug("message to nobody", "actor", to, "type", typeName(d.Message))
	})
}

// typesOnly keeps payloads, and what a panic may hold, out of protoactor's log lines.
type typesOnly struct{ slog.Handler }

func (h typesOnly) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "message":
			a = slog.String("type", typeName(a.Value.Any()))
		case "reason":
			a = slog.String("reason", redact.Text(a.Value.String()))
		}
		clean.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h typesOnly) WithAttrs(as []slog.Attr) slog.Handler { return typesOnly{h.Handler.WithAttrs(as)} }

func (h typesOnly) WithGroup(name string) slog.Handler { return typesOnly{h.Handler.WithGroup(name)} }
