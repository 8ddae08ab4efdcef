package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// daemonProgram builds `lnactor` as users build it.
var daemonProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lnactor-daemon-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "lnactor")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/lnactor").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lnactor: %w\n%s", err, out)
	}
	return program, nil
})

// daemon is `lnactor run` as a process, driven through its API on a Unix socket: JSON over HTTP.
type daemon struct {
	id   lnactor.NodeID
	addr string

	program string
	dir     string
	out     string
	args    []string
	wrap    []string
	http    *http.Client
	life    *process

	mu      sync.Mutex
	waiting map[string]chan string // by payment
	unwatch context.CancelFunc
}

func newDaemon(t testing.TB, ctx context.Context, program, dir string, chain *btcdtest.Node) *daemon {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	password := dir + ".password"
	must(t, os.WriteFile(password, []byte(chain.Pass), 0o600))
	d := &daemon{program: program, dir: dir, out: dir + ".out", addr: freeAddr(t), waiting: map[string]chan string{}}
	d.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "api.sock"))
	}}}
	d.args = []string{
		"run", "--dir", dir, "--unattended", "--network", "simnet", "--chain", "btcd", "--rpc-url", "https://" + chain.RPCAddr,
		"--rpc-user", chain.User, "--rpc-password-file", password, "--rpc-cert-file", chain.CertFile,
		"--listen", d.addr, "--min-depth", "1", "--fee-per-kw", "1250",
	}
	d.start(t, ctx)
	return d
}

func (d *daemon) start(t testing.TB, ctx context.Context) {
	t.Helper()
	d.life = startProcess(t, d.out, d.wrap, d.program, d.args...)
	var info struct {
		ID     string `json:"nodeId"`
		Synced bool   `json:"synced"`
	}
	await(t, ctx, "lnactor to answer", func() bool {
		select {
		case <-d.life.ended:
			t.Fatalf("lnactor ended by itself: %v; see %s", d.life.err, d.out)
		default:
		}
		return d.call(ctx, "GetInfo", nil, &info) == nil && info.Synced
	})
	id, err := lnactor.ParseNodeID(info.ID)
	must(t, err)
	d.id = id
	watching, cancel := context.WithCancel(ctx)
	d.unwatch = cancel
	events, err := d.open(watching, "TailEvents", "application/connect+json", enveloped(map[string]any{"start": "end"}))
	must(t, err)
	go d.watch(events)
}

// call makes one call of the API.
func (d *daemon) call(ctx context.Context, method string, request, answer any) error {
	if request == nil {
		request = struct{}{}
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return err
	}
	body, err := d.open(ctx, method, "application/json", raw)
	if err != nil {
		return err
	}
	defer body.Close()
	if answer == nil {
		answer = &struct{}{}
	}
	err = json.NewDecoder(body).Decode(answer)
	_, _ = io.Copy(io.Discard, body)
	return err
}

func (d *daemon) open(ctx context.Context, method, kind string, raw []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lnactor/lnactor.api.v1.Node/"+method, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Connect-Protocol-Version", "1")
	rsp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode != http.StatusOK {
		defer rsp.Body.Close()
		text, _ := io.ReadAll(rsp.Body)
		return nil, fmt.Errorf("lnactor: %s: %s", method, text)
	}
	return rsp.Body, nil
}

// enveloped is a message of a stream: a byte of flags, its length, and itself.
func enveloped(message any) []byte {
	raw, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(raw))), raw...)
}

// watch hands the outcomes of payments to those who wait for them, until the stream ends.
func (d *daemon) watch(events io.ReadCloser) {
	defer events.Close()
	for {
		var head [5]byte
		if _, err := io.ReadFull(events, head[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(events, raw); err != nil {
			return
		}
		var m struct {
			Event struct {
				Kind string `json:"kind"`
				Data struct {
					ID string `json:"payment_id"`
				} `json:"data"`
			} `json:"event"`
		}
		if json.Unmarshal(raw, &m) != nil || m.Event.Kind != "PaymentSent" && m.Event.Kind != "PaymentFailed" {
			continue
		}
		d.mu.Lock()
		if c := d.waiting[m.Event.Data.ID]; c != nil {
			delete(d.waiting, m.Event.Data.ID)
			c <- m.Event.Kind
		}
		d.mu.Unlock()
	}
}

func (d *daemon) process() *process { return d.life }

func (d *daemon) under(wrap []string) { d.wrap = wrap }

func (d *daemon) stop(t testing.TB) {
	t.Helper()
	d.unwatch()
	d.life.stop(t)
}

func (d *daemon) kill() {
	d.unwatch()
	d.life.kill()
}

func (d *daemon) peer() (lnactor.NodeID, string) { return d.id, d.addr }

func (d *daemon) address(t testing.TB, ctx context.Context) string {
	t.Helper()
	var a struct {
		Address string `json:"address"`
	}
	must(t, d.call(ctx, "NewAddress", nil, &a))
	return a.Address
}

func (d *daemon) coins(ctx context.Context) int64 {
	var b struct {
		Confirmed int64 `json:"confirmedSat,string"`
	}
	if d.call(ctx, "WalletBalance", nil, &b) != nil {
		return 0
	}
	return b.Confirmed
}

func (d *daemon) connect(ctx context.Context, id lnactor.NodeID, addr string) error {
	return d.call(ctx, "Connect", map[string]any{"nodeId": id.String(), "address": addr}, nil)
}

func (d *daemon) openTo(ctx context.Context, id lnactor.NodeID, sat int64) error {
	return d.call(ctx, "OpenChannel", map[string]any{"nodeId": id.String(), "capacitySat": fmt.Sprint(sat)}, nil)
}

func (d *daemon) usable(ctx context.Context) bool {
	var a struct {
		Channels []struct {
			Phase string `json:"phase"`
		} `json:"channels"`
	}
	return d.call(ctx, "ListChannels", nil, &a) == nil && len(a.Channels) == 1 && a.Channels[0].Phase == "open"
}

func (d *daemon) bill(ctx context.Context, msat uint64) (bill, error) {
	var a struct {
		Bolt11 string `json:"bolt11"`
		Hash   string `json:"paymentHash"`
	}
	err := d.call(ctx, "CreateInvoice", map[string]any{"amountMsat": fmt.Sprint(msat), "description": "test"}, &a)
	return bill{bolt11: a.Bolt11, hash: a.Hash}, err
}

// settle pays and waits for the event that tells of the outcome. The payment's id is its hash.
func (d *daemon) settle(ctx context.Context, b bill) error {
	done := make(chan string, 1)
	d.mu.Lock()
	d.waiting[b.hash] = done
	d.mu.Unlock()
	if err := d.call(ctx, "Pay", map[string]any{"bolt11": b.bolt11, "id": b.hash}, nil); err != nil {
		return err
	}
	select {
	case kind := <-done:
		if kind != "PaymentSent" {
			return errors.New("lnactor: the payment failed")
		}
		return nil
	case <-d.life.ended:
		return errors.New("lnactor is gone")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *daemon) fate(ctx context.Context, b bill) (fate, error) {
	var a struct {
		Payment struct {
			Status string `json:"status"`
		} `json:"payment"`
	}
	err := d.call(ctx, "GetPayment", map[string]any{"id": b.hash}, &a)
	switch {
	case err != nil && bytes.Contains([]byte(err.Error()), []byte("not_found")):
		return unknown, nil
	case err != nil:
		return unknown, err
	case a.Payment.Status == "PAYMENT_STATUS_SENT":
		return sent, nil
	case a.Payment.Status == "PAYMENT_STATUS_FAILED":
		return failed, nil
	}
	return pending, nil
}

// got tells of the bills that were paid to the node, from its feed of events.
func (d *daemon) got(ctx context.Context) (map[string]bool, error) {
	claimed := map[string]bool{}
	for start := "beginning"; ; {
		var a struct {
			Events []struct {
				ID   string `json:"id"`
				Kind string `json:"kind"`
				Data struct {
					Hash string `json:"payment_hash"`
				} `json:"data"`
			} `json:"events"`
		}
		if err := d.call(ctx, "NextEvents", map[string]any{"consumer": "audit", "start": start, "limit": 1000}, &a); err != nil {
			return nil, err
		}
		if len(a.Events) == 0 {
			return claimed, nil
		}
		for _, e := range a.Events {
			if e.Kind == "PaymentClaimed" {
				claimed[e.Data.Hash] = true
			}
		}
		if err := d.call(ctx, "AckEvent", map[string]any{"consumer": "audit", "id": a.Events[len(a.Events)-1].ID}, nil); err != nil {
			return nil, err
		}
	}
}
