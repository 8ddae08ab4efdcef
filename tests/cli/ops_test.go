package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lnactor/lnactor/cmd/lnactor/crash"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// manager is a service manager: it takes in what a process says about itself.
type manager struct {
	mu   sync.Mutex
	said []string
}

func newManager(t *testing.T) (m *manager, socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m = &manager{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := l.Read(buf)
			if err != nil {
				return // closed
			}
			m.mu.Lock()
			m.said = append(m.said, strings.Split(string(buf[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return m, socket
}

func (m *manager) count(what string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.said {
		if s == what {
			n++
		}
	}
	return n
}

// watched is a process under a service manager, with faults to order.
type watched struct {
	*process
	*manager
	faults string
	pages  string
}

// startWatched starts a node that its service manager wants to hear of every so often.
func startWatched(t *testing.T, watchdog time.Duration, args ...string) *watched {
	t.Helper()
	dir, bin := shortDir(t), faultyPath(t)
	w := &watched{process: newProcess(dir, bin, "node", append([]string{"--monitoring-listen", "127.0.0.1:0"}, args...)...), faults: filepath.Join(dir, "fault")}
	var socket string
	w.manager, socket = newManager(t)
	w.program, w.env = "faulty", []string{"NOTIFY_SOCKET=" + socket, "FAULT_FILE=" + w.faults}
	if watchdog > 0 {
		w.env = append(w.env, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	}
	w.launch(t)
	poll(t, patience, "READY", func(context.Context) bool { return w.count("READY=1") == 1 })
	poll(t, patience, "the log to say where the metrics are", func(context.Context) bool {
		found := regexp.MustCompile(`"monitoring":"([^"]+)"`).FindStringSubmatch(w.out.String())
		if found != nil {
			w.pages = "http://" + found[1]
		}
		return found != nil
	})
	return w
}

func (w *watched) fault(t *testing.T, what string) {
	t.Helper()
	tmp := w.faults + ".tmp"
	if err := errors.Join(os.WriteFile(tmp, []byte(what), 0o600), os.Rename(tmp, w.faults)); err != nil {
		t.Fatal(err)
	}
	poll(t, patience, what, func(context.Context) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _ = w.api.ListChannels(ctx, &apiv1.ListChannelsRequest{}) // something to handle
		_, err := os.Stat(w.faults + ".done")
		return err == nil
	})
}

func (w *watched) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := http.Get(w.pages + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(raw)
}

// TestServiceManager: a node says when it is up, that it lives, and that it stops; SIGTERM stops it in order.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	w := startWatched(t, 12*time.Second) // a busy machine may leave an actor waiting for a third of it
	poll(t, patience, "signs of life", func(context.Context) bool { return w.count("WATCHDOG=1") >= 3 })
	poll(t, patience, "the node to be ready", func(context.Context) bool {
		code, _ := w.get(t, "/readyz")
		return code == 200
	})
	if code, body := w.get(t, "/metrics"); code != 200 || !strings.Contains(body, "\nlnactor_ready 1\n") {
		t.Errorf("%d %s", code, body)
	}
	if w.count("STOPPING=1") != 0 {
		t.Error("it says that it stops")
	}
	w.signal(t, syscall.SIGTERM)
	if code := w.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	poll(t, patience, "STOPPING", func(context.Context) bool { return w.count("STOPPING=1") == 1 })
	if out := w.out.String(); !strings.Contains(out, `"msg":"stopped in order"`) {
		t.Error(out)
	}
}

// TestWatchdog: when an actor hangs, the service manager hears nothing any more, the report and the health name the actor, and the process can be
// ended at once. Whatever hangs, the API still says what.
func TestWatchdog(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for watchdogs")
	}
	for _, actor := range []string{"manager", "persister", "graph"} {
		t.Run(actor, func(t *testing.T) {
			t.Parallel()
			const timeout = 6 * time.Second
			w := startWatched(t, timeout)
			poll(t, patience, "signs of life", func(context.Context) bool { return w.count("WATCHDOG=1") >= 2 })
			if actor == "manager" {
				w.fault(t, "hold "+actor)
			} else {
				w.holdWithoutAsking(t, actor)
			}
			dir := filepath.Join(w.dir, crash.DirName)
			var report string
			poll(t, patience, "a report", func(context.Context) bool {
				files, _ := crash.Reports(dir) // none yet
				for _, file := range files {
					raw, err := os.ReadFile(file)
					if err == nil && strings.Contains(string(raw), "actor      "+actor+"\n") {
						report = string(raw)
					}
				}
				return report != ""
			})
			// Which of the two is noticed first is up to the moment at which it was held.
			if !strings.Contains(report, actor+" has handled no message for ") && !strings.Contains(report, actor+" answers no ping for ") {
				t.Errorf("the report does not say what is wrong:\n%.3000s", report)
			}
			for _, want := range []string{"actor      " + actor + "\n", actor + ": last messages ", "goroutine ", "cli_test.fault.Before(...)"} {
				if !strings.Contains(report, want) {
					t.Errorf("the report lacks %q:\n%.3000s", want, report)
				}
			}
			petted := w.count("WATCHDOG=1")
			time.Sleep(timeout + time.Second) // a service manager would act by now
			if n := w.count("WATCHDOG=1"); n != petted {
				t.Errorf("it was said %d times that all is well", n-petted)
			}
			code, body := w.get(t, "/healthz")
			if code != 503 || !strings.Contains(body, `"id": "actor_wedged"`) || !strings.Contains(body, `"subject": "`+actor+`"`) {
				t.Errorf("/healthz: %d %s", code, body)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			list, err := w.api.ListActors(ctx, &apiv1.ListActorsRequest{Kind: actor})
			if err != nil || len(list.GetActors()) != 1 || !list.GetActors()[0].GetBusy() {
				t.Errorf("%v %v", list, err)
			}
			if h, err := w.api.GetHealth(ctx, &apiv1.GetHealthRequest{}); err != nil || h.GetAlive() || h.GetCrashReport() == "" {
				t.Errorf("%v %v", h, err)
			}
			w.signal(t, syscall.SIGTERM)
			if code := w.exit(t); code != 70 {
				t.Errorf("exit code %d, want 70", code)
			}
		})
	}
}

// holdWithoutAsking holds an actor over whatever reaches it next: a block.
func (w *watched) holdWithoutAsking(t *testing.T, actor string) {
	t.Helper()
	if err := os.WriteFile(w.faults, []byte("hold "+actor), 0o600); err != nil {
		t.Fatal(err)
	}
	poll(t, patience, actor+" to hang", func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, _ = w.regtest.Mine(ctx, &apiv1.MineRequest{Blocks: 1})
		_, _ = w.api.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: "none"})
		_, err := os.Stat(w.faults + ".done")
		return err == nil
	})
}

// TestStopLimit: a stop takes no longer than it may, and a second signal ends it at once.
func TestStopLimit(t *testing.T) {
	t.Parallel()
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		w := startWatched(t, 0, "--stop-limit", "1s")
		w.fault(t, "hold manager")
		began := time.Now()
		w.signal(t, syscall.SIGTERM)
		if code := w.exit(t); code != 0 || !strings.Contains(w.out.String(), "the stop was cut short") {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("second", func(t *testing.T) {
		t.Parallel()
		w := startWatched(t, 0, "--stop-limit", "10m")
		w.fault(t, "hold manager")
		w.signal(t, syscall.SIGTERM)
		poll(t, patience, "STOPPING", func(context.Context) bool { return w.count("STOPPING=1") == 1 })
		if code, body := w.get(t, "/readyz"); code != 503 || !strings.Contains(body, `"id": "stopping"`) {
			t.Errorf("/readyz: %d %s", code, body)
		}
		poll(t, patience, "the end", func(context.Context) bool {
			_ = w.cmd.Process.Signal(syscall.SIGTERM) // it has ended, at last
			return w.gone()
		})
		if code := w.exit(t); code != -int(syscall.SIGTERM) {
			t.Errorf("ended by %d", code)
		}
	})
}

// TestCrashReport: an actor that panics is restarted, and there is a report without a secret, which health, metrics and the list of actors point to.
func TestCrashReport(t *testing.T) {
	t.Parallel()
	w := startWatched(t, 0)
	secret := strings.Repeat("5ec2", 16)
	w.fault(t, "panic manager preimage "+secret)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var h *apiv1.GetHealthResponse
	poll(t, patience, "the report", func(ctx context.Context) bool {
		var err error
		h, err = w.api.GetHealth(ctx, &apiv1.GetHealthRequest{})
		return err == nil && h.GetCrashReport() != "" && h.GetReady()
	})
	raw, err := os.ReadFile(h.GetCrashReport())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"actor      manager\n", "reason     node/manager crashed while handling messages.", "preimage 5ec25ec2…", "stack:", "cli_test.fault.Before\n"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("lacks %q:\n%s", want, raw)
		}
	}
	told := slices.DeleteFunc(h.GetConditions(), func(c *apiv1.HealthCondition) bool { return strings.HasPrefix(c.GetId(), "disk_") }) // of this machine
	if len(told) != 1 || told[0].GetId() != "actor_crashed" || !strings.Contains(told[0].GetCause(), h.GetCrashReport()) {
		t.Errorf("%v", told)
	}
	list, err := w.api.ListActors(ctx, &apiv1.ListActorsRequest{OnlyTroubled: true})
	if err != nil || len(list.GetActors()) != 1 || list.GetActors()[0].GetRestarts() != 1 || list.GetActors()[0].GetInstances() != 2 {
		t.Fatalf("%v %v", list, err)
	}
	_, page := w.get(t, "/metrics")
	for _, want := range []string{`lnactor_actor_restarts_total{kind="manager"} 1`, `lnactor_actor_crashes_total{kind="manager"} 1`, `lnactor_condition{id="actor_crashed",severity="warning"} 1`} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	answers, err := json.Marshal([]any{h, list})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"report": string(raw), "log": w.out.String(), "answers": string(answers), "metrics": page} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in the %s", where)
		}
	}
	w.signal(t, syscall.SIGTERM)
	if code := w.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
