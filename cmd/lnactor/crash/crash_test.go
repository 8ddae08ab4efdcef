package crash

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func recorder(t *testing.T) (r *Recorder, clock *time.Time, log *bytes.Buffer) {
	t.Helper()
	now := start
	log = &bytes.Buffer{}
	r = New(Config{DataDir: t.TempDir(), Version: "v1", Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return now }})
	t.Cleanup(r.Close)
	return r, &now, log
}

func crashed(name, stack string) supervisor.ChildFailed {
	return supervisor.ChildFailed{
		Child: messages.Addr(name), Reason: errors.New("preimage " + strings.Repeat("ab", 32)), Message: "messages.DecideHTLC",
		Stack: []byte(stack), Recent: []string{"messages.Fence", "messages.DecideHTLC"}, Failures: 1,
	}
}

func TestReport(t *testing.T) {
	r, _, log := recorder(t)
	logger := r.Log(slog.New(slog.DiscardHandler)).With("node", "alice")
	logger.Info("not taken")
	logger = r.Log(slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))).With("node", "alice")
	logger.Debug("not enabled")
	logger.Info("the last thing", "channel_id", "c1", "stack", "a stack")
	r.Observe(supervisor.ChildRestarted{Child: "peers", With: "peers", Restart: 1})
	r.Observe(crashed("monitor/0011", "main.f({0xab, 0xcd})\n\t/f.go:1 +0x1\n"))
	r.Close()
	files, err := Reports(r.Dir())
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{
		"version    v1", "actor      monitor/0011", "message    messages.DecideHTLC (lost)", "reason     preimage abababab…", "  messages.Fence\n  messages.DecideHTLC\n",
		"main.f(...)\n\t/f.go:1", "peers restarts with peers", "monitor/0011 failed over messages.DecideHTLC: preimage abababab…",
		`msg="the last thing" node=alice channel_id=c1`, "2026-01-02T03:04:05Z",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	for _, not := range []string{strings.Repeat("ab", 5), "0xcd", "a stack", "not taken", "not enabled"} {
		if strings.Contains(text, not) {
			t.Errorf("holds %q:\n%s", not, text)
		}
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if r.Newest() != files[0] || !strings.Contains(log.String(), files[0]) {
		t.Errorf("nobody is told of %s: %q\n%s", files[0], r.Newest(), log.String())
	}
}

// However often actors crash, so many files are there; a fault at one place does not push out others.
func TestBounds(t *testing.T) {
	r, clock, _ := recorder(t)
	for i := range 5 * Repeats {
		*clock = start.Add(time.Duration(i) * time.Second)
		r.Observe(crashed(fmt.Sprintf("channel/%d", i), "one place"))
		r.writing.Wait()
	}
	if files, _ := Reports(r.Dir()); len(files) != Repeats {
		t.Fatalf("%d reports of one fault", len(files))
	}
	for i := range 2 * Keep {
		*clock = start.Add(time.Duration(100+i) * time.Second)
		r.Observe(crashed("manager", fmt.Sprint("place ", i)))
		r.writing.Wait()
	}
	files, _ := Reports(r.Dir())
	if len(files) != Keep || !strings.Contains(files[Keep-1], "030624") {
		t.Errorf("%d reports, the newest %s", len(files), files[len(files)-1])
	}
	if _, crashes := r.Counts(); crashes["channel"] != 5*Repeats || crashes["manager"] != 2*Keep {
		t.Errorf("%v", crashes)
	}
}

func TestConditions(t *testing.T) {
	r, clock, _ := recorder(t)
	ids := func() (out []string) {
		for _, f := range r.Conditions() {
			out = append(out, f.ID+" "+f.Subject)
		}
		slices.Sort(out)
		return out
	}
	for i := range manyRestarts {
		if got := ids(); slices.Contains(got, health.ActorRestarts+" manager") {
			t.Errorf("too early, after %d: %v", i, got)
		}
		*clock = clock.Add(time.Minute)
		r.Observe(crashed("manager", fmt.Sprint(i)))
		r.Observe(supervisor.ChildRestarted{Child: "manager", With: "manager"})
		r.Observe(supervisor.ChildRestarted{Child: "channel/1", With: "monitor/1"})
	}
	if got := ids(); !slices.Equal(got, []string{"actor_crashed manager", "actor_restarts manager"}) {
		t.Errorf("%v", got)
	}
	if restarts, _ := r.Counts(); restarts["channel"] != manyRestarts || restarts["manager"] != manyRestarts {
		t.Errorf("%v", restarts)
	}
	*clock = clock.Add(restartedFor)
	if got := ids(); !slices.Equal(got, []string{"actor_crashed manager"}) {
		t.Errorf("%v", got)
	}
	*clock = clock.Add(crashedFor)
	if got := ids(); got != nil {
		t.Errorf("%v", got)
	}
}

func TestWedged(t *testing.T) {
	r, _, _ := recorder(t)
	r.Wedged([]string{"manager", "monitor/1"}, []string{"manager handles messages.Pay"}, []byte("goroutine 1 [select, 2 minutes]:\nmain.f({0xab, 0xcd})\n\t/f.go:1 +0x1\n"))
	r.Close()
	raw, err := os.ReadFile(r.Newest())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"actor      manager, monitor/1", "manager handles messages.Pay", "goroutine 1 [select, 2 minutes]:", "main.f(...)"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("lacks %q:\n%s", want, raw)
		}
	}
}

//go:noinline
func die(key [32]byte) { panic(fmt.Sprint("ouch ", key[0])) }

// A process that dies of a panic leaves what its successor makes a report of.
func TestProcess(t *testing.T) {
	if dir := os.Getenv("CRASH_TEST_DIR"); dir != "" {
		r := New(Config{DataDir: dir})
		if _, err := r.Own(); err != nil {
			t.Fatal(err)
		}
		go die([32]byte(bytes.Repeat([]byte{0xe7}, 32)))
		select {}
	}
	r, _, _ := recorder(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "TestProcess")
	cmd.Env = append(os.Environ(), "CRASH_TEST_DIR="+filepath.Dir(r.Dir()))
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("ouch")) {
		t.Fatalf("%v\n%s", err, out)
	}
	path, err := r.Own()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if !strings.Contains(text, "panic: ouch 231") || !strings.Contains(text, "crash.die(...)") || strings.Contains(text, "0xe7") {
		t.Error(text)
	}
	if path, err = r.Own(); path != "" || err != nil {
		t.Errorf("reported twice: %s %v", path, err)
	}
}
