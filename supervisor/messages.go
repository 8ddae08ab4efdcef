package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lnactor/lnactor/messages"
)

// What a supervisor is asked. Answers go to ReplyTo, or if that is empty to the sender (as with kit.Ask), or nowhere.
type (
	// SpawnChildren adds children and starts them, in order; answered by ChildrenSpawned. Either all are added or none.
	SpawnChildren struct {
		Children []ChildSpec
		ReplyTo  messages.Addr
	}
	// ChildrenSpawned answers SpawnChildren. The children's addresses are good from now on.
	ChildrenSpawned struct {
		Names []messages.Addr
		Err   error // ErrExists, ErrDraining, ErrSpec
	}
	// StopChild stops a child at once and forgets it; answered by ChildGone when it is gone.
	StopChild struct {
		Name    messages.Addr
		ReplyTo messages.Addr
	}
	// ChildGone answers StopChild.
	ChildGone struct {
		Name messages.Addr
		Err  error // ErrUnknown
	}
	// Retry ends the quarantine of a child and of its dependents; answered by Retried.
	Retry struct {
		Name    messages.Addr
		ReplyTo messages.Addr
	}
	// Retried answers Retry.
	Retried struct {
		Name messages.Addr
		Err  error // ErrUnknown, ErrNotQuarantined
	}
	// ListChildren asks for Children.
	ListChildren struct{ ReplyTo messages.Addr }
	// ChildList answers ListChildren, in the order in which the children were added.
	ChildList struct{ Children []ChildInfo }
	// Drain stops the children in order and then the supervisor; answered by Drained.
	Drain struct {
		Limit   time.Duration // 0: for ever
		ReplyTo messages.Addr
	}
	// Drained answers Drain, as the last thing that the supervisor does.
	Drained struct{ Err error } // *DrainError
)

// ChildInfo is the state of a child.
type ChildInfo struct {
	Name        messages.Addr
	State       State
	Failures    float64 // as of the last failure
	Restarts    int
	Dropped     uint64    // messages that the default stand-in dropped
	LastFailure string    // without what may be secret, see redact
	FailedAt    time.Time // zero: never
}

// State is what a child is doing.
type State int

const (
	Running     State = iota
	Waiting           // for its restart
	Quarantined       // a stand-in is in its place
	Down              // given up, while the node stops
	Stopping
)

func (s State) String() string {
	return [...]string{"running", "waiting", "quarantined", "down", "stopping"}[s]
}

var (
	// ErrExists says that a child's name is taken.
	ErrExists = errors.New("supervisor: child exists already")
	// ErrUnknown says that there is no child of this name.
	ErrUnknown = errors.New("supervisor: no such child")
	// ErrNotQuarantined says that there is nothing to retry.
	ErrNotQuarantined = errors.New("supervisor: child is not quarantined")
	// ErrDraining says that no children are started any more.
	ErrDraining = errors.New("supervisor: draining")
	// ErrSpec says that a child lacks a name or a producer.
	ErrSpec = errors.New("supervisor: child needs a name and a producer")
	// ErrChildStopped is the failure of a child that stopped by itself and is not Transient.
	ErrChildStopped = errors.New("supervisor: child stopped by itself")
	// ErrRestarted is why a node stops whose outermost supervisor crashed.
	ErrRestarted = errors.New("supervisor: the outermost supervisor crashed")
)

// GaveUpError is why a node stops when one of its children failed too often.
type GaveUpError struct {
	Child    messages.Addr
	Failures float64
	Reason   error // of the last failure
}

func (e *GaveUpError) Error() string {
	return fmt.Sprintf("supervision of %s gave up after %.1f failures, the last: %v", e.Child, e.Failures, e.Reason)
}

// Unwrap is the last failure.
func (e *GaveUpError) Unwrap() error { return e.Reason }

// DrainError says that children were still at work at the end of a drain. They were told to stop at once.
type DrainError struct{ Remaining []messages.Addr }

func (e *DrainError) Error() string {
	names := make([]string, 0, 4)
	for _, n := range e.Remaining[:min(4, len(e.Remaining))] {
		names = append(names, string(n))
	}
	return fmt.Sprintf("drain: out of time, %d children still at work (%s)", len(e.Remaining), strings.Join(names, ", "))
}
