package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// Strategy says which children a failure takes with it.
type Strategy int

const (
	OneForOne  Strategy = iota // those of the child's Group that were added after it
	RestForOne                 // all that were added after it
)

// GiveUp says what happens when a child fails more often than its Limit allows.
type GiveUp int

const (
	Never      GiveUp = iota // it is restarted for ever, at the largest back-off
	Quarantine               // a stand-in takes its place, and that of its dependents; the others go on
	Escalate                 // the node stops, with a *GaveUpError
	Remove                   // it is stopped and forgotten, and its dependents too
)

// Backoff says how long a child waits for its restart and how fast its failures are forgotten. Zero fields have the defaults named.
type Backoff struct {
	Min   time.Duration // after the first failure; 100 ms
	Max   time.Duration // never more; 10 s
	Decay time.Duration // uptime that halves the count of failures; 1 min
}

// ChildSpec is a child. Name and Producer are required.
type ChildSpec struct {
	Name     messages.Addr
	Producer actor.Producer // called for every instance
	Options  []actor.PropsOption

	Group string // under OneForOne: restarted together, see Strategy; "": on its own

	// Transient children may stop themselves and are then forgotten. When any other child stops by itself, it has failed.
	Transient bool

	Backoff Backoff
	Limit   float64 // failures, decaying, that are too many when exceeded; ignored with Never
	GiveUp  GiveUp

	// StandIn makes the actor that takes the place of the child in quarantine; nil: one that drops and counts all messages. If it fails
	// as well, that one replaces it.
	StandIn actor.Producer

	// Drains marks a child that stops itself, in its own order, when it is told to [Drain], as supervisors do. Others are poisoned.
	Drains bool
}

// Config is a supervisor.
type Config struct {
	Strategy Strategy
	Children []ChildSpec // started in this order; more can be added later

	Events func(Event) // called within the supervisor's turn, so it must return at once; nil: they are logged

	// Started, if set, is called at each start of the supervisor, after its Children were started.
	Started func(*Supervisor, actor.Context)
	// Receive, if set, gets the messages that are not the supervisor's own. It must not panic: that restarts the supervisor and with it
	// all children, whose mailboxes are lost.
	Receive func(*Supervisor, actor.Context)
	// Draining, if set, is called when a Drain begins: the place to close listeners.
	Draining func()
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 100 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 10 * time.Second
	}
	b.Max = max(b.Max, b.Min)
	if b.Decay <= 0 {
		b.Decay = time.Minute
	}
	return b
}

// wait is the back-off after so many failures, spread by jitter in [0, 1) over its upper half.
func (b Backoff) wait(failures, jitter float64) time.Duration {
	d := b.Min
	for n := 1.5; n < failures && d < b.Max; n++ {
		d *= 2
	}
	d = min(d, b.Max)
	return d/2 + time.Duration(float64(d/2)*jitter)
}
