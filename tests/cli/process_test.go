package cli_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// patience is how long a test waits for what a process has to do. A wait that takes so long fails its test, on however slow a machine.
const patience = 3 * time.Minute

// process is `lnactor run` and a client of it.
type process struct {
	name, dir, bin string
	args           []string
	program        string   // in bin
	env            []string // beside this process's own
	cmd            *exec.Cmd
	ended          chan struct{} // closed once the process is gone
	out            *output       // since its last start
	api            api.NodeClient
	regtest        api.RegtestClient
}

func newProcess(dir, bin, name string, args ...string) *process {
	p := &process{name: name, dir: filepath.Join(dir, name), bin: bin, args: args, program: "lnactor"}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, "api.sock"))
	}}
	p.api = api.NewNodeClient(&http.Client{Transport: transport}, "http://x")
	p.regtest = api.NewRegtestClient(&http.Client{Transport: transport}, "http://x")
	return p
}

// launch starts the process. It is ended with the test, and what it printed is shown if that fails.
func (p *process) launch(t *testing.T) {
	t.Helper()
	if p.cmd == nil {
		t.Cleanup(func() {
			p.kill()
			if t.Failed() {
				t.Logf("%s, since its last start:\n%s", p.name, tail(p.out.String()))
			}
		})
	}
	if p.out == nil {
		p.out = &output{}
	}
	p.cmd = exec.Command(filepath.Join(p.bin, p.program), append([]string{"run", "--unattended", "-d", p.dir}, p.args...)...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(ended)
	}()
}

// start starts the process and waits until it answers.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.out = &output{}
	p.launch(t)
	p.answered(t)
}

// answered waits until the node answers.
func (p *process) answered(t *testing.T) {
	t.Helper()
	poll(t, patience, p.name+" to answer", func(ctx context.Context) bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended by itself: %v", p.name, p.cmd.ProcessState)
		default:
		}
		_, err := p.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
		return err == nil
	})
}

// gone tells whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill is kill -9.
func (p *process) kill() {
	if p.ended == nil {
		return // it was never started
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the process and says how it ended: its exit code, or minus the signal.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s runs on after %v", p.name, patience)
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return -int(status.Signal())
	}
	return status.ExitStatus()
}

// command runs another command of the process's binary, such as `inspect`, and returns its exit code and all that it printed.
func (p *process) command(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "lnactor"), args...)
	raw, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("lnactor %v: %v\n%s", args, err, raw)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// output is what a process prints, readable meanwhile.
type output struct {
	mu  sync.Mutex
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}

func tail(out string) string { return out[max(0, len(out)-4000):] }

// poll waits for something that happens in another process.
func poll(t *testing.T, limit time.Duration, what string, done func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v for %s", limit, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// health is what a node says of itself; nil: it does not answer.
func (p *process) health(ctx context.Context) *apiv1.GetHealthResponse {
	h, err := p.api.GetHealth(ctx, &apiv1.GetHealthRequest{})
	if err != nil {
		return nil
	}
	return h
}

// has tells whether a condition of that id is there.
func (p *process) has(ctx context.Context, id string) (has, answered bool) {
	h := p.health(ctx)
	for _, c := range h.GetConditions() {
		has = has || c.GetId() == id
	}
	return has, h != nil
}

// show is the state of a node for a test that gives up.
func (p *process) show(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	var b []byte
	if list, err := p.api.ListPayments(ctx, &apiv1.ListPaymentsRequest{Limit: 10_000}); err == nil {
		for _, pay := range list.GetPayments() {
			if pay.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING {
				b = fmt.Appendf(b, "%v\n", pay)
			}
		}
	}
	if list, err := p.api.ListChannels(ctx, &apiv1.ListChannelsRequest{}); err == nil {
		b = fmt.Appendf(b, "%v\n", list)
	}
	t.Logf("%s: %s%v", p.name, b, p.health(ctx))
}
