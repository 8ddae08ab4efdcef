package kit

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/lnactor/lnactor/messages"
)

// Ping is answered by every actor, behind all that waits in its mailbox: the answer shows that the mailbox moves and that the turns end. The guard
// answers it, so no actor sees it.
type Ping struct{}

// Pong answers Ping.
type Pong struct{}

// Ping waits for an actor to answer a Ping. The errors are those of Ask.
func (e *Env) Ping(ctx context.Context, at messages.Addr) error {
	_, err := Ask(ctx, e, at, Ping{})
	return err
}

// stackDepth bounds the stack in a Crash, in frames.
const stackDepth = 64

// Stack is the stack of the caller's caller, without the values of arguments: those of debug.Stack can be pieces of keys.
func Stack() []byte {
	pcs := make([]uintptr, stackDepth)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var b strings.Builder
	for {
		f, more := frames.Next()
		if f.Function != "" {
			fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return []byte(b.String())
		}
	}
}
