package supervisor

import (
	"log/slog"
	"time"

	"github.com/lnactor/lnactor/internal/redact"
	"github.com/lnactor/lnactor/messages"
)

// Event is what a supervisor tells about its children: to logs, metrics, crash dumps, the demo's screen. The types are in this file.
type Event interface{ event() }

type (
	// ChildStarted says that a child was started for the first time.
	ChildStarted struct{ Child messages.Addr }
	// ChildFailed says that a child crashed.
	ChildFailed struct {
		Child    messages.Addr
		Reason   error
		Message  string   // Go type of the message, which is lost
		Stack    []byte   // nil unless it panicked; without the values of arguments
		Recent   []string // Go types of the last messages that it handled, the newest last
		Failures float64
	}
	// ChildRestarted says that a child gets a new instance.
	ChildRestarted struct {
		Child   messages.Addr
		With    messages.Addr // the child whose failure caused it; the same as Child if it was its own
		Restart int           // how many restarts of the child these are by now
		Backoff time.Duration // how long it waited
	}
	// ChildQuarantined says that a stand-in takes a child's place until Retry.
	ChildQuarantined struct {
		Child  messages.Addr
		With   messages.Addr
		Reason error
	}
	// ChildRetried says that a quarantine ended.
	ChildRetried struct{ Child messages.Addr }
	// GaveUpOn says that a child failed too often and that the node stops for it, or that the child is removed.
	GaveUpOn struct {
		Child   messages.Addr
		Err     *GaveUpError
		Removed bool
	}
	// ChildStopped says that a child is gone for good: it was Transient and done, removed, or drained.
	ChildStopped struct{ Child messages.Addr }
)

func (ChildStarted) event()     {}
func (ChildFailed) event()      {}
func (ChildRestarted) event()   {}
func (ChildQuarantined) event() {}
func (ChildRetried) event()     {}
func (GaveUpOn) event()         {}
func (ChildStopped) event()     {}

// LogEvents is the subscriber of a supervisor that has none.
func LogEvents(log *slog.Logger) func(Event) {
	return func(e Event) {
		switch e := e.(type) {
		case ChildStarted:
			log.Debug("actor started", "actor", e.Child)
		case ChildFailed:
			log.Warn("actor crashed", "actor", e.Child, "message", e.Message, "reason", redact.Text(e.Reason.Error()), "failures", e.Failures, "stack", string(e.Stack))
		case ChildRestarted:
			log.Info("actor restarts", "actor", e.Child, "with", e.With, "restart", e.Restart, "backoff", e.Backoff)
		case ChildQuarantined:
			log.Error("actor quarantined", "actor", e.Child, "with", e.With, "reason", redact.Text(e.Reason.Error()))
		case ChildRetried:
			log.Info("actor out of quarantine", "actor", e.Child)
		case GaveUpOn:
			log.Error("supervision gave up", "actor", e.Child, "removed", e.Removed, "reason", redact.Text(e.Err.Error()))
		case ChildStopped:
			log.Debug("actor stopped", "actor", e.Child)
		}
	}
}
