package cli_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

var (
	kills    = flag.Int("kills", 50, "how often TestKill kills a node on btcd; a tenth of it on the chain that a node serves")
	killSeed = flag.Uint64("kill-seed", 1, "seed of TestKill's choices; when a process is hit is the machine's")
)

// TestKill kills either of two nodes at random moments in a burst of payments in both directions. After the restart every payment that was begun ends by
// itself in one outcome, what is sent is what is received, each feed tells every outcome exactly once and without a gap, and a consumer of each feed has
// handled all of it, in order. On btcd the channel is closed then, and all money is accounted for, to the satoshi.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes again and again")
	}
	t.Run("served", func(t *testing.T) {
		t.Parallel()
		c := servedPair(t)
		c.start(t)
		c.open(t)
		c.killed(t, max(1, *kills/10))
		c.stop(t)
	})
	t.Run("btcd", func(t *testing.T) {
		t.Parallel()
		c := btcdPair(t, "btcd", "rpcpoll")
		c.start(t)
		c.open(t)
		c.closeAndCount(t, c.killed(t, *kills))
		c.stop(t)
	})
}

// TestStopUnderPayments stops either node in order in the middle of a burst of payments.
func TestStopUnderPayments(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes again and again")
	}
	t.Parallel()
	c := servedPair(t)
	c.start(t)
	c.open(t)
	b := newBursts(t, c, "TestStopUnderPayments")
	// A stop of alice takes the chain away from bob, who goes on without.
	for _, victim := range []*process{c.bob, c.alice, c.bob, c.alice} {
		b.burst(t, victim, func() {
			victim.signal(t, syscall.SIGTERM)
			if code := victim.exit(t); code != 0 || !strings.Contains(victim.out.String(), "stopped in order") {
				t.Errorf("%s after SIGTERM: exit code %d", victim.name, code)
			}
		})
	}
	b.check(t)
	c.stop(t)
}

// stop stops a node in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != 0 || !strings.Contains(p.out.String(), "stopped in order") {
		t.Errorf("%s after SIGTERM: exit code %d", p.name, code)
	}
}

// killed kills so often, and returns what bob was given in all, in millisatoshis.
func (c *pair) killed(t *testing.T, times int) (givenMsat int64) {
	t.Helper()
	b := newBursts(t, c, "TestKill")
	for range times {
		victim := c.sides()[b.rng.IntN(2)]
		b.burst(t, victim, victim.kill)
	}
	return b.check(t)
}

// bursts are payments in both directions, with one node ended in the middle of each.
type bursts struct {
	*pair
	rng       *rand.Rand
	rounds    int
	asked     map[string]bool // ids
	took      []time.Duration
	consumers [2]reader
}

func newBursts(t *testing.T, c *pair, test string) *bursts {
	t.Helper()
	t.Logf("seed %d; again: go test ./tests/cli -run '%s$' -v -kills %d -kill-seed %d", *killSeed, test, *kills, *killSeed)
	b := &bursts{pair: c, rng: rand.New(rand.NewPCG(*killSeed, 0)), asked: map[string]bool{}}
	reading, done := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	t.Cleanup(func() { done(); readers.Wait() })
	for i, p := range c.sides() {
		readers.Go(func() { b.consumers[i].read(reading, p) })
	}
	return b
}

// burst has both pay each other, ends the victim after a while, starts it again and waits until all that was begun has ended.
func (b *bursts) burst(t *testing.T, victim *process, end func()) {
	t.Helper()
	const size = 30
	from, to, stages := b.alice, b.bob, []time.Time{time.Now()}
	if b.rounds%2 == 1 {
		from, to = to, from
	}
	paid(t, from, to, b.asked, fmt.Sprintf("first-%d", b.rounds))
	stages = append(stages, time.Now())
	after := time.Duration(5+b.rng.IntN(300)) * time.Millisecond
	var wg sync.WaitGroup
	for i := range size {
		id := fmt.Sprintf("%s-%d-%d", from.name, b.rounds, i)
		b.asked[id] = true
		payer, payee := from, to
		wg.Go(func() { payOne(t.Context(), payer, payee, id) })
		from, to = to, from
	}
	time.Sleep(after) // the moment is what is tried here
	end()
	wg.Wait()
	stages = append(stages, time.Now())
	victim.start(t)
	stages = append(stages, time.Now())
	b.settle(t, fmt.Sprintf("the payments of round %d to end, after %s was ended", b.rounds, victim.name))
	took := time.Since(stages[2])
	if b.took = append(b.took, took); took > 20*time.Second {
		t.Logf("round %d: %v until a payment arrived, %v of payments until %s was ended, %v to start again, %v until all had ended",
			b.rounds, stages[1].Sub(stages[0]), stages[2].Sub(stages[1]), victim.name, stages[3].Sub(stages[2]), took)
	}
	b.rounds++
}

// check compares what both say of all payments, and returns what bob was given by them.
func (b *bursts) check(t *testing.T) (givenMsat int64) {
	t.Helper()
	slices.Sort(b.took)
	t.Logf("a node was ended %d times: until every payment had ended, %v at the median, %v at most", len(b.took),
		b.took[len(b.took)/2].Round(time.Millisecond), b.took[len(b.took)-1].Round(time.Millisecond))
	begun, sent, outcomes, hashes := 0, [2]int{}, [2]map[string]string{}, map[string]bool{}
	for i, p := range b.sides() {
		list, err := p.api.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Limit: 10_000})
		must(t, err)
		outcomes[i] = map[string]string{}
		for _, pay := range list.GetPayments() {
			if hashes[pay.GetPaymentHash()] {
				t.Errorf("%s: there are two payments of %s", p.name, pay.GetPaymentHash())
			}
			hashes[pay.GetPaymentHash()] = true
			switch pay.GetStatus() {
			case apiv1.PaymentStatus_PAYMENT_STATUS_SENT:
				outcomes[i][pay.GetId()] = "PaymentSent"
				sent[i]++
				givenMsat += int64(pay.GetAmountMsat()) * int64(1-2*i)
			case apiv1.PaymentStatus_PAYMENT_STATUS_FAILED:
				outcomes[i][pay.GetId()] = "PaymentFailed"
			default:
				t.Errorf("payment %s is %s", pay.GetId(), pay.GetStatus())
			}
		}
		begun += len(outcomes[i])
	}
	t.Logf("%d payments asked for, %d begun, %d and %d sent", len(b.asked), begun, sent[0], sent[1])
	if begun > len(b.asked) || sent[0]+sent[1] < b.rounds {
		t.Errorf("%d payments asked for, %d begun, %d and %d sent", len(b.asked), begun, sent[0], sent[1])
	}
	b.balances(t, uint64(1000*pushSat+givenMsat))
	for i, p := range b.sides() {
		checkFeed(t, p, outcomes[i], sent[1-i])
		b.consumers[i].check(t, p)
		checkTail(t, p)
	}
	return givenMsat
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

// checkFeed: the feed tells each outcome of a payment, and each payment received, once.
func checkFeed(t *testing.T, p *process, outcomes map[string]string, received int) {
	t.Helper()
	poll(t, patience, p.name+"'s feed", func(context.Context) bool {
		return len(told(t, p, "payment_id", "PaymentSent", "PaymentFailed")) >= len(outcomes) && len(told(t, p, "payment_hash", "PaymentClaimed")) >= received
	})
	ended := told(t, p, "payment_id", "PaymentSent", "PaymentFailed")
	for id, kinds := range ended {
		if len(kinds) != 1 || kinds[0] != outcomes[id] {
			t.Errorf("%s: payment %s ended as %s, the feed tells %v", p.name, id, outcomes[id], kinds)
		}
	}
	claimed := told(t, p, "payment_hash", "PaymentClaimed")
	for hash, kinds := range claimed {
		if len(kinds) != 1 {
			t.Errorf("%s: the feed tells %d times of %s", p.name, len(kinds), hash)
		}
	}
	if len(ended) != len(outcomes) || len(claimed) != received {
		t.Errorf("%s: the feed tells of %d outcomes and %d payments received, there are %d and %d", p.name, len(ended), len(claimed), len(outcomes), received)
	}
}

// checkTail: `events tail` of a new consumer tells all that the feed has, without a gap.
func checkTail(t *testing.T, p *process) {
	t.Helper()
	report, err := journal.Scan(filepath.Join(p.dir, feed.Dir), 0, func(journal.Entry) error { return nil })
	must(t, err)
	code, out := p.command(t, "events", "tail", "-d", p.dir, "--consumer", "audit", "--ack", "--limit", fmt.Sprint(report.Next-1), "--json")
	decoder := json.NewDecoder(strings.NewReader(out))
	for seq := uint64(1); seq < report.Next; seq++ {
		var e journal.Entry
		if err := decoder.Decode(&e); code != 0 || err != nil || e.Seq != seq {
			t.Fatalf("%s: events tail: exit code %d, event %d of %d is %+v: %v", p.name, code, seq, report.Next-1, e, err)
		}
	}
}
