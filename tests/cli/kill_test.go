package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

var (
	kills    = flag.Int("kills", 5, "how often TestKill kills a node")
	killSeed = flag.Uint64("kill-seed", 1, "seed of TestKill's choices; when a process is hit is the machine's")
)

// process is `lnactor run` and a client of it.
type process struct {
	name, dir, bin string
	args           []string
	cmd            *exec.Cmd
	out            *bytes.Buffer
	api            api.NodeClient
	regtest        api.RegtestClient
}

func newProcess(dir, bin, name string, args ...string) *process {
	p := &process{name: name, dir: filepath.Join(dir, name), bin: bin, args: args}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, "api.sock"))
	}}
	p.api = api.NewNodeClient(&http.Client{Transport: transport}, "http://x")
	p.regtest = api.NewRegtestClient(&http.Client{Transport: transport}, "http://x")
	return p
}

// start starts the process and waits until it answers.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.out = &bytes.Buffer{}
	p.cmd = exec.Command(filepath.Join(p.bin, "lnactor"), append([]string{"run", "--unattended", "-d", p.dir}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	poll(t, time.Minute, p.name+" to answer", func(ctx context.Context) bool {
		_, err := p.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
		return err == nil
	})
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // killed
}

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

// TestKill kills either of two nodes at random moments in a burst of payments. After the restart every payment that was begun ends by itself in
// one outcome, what is sent is what is received, each feed tells every outcome exactly once, and a consumer of each feed has handled all of it, in order.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes again and again")
	}
	t.Parallel()
	dir, bin := shortDir(t), lnactorPath(t)
	chain, peers := "127.0.0.1:", "127.0.0.1:"
	for _, to := range []*string{&chain, &peers} {
		p, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		*to += p
	}
	alice := newProcess(dir, bin, "alice", "--serve-chain", chain)
	bob := newProcess(dir, bin, "bob", "--chain", "rpcpoll", "--rpc-url", "http://"+chain, "--rpc-interval", "100ms", "--listen", peers)
	sides := []*process{alice, bob}
	for _, p := range sides {
		p.start(t)
		t.Cleanup(p.kill)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range sides {
				t.Logf("%s, since its last start:\n%s", p.name, tail(p.out.Bytes()))
			}
		}
	})
	openChannel(t, alice, bob)
	var consumers [2]reader
	reading, done := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	t.Cleanup(func() { done(); readers.Wait() })
	for i, p := range sides {
		readers.Go(func() { consumers[i].read(reading, p) })
	}

	rng := rand.New(rand.NewPCG(*killSeed, 0))
	const burst = 30
	ids := map[string]bool{}
	var took []time.Duration
	for round := range *kills {
		warmUp(t, alice, bob, ids, round)
		victim, after := sides[rng.IntN(2)], time.Duration(5+rng.IntN(300))*time.Millisecond
		var wg sync.WaitGroup
		for i := range burst {
			id := fmt.Sprintf("%d-%d", round, i)
			ids[id] = true
			wg.Go(func() { payOne(t.Context(), alice, bob, id) })
		}
		time.Sleep(after) // the moment is what is tried here
		victim.kill()
		wg.Wait()
		began := time.Now()
		victim.start(t)
		poll(t, 2*time.Minute, fmt.Sprintf("round %d's payments to end, after %s was killed", round, victim.name), func(ctx context.Context) bool {
			return settled(ctx, alice)
		})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d kills: until every payment had ended, %v at the median, %v at most", *kills, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))

	list, err := alice.api.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, total, sent := map[string]string{}, uint64(0), 0
	for _, p := range list.GetPayments() {
		switch p.GetStatus() {
		case apiv1.PaymentStatus_PAYMENT_STATUS_SENT:
			outcomes[p.GetId()], total, sent = "PaymentSent", total+p.GetAmountMsat(), sent+1
		case apiv1.PaymentStatus_PAYMENT_STATUS_FAILED:
			outcomes[p.GetId()] = "PaymentFailed"
		default:
			t.Errorf("payment %s is %s", p.GetId(), p.GetStatus())
		}
	}
	t.Logf("%d payments asked for, %d begun, %d sent", len(ids), len(outcomes), sent)
	if sent < *kills {
		t.Errorf("only %d payments were sent", sent)
	}
	poll(t, time.Minute, "bob to have what alice sent", func(ctx context.Context) bool {
		b, err := bob.api.GetBalances(ctx, &apiv1.GetBalancesRequest{})
		return err == nil && b.GetChannelsMsat() == total && b.GetInboundMsat() == 0
	})
	checkFeeds(t, alice, bob, outcomes, sent)
	for i, p := range sides {
		consumers[i].check(t, p)
	}
	done()

	for _, p := range []*process{bob, alice} {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil || !bytes.Contains(p.out.Bytes(), []byte("stopped in order")) {
			t.Errorf("%s after SIGTERM: %v", p.name, err)
		}
	}
}

func tail(out []byte) []byte { return out[max(0, len(out)-4000):] }

func openChannel(t *testing.T, alice, bob *process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	address, err := alice.api.NewAddress(ctx, &apiv1.NewAddressRequest{})
	must(err)
	_, err = alice.regtest.Fund(ctx, &apiv1.FundRequest{Address: address.GetAddress(), AmountSat: 20_000_000})
	must(err)
	_, err = alice.regtest.Mine(ctx, &apiv1.MineRequest{Blocks: 1})
	must(err)
	poll(t, time.Minute, "the coins", func(ctx context.Context) bool {
		b, err := alice.api.WalletBalance(ctx, &apiv1.WalletBalanceRequest{})
		return err == nil && b.GetConfirmedSat() == 20_000_000
	})
	info, err := bob.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
	must(err)
	_, err = alice.api.Connect(ctx, &apiv1.ConnectRequest{NodeId: info.GetNodeId(), Address: info.GetListenAddress()})
	must(err)
	_, err = alice.api.OpenChannel(ctx, &apiv1.OpenChannelRequest{NodeId: info.GetNodeId(), CapacitySat: 10_000_000})
	must(err)
	_, err = alice.regtest.Mine(ctx, &apiv1.MineRequest{Blocks: 6})
	must(err)
	for _, p := range []*process{alice, bob} {
		poll(t, time.Minute, p.name+"'s channel", func(ctx context.Context) bool {
			c, err := p.api.ListChannels(ctx, &apiv1.ListChannelsRequest{})
			return err == nil && len(c.GetChannels()) == 1 && c.GetChannels()[0].GetPhase() == "open"
		})
	}
}

// payOne pays once, or not at all: whichever call finds its node dead is not repeated.
func payOne(ctx context.Context, alice, bob *process, id string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	inv, err := bob.api.CreateInvoice(ctx, &apiv1.CreateInvoiceRequest{AmountMsat: 1_000_000, Description: id})
	if err != nil {
		return
	}
	_, _ = alice.api.Pay(ctx, &apiv1.PayRequest{Bolt11: inv.GetBolt11(), Id: id}) // the list of payments says what became of it
}

// warmUp pays until a payment arrives: the channel is in use again.
func warmUp(t *testing.T, alice, bob *process, ids map[string]bool, round int) {
	t.Helper()
	try := 0
	poll(t, time.Minute, "the channel to be used", func(ctx context.Context) bool {
		id := fmt.Sprintf("warm-%d-%d", round, try)
		try++
		ids[id] = true
		payOne(ctx, alice, bob, id)
		var p *apiv1.GetPaymentResponse
		var err error
		for err == nil && (p == nil || p.GetPayment().GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING) {
			p, err = alice.api.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: id})
		}
		return err == nil && p.GetPayment().GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_SENT
	})
}

// settled: no payment's outcome is open.
func settled(ctx context.Context, alice *process) bool {
	list, err := alice.api.ListPayments(ctx, &apiv1.ListPaymentsRequest{Limit: 10_000})
	return err == nil && !slices.ContainsFunc(list.GetPayments(), func(p *apiv1.Payment) bool {
		return p.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING
	})
}

// told reads how often a feed tells a kind of event of each payment.
func told(t *testing.T, p *process, key string, kinds ...string) map[string][]string {
	t.Helper()
	out, seen := map[string][]string{}, map[string]bool{}
	report, err := journal.Scan(filepath.Join(p.dir, feed.Dir), 0, func(e journal.Entry) error {
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		if seen[e.ID] {
			t.Errorf("%s: event %s is there twice", p.name, e.ID)
		}
		seen[e.ID] = true
		if slices.Contains(kinds, e.Kind) {
			id := fmt.Sprint(data[key])
			out[id] = append(out[id], e.Kind)
		}
		return nil
	})
	if err != nil || len(report.Missing) > 0 {
		t.Fatalf("%s: %+v %v", p.name, report, err)
	}
	return out
}

func checkFeeds(t *testing.T, alice, bob *process, outcomes map[string]string, sent int) {
	t.Helper()
	poll(t, time.Minute, "the feeds", func(context.Context) bool {
		return len(told(t, alice, "payment_id", "PaymentSent", "PaymentFailed")) == len(outcomes) && len(told(t, bob, "payment_hash", "PaymentClaimed")) == sent
	})
	for id, kinds := range told(t, alice, "payment_id", "PaymentSent", "PaymentFailed") {
		if len(kinds) != 1 || kinds[0] != outcomes[id] {
			t.Errorf("payment %s ended as %s, the feed tells %v", id, outcomes[id], kinds)
		}
	}
	for hash, kinds := range told(t, bob, "payment_hash", "PaymentClaimed") {
		if len(kinds) != 1 {
			t.Errorf("the feed tells %d times of %s", len(kinds), hash)
		}
	}
}
