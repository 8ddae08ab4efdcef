package cli

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
	"github.com/lnactor/lnactor/cmd/lnactor/demo"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/supervisor"
)

// Exit codes, after sysexits.h where it has one. They are part of the command's interface: service managers decide by them.
const (
	ExitOK          = 0
	ExitFault       = 1   // the demo found a fault, a payment failed for good or was refused, or an error that has no code of its own
	ExitUsage       = 64  // the command line is wrong
	ExitCorrupt     = 65  // durable data does not decode or verify; a restart does not help
	ExitUnreachable = 69  // the chain source or an address to listen on at the start, or the node for a command, is not there; try again later
	ExitGaveUp      = 70  // supervision gave up on an actor, or one did not get on; a restart may help
	ExitStore       = 74  // the store could not read or write
	ExitInUse       = 75  // another process has the data directory; try again later
	ExitUnsure      = 76  // a call that spends ended without an answer: it may have had its effect, so look before anything is paid in another way
	ExitNotAllowed  = 77  // the token does not allow the call
	ExitConfig      = 78  // the configuration is wrong
	ExitInterrupted = 130 // by a signal, as shells have it
)

// usageError is a wrong command line; its hint says what would be right.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errInterrupted is the end by a signal.
var errInterrupted = errors.New("interrupted; the nodes were stopped in order")

// exitCode maps an error to the exit code. The order matters where an error has two causes: what needs a human first comes first.
func exitCode(err error) int {
	var gaveUp *supervisor.GaveUpError
	var usage *usageError
	var answered *apiError
	var unsure *unsureError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage), errors.Is(err, daemon.ErrUsage):
		return ExitUsage
	case errors.Is(err, lnactor.ErrCorrupt), errors.Is(err, seed.ErrCorrupt):
		return ExitCorrupt
	case errors.Is(err, lnactor.ErrInUse):
		return ExitInUse
	case errors.Is(err, lnactor.ErrStoreFailed):
		return ExitStore
	case errors.As(err, &gaveUp), errors.Is(err, daemon.ErrWedged):
		return ExitGaveUp
	case errors.Is(err, lnactor.ErrConfig), errors.Is(err, lnactor.ErrRestoreUnfinished), errors.Is(err, seed.ErrPassphrase), errors.Is(err, seed.ErrInsecure):
		return ExitConfig
	case errors.Is(err, daemon.ErrUnreachable), errors.Is(err, daemon.ErrAddress):
		return ExitUnreachable
	case errors.Is(err, errStopped):
		return ExitInterrupted
	case errors.As(err, &unsure):
		return ExitUnsure
	case errors.As(err, &answered):
		return answered.exitCode()
	case isFault(err):
		return ExitFault
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	return ExitFault
}

// exitCode of what the node answered.
func (e *apiError) exitCode() int {
	switch e.code {
	case connect.CodeInvalidArgument:
		return ExitUsage
	case connect.CodeUnavailable:
		return ExitUnreachable
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return ExitNotAllowed
	}
	return ExitFault
}

func isFault(err error) bool {
	var fault *demo.FaultError
	return errors.As(err, &fault)
}
