package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/cmd/lnactor/demo"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/supervisor"
)

func TestExitCodes(t *testing.T) {
	node := func(err error) error { return &lnactor.Error{Op: "open", Err: fmt.Errorf("alice: %w", err)} }
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing wrong", nil, 0},
		{"a demo that found something", &demo.FaultError{Faults: []string{"a satoshi is missing"}}, 1},
		{"an error without a code", errors.New("something else"), 1},
		{"usage", &usageError{err: errors.New("unknown flag")}, 64},
		{"corrupt store", node(&persister.Error{Kind: lnactor.ErrCorrupt, Path: "store.db"}), 65},
		{"corrupt seed", node(&seed.FileError{Op: "open", Path: "seed", Err: seed.ErrCorrupt}), 65},
		{"supervision", node(&supervisor.GaveUpError{Child: "persister", Reason: errors.New("crash")}), 70},
		{"store failed", node(&persister.Error{Kind: lnactor.ErrStoreFailed, Op: "commit"}), 74},
		{"disk full", node(&persister.Error{Kind: lnactor.ErrDiskFull, Op: "commit"}), 74},
		{"in use", node(&persister.Error{Kind: lnactor.ErrInUse, PID: 1}), 75},
		{"configuration", node(lnactor.ErrConfig), 78},
		{"half a restore", node(lnactor.ErrRestoreUnfinished), 78},
		{"passphrase", node(seed.ErrPassphrase), 78},
		{"mode of the seed file", node(&seed.FileError{Op: "open", Path: "seed", Err: seed.ErrInsecure}), 78},
		{"interrupted", errInterrupted, 130},
		{"cancelled", fmt.Errorf("open: %w", context.Canceled), 130},

		// With two causes the one that a human must look at decides.
		{"supervision gave up over a corrupt store", &supervisor.GaveUpError{Reason: node(lnactor.ErrCorrupt)}, 65},
		{"supervision gave up over the store", &supervisor.GaveUpError{Reason: node(lnactor.ErrStoreFailed)}, 74},
		{"an interrupted start of a node in use", errors.Join(context.Canceled, node(lnactor.ErrInUse)), 75},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}
