package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
)

// stalled is how long a run may go on without any progress before it counts as stuck, which no crash excuses. It is longer than a payee waits for the rest
// of a payment in parts (BOLT 4: at least 60 s), and than a session waits for the init message of its peer.
const stalled = 100 * time.Second

// errStuck ends a run that makes no progress; the books then say what is missing.
var errStuck = errors.New("no progress")

// Run plays the whole demo; show is told what happens, by one call at a time. With a nil error the report is complete, and its Error method says
// whether a fault was found. An error means that the run could not be made or was cancelled: it wraps ctx's, or is one of package lnactor's.
func Run(ctx context.Context, o Options, log *slog.Logger, show func(News)) (*Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dir := o.Dir
	if dir == "" {
		temp, err := os.MkdirTemp("", "lnactor-demo-")
		if err != nil {
			return nil, fmt.Errorf("%w: temporary directory: %w", lnactor.ErrStoreFailed, err)
		}
		defer func() { _ = os.RemoveAll(temp) }()
		dir = temp
	}
	news := newAnnouncer(show)
	rng := rand.New(rand.NewPCG(o.Seed, 0x6c6e6163746f72)) //nolint:gosec // it draws the plan of a demonstration
	w := &world{dir: dir, log: log, ledger: newLedger(), links: o.links(), tell: news.tell, began: time.Now(), fail: cancel}
	before, _ := o.split()
	w.saboteur = &saboteur{world: w, bombs: plan(rng, o.Nodes, before, o.Payments), by: map[string]int{}, byNode: map[string]int{}}
	for _, name := range people[:o.Nodes] {
		w.sides = append(w.sides, newSide(w, name))
	}
	r := &run{world: w, opts: o, rng: rng, shop: &shop{world: w, run: uint64(w.began.UnixNano()), more: make(chan struct{}), news: map[Retried]int{}}}
	r.report = Report{
		Topology: o.Topology, Seed: o.Seed, Dir: o.Dir, Faults: []string{}, Balances: map[string]Two{}, Nodes: map[string]NodeReport{},
	}

	err = r.play(ctx)
	err = errors.Join(err, w.close())
	news.close()
	if err != nil {
		return nil, err
	}
	return &r.report, nil
}

type run struct {
	*world
	opts   Options
	rng    *rand.Rand
	shop   *shop
	report Report
	start  map[string]Balance // of all sides before the first payment
}

// play is the run from the first block to the closed books.
func (r *run) play(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return cause(ctx, err)
	}
	if err := r.provide(ctx); err != nil {
		return cause(ctx, err)
	}
	before, err := r.balances(ctx)
	if err != nil {
		return cause(ctx, err)
	}
	r.start = before
	r.began = time.Now()
	r.introduce(ctx, before)

	err = r.tradeAndSettle(ctx)
	if err == nil && r.opts.Close != CloseNot {
		r.auditChannels(ctx) // while there is one
		r.ledger.expectClose()
		err = r.runCourse(ctx)
	}
	if errors.Is(err, errLongest) {
		r.fault("%v", err)
		err = nil
	}
	if err != nil && !errors.Is(err, errStuck) {
		return cause(ctx, err)
	}
	if err != nil {
		r.fault("nothing has moved for %v: %s", stalled, r.waitsFor())
	}
	r.audit(ctx, before)
	return context.Cause(ctx)
}

// provide gives bob, who paid for nothing so far, money for the fees of claims.
func (r *run) provide(ctx context.Context) error {
	if r.opts.Close == CloseNot {
		return nil
	}
	all, err := r.balances(ctx)
	if err != nil || all[r.bob().name].OnChainSat >= feesSat/2 {
		return err
	}
	return r.fund(ctx, r.bob(), feesSat)
}

func (r *run) tradeAndSettle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keepConnected(ctx) })
	defer keeper.Wait()
	defer cancel()
	if err := r.trade(ctx); err != nil {
		return err
	}
	return r.settle(ctx)
}

// cause prefers what ended the run to what an interrupted call says about it.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *run) fault(format string, args ...any) {
	r.report.Faults = append(r.report.Faults, fmt.Sprintf(format, args...))
}

func (r *run) introduce(ctx context.Context, before map[string]Balance) {
	o := Opened{Height: r.chain.Height(), Before: before, Dir: r.opts.Dir, Continued: r.continued}
	for _, s := range r.sides {
		if n, err := s.get(ctx); err == nil {
			o.Nodes = append(o.Nodes, Introduced{Name: s.name, ID: n.ID().String()})
		}
	}
	for i, l := range r.links {
		ends := r.ends(l)
		o.Channels = append(o.Channels, IntroducedChannel{
			Between: [2]string{ends[0].name, ends[1].name}, ID: r.channels[i].String(), CapacitySat: capacitySat,
		})
	}
	r.tell(o)
}

// trade pays and crashes until both are through, or nothing moves any more.
func (r *run) trade(ctx context.Context) error {
	list := make([]purchase, r.opts.Payments-r.opts.last()) // the others are settle's
	for i := range list {
		list[i] = r.draw(i)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := r.shop.payAll(ctx, list); err != nil {
			cancel(err)
		}
	})
	parts.Go(func() {
		if err := r.saboteur.run(ctx, r.shop.progress, len(list)); err != nil {
			cancel(err)
		}
	})
	ended := make(chan struct{})
	go func() { parts.Wait(); close(ended) }()
	r.watch(ctx, ended, cancel)
	<-ended
	return context.Cause(ctx)
}

// draw draws who pays whom and how much.
func (r *run) draw(i int) purchase {
	p := purchase{number: i + 1, msat: r.amount()}
	n := len(r.sides)
	switch {
	case n == 2:
		p.payer, p.payee = r.sides[i%2], r.sides[1-i%2]
	case r.opts.Topology == Diamond && i%large == large-1:
		// More than one channel has: there and back again, so that there is always enough to come.
		ends := [2]*side{r.sides[0], r.sides[n-1]}
		way := i / large % 2
		p.payer, p.payee, p.msat = ends[way], ends[1-way], largeMsat
	default:
		payer := r.rng.IntN(n)
		p.payer, p.payee = r.sides[payer], r.sides[(payer+1+r.rng.IntN(n-1))%n]
	}
	return p
}

// In a diamond, each of so many payments is so large that it has to go in parts.
const (
	large     = 20
	largeMsat = 5_500_000_000
)

// amount is between a hundredth of a satoshi and 5,000 satoshis: the smaller ones are dust, which no commitment transaction has an output for.
func (r *run) amount() uint64 {
	if r.rng.IntN(4) == 0 {
		return 1 + r.rng.Uint64N(353_999)
	}
	return 354_000 + r.rng.Uint64N(4_646_000)
}

// watch shows progress and ends the run when there is none.
func (r *run) watch(ctx context.Context, ended <-chan struct{}, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last Progress
	moved := time.Now()
	for {
		r.shop.tellRetried()
		for _, s := range r.sides {
			s.tally.news()
		}
		p := r.progress()
		if p.Done != last.Done || p.Payments != last.Payments || p.Crashes != last.Crashes || p.Events.Acked != last.Events.Acked {
			last, moved = p, time.Now()
			r.tell(p)
		}
		if time.Since(moved) > stalled {
			cancel(errStuck)
		}
		select {
		case <-ended:
			r.tell(r.progress())
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *run) progress() Progress {
	p := Progress{Of: r.opts.Payments}
	p.Done, _ = r.shop.progress()
	p.Payments.Requested = r.opts.Payments
	r.ledger.count(&p.Payments, &p.Events)
	for _, s := range r.sides {
		s.tally.add(&p.Events)
	}
	var c Crashes
	r.saboteur.count(&c)
	p.Crashes = c.Made
	return p
}

// settle shows that the channel still works, one payment each way, and waits until nothing is left to do.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stalled, errStuck)
	defer cancel()
	r.tell(Settling{"a last payment each way"})
	number := r.opts.Payments - r.opts.last()
	for _, l := range r.links {
		ends := r.ends(l)
		for i := range ends {
			number++
			p := purchase{number: number, payer: ends[i], payee: ends[1-i], msat: r.amount()}
			if err := r.shop.payAll(ctx, []purchase{p}); err != nil {
				return err
			}
		}
	}
	r.tell(r.progress())
	r.tell(Settling{"all acknowledgements"})
	return poll(ctx, func() (bool, error) {
		rest := true
		err := r.eachEnd(func(s *side, id lnactor.ChannelID) error {
			c, err := r.view(ctx, s, id)
			rest = rest && atRest(c)
			return err
		})
		return rest, err
	})
}
