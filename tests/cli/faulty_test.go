package cli_test

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lnactor/lnactor/cmd/lnactor/cli"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
)

// faulty is the command with an actor that does what the file FAULT_FILE says, once it is there: "hold ACTOR" for ever, or "panic ACTOR TEXT". Then the
// file's name has ".done" behind it.
func faulty() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	ctx = daemon.WithFaults(ctx, fault(os.Getenv("FAULT_FILE")))
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type fault string

func (f fault) Before(actor string, _ any) {
	raw, err := os.ReadFile(string(f))
	if err != nil {
		return
	}
	what, rest, _ := strings.Cut(string(raw), " ")
	name, text, _ := strings.Cut(rest, " ")
	if !strings.HasSuffix(actor, "/"+name) || os.Rename(string(f), string(f)+".done") != nil {
		return
	}
	if what == "hold" {
		select {}
	}
	panic(text)
}

func (f fault) After(string, any) {}

// faultyPath makes a directory with the commands `lnactor` and `faulty`.
func faultyPath(t *testing.T) string {
	t.Helper()
	bin := lnactorPath(t)
	must(t, os.Symlink(filepath.Join(bin, "lnactor"), filepath.Join(bin, "faulty")))
	return bin
}
