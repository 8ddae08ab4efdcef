package messages

import (
	"fmt"
	"log/slog"
)

// Fault answers a message whose handling crashed the actor. The message is gone; whether it had an effect is not known, as with any message
// that gets no answer (rule 3): what is durable decides, after the actor's restart.
//
// It is also an error, so that Go callers find it with errors.As.
type Fault struct {
	Actor   string // full name of the actor that crashed, such as "alice/manager"
	Message string // Go type of the message
	Reason  string // what the actor panicked with
	Request any    // the message itself, so that the asker can tell which of its questions failed (rule 4)
}

func (f Fault) Error() string {
	return fmt.Sprintf("%s crashed while handling %s: %s", f.Actor, f.Message, f.Reason)
}

// LogValue leaves the request out: it may hold secrets.
func (f Fault) LogValue() slog.Value {
	return slog.GroupValue(slog.String("actor", f.Actor), slog.String("message", f.Message), slog.String("reason", f.Reason))
}
