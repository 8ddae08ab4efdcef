package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/cli"
	"github.com/lnactor/lnactor/cmd/lnactor/demo"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// TestMain lets the scripts run this binary as the command, so a script's processes are real ones.
func TestMain(m *testing.M) {
	testscript.Main(withBtcd{m}, map[string]func(){
		"lnactor": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			context.AfterFunc(ctx, stop) // a second signal ends the process, as in main
			os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
		},
		"exits":  exits,
		"hold":   hold,
		"faulty": faulty,
	})
}

// withBtcd removes the btcd that was built, if one was.
type withBtcd struct{ *testing.M }

func (m withBtcd) Run() int { return btcdtest.Main(m.M) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.WorkDir) // what the demo leaves behind would be seen
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"report": report,
			"course": course,
			"await":  await,
			"damage": damage,
			"port":   port,
			"field":  field,
			"mode":   mode,
			"event":  event,

			"endpoint":  endpoint,
			"lines":     lines,
			"eventid":   eventid,
			"consumers": consumers,
			"spoil":     spoil,
		},
	})
}

// exits CODE ARG... runs the command and fails unless it exits with the code.
func exits() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	got := cli.Main(ctx, os.Args[2:], os.Stdout, os.Stderr)
	if want, err := strconv.Atoi(os.Args[1]); err != nil || got != want {
		fmt.Fprintf(os.Stderr, "exit code %d, want %s\n", got, os.Args[1])
		os.Exit(1)
	}
}

// hold DIR FILE has a node on the directory until it is interrupted, and makes the file once it has.
func hold() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	node, err := lnactor.Open(ctx, lnactor.Config{Dir: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.WriteFile(os.Args[2], []byte("held\n"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	<-ctx.Done()
	if err := node.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read decodes a report strictly.
func read(ts *testscript.TestScript, file string) (r demo.Report) {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	decoder.DisallowUnknownFields()
	ts.Check(decoder.Decode(&r))
	if _, err := decoder.Token(); err != io.EOF {
		ts.Fatalf("more than one JSON value: %v", err)
	}
	return r
}

// report FILE PAYMENTS CRASHES decodes a report strictly and checks what must hold of every good one.
func report(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: report FILE PAYMENTS CRASHES")
	}
	r := read(ts, args[0])
	payments, err := strconv.Atoi(args[1])
	ts.Check(err)
	crashes, err := strconv.Atoi(args[2])
	ts.Check(err)
	p, e, c := r.Payments, r.Events, r.Crashes
	sum, kinds := 0, []string{}
	for kind, n := range c.ByActor {
		sum += n
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	want := slices.Sorted(slices.Values(demo.Kinds))
	total := func(b func(demo.Two) demo.Balance) (sat, msat uint64) {
		for _, two := range r.Balances {
			sat, msat = sat+b(two).OnChainSat, msat+b(two).ChannelMsat
		}
		return sat, msat
	}
	satBefore, msatBefore := total(func(t demo.Two) demo.Balance { return t.Before })
	satAfter, msatAfter := total(func(t demo.Two) demo.Balance { return t.After })
	for what, ok := range map[string]bool{
		"ok":                          r.OK && len(r.Faults) == 0,
		"seconds":                     r.Seconds > 0,
		"requested":                   p.Requested == payments,
		"every invoice paid once":     p.Sent == payments && p.Claimed == payments,
		"every attempt has an end":    p.Attempted == p.Sent+p.Failed,
		"nothing lost or doubled":     p.Lost == 0 && p.Duplicates == 0,
		"all events acknowledged":     e.Emitted > 0 && e.Acked == e.Emitted && e.Unacked == 0,
		"crashes made":                c.Planned == crashes && c.Made == crashes && sum == crashes,
		"kinds of crashes":            slices.Equal(kinds, want),
		"both balances":               len(r.Balances) == 2,
		"nothing on chain":            r.OnChain == nil,
		"money on both sides":         r.Balances["alice"].Before.ChannelMsat > 0 && r.Balances["bob"].Before.ChannelMsat > 0,
		"no satoshi made or vanished": satBefore == satAfter && msatBefore == msatAfter && msatBefore == 10_000_000_000,
	} {
		if !ok {
			ts.Fatalf("report: %s: %+v", what, r)
		}
	}
}

// await PATTERN waits for a file that a process in the background makes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PATTERN")
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 {
			return
		}
	}
	ts.Fatalf("no %s", args[0])
}

// damage FILE flips bits all over a file, its beginning excepted.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(filepath.Clean(path))
	ts.Check(err)
	for i := 8192; i < len(b); i += 97 {
		b[i] ^= 0x55
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}
