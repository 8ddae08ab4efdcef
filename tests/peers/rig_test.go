package peers

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

var flagLive = flag.String("live", "some", `which tests run against a real lnd: "some", "all" or "none"`)

func TestMain(m *testing.M) {
	flag.Parse()
	limit, _ := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration)
	if run := flag.Lookup("test.run").Value.String(); *flagLive == "all" && run == "" && limit > 0 && limit < 2*time.Hour {
		fmt.Fprintf(os.Stderr, "-live=all takes longer than -timeout %v on a busy machine. All of it: go test -live=all -timeout 3h ./...\n", limit)
		os.Exit(2)
	}
	os.Exit(btcdtest.Main(m))
}

// rig is a btcd, an lnd and an lnactor on one chain, each with money.
type rig struct {
	t     *testing.T
	ctx   context.Context
	dir   string
	chain *btcdtest.Node
	lnd   *lndNode
	us    *ourNode
	rng   *rand.Rand

	lndMayLose bool // see TestLiveLndDies
}

// setup is how the nodes of a rig are started.
type setup struct {
	limit time.Duration // what the test takes at most on a machine that is not busy, beside the build of lnd; 0: 2 minutes
	lnd   []string      // more arguments
	us    func(*lnactor.Config)
	extra bool // only with -live=all

	quickFees bool // lnd looks at the fees of commitments every few seconds, see quickFees
}

// newRig starts the nodes, or skips the test. A failed test leaves the directories of both, with their logs, and says where.
func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	switch {
	case *flagLive == "none" || testing.Short():
		t.Skip("-live=none or -short")
	case *flagLive == "some" && s.extra:
		t.Skip("runs with -live=all")
	case *flagLive != "some" && *flagLive != "all":
		t.Fatalf("-live=%s: want some, all or none", *flagLive)
	}
	program, err := lndProgram() // before the clock starts
	must(t, err)
	if s.quickFees {
		program, err = lndQuick()
		must(t, err)
	}
	dir, err := os.MkdirTemp("", "lnactor-peers-")
	must(t, err)
	seed := *flagSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
			return
		}
		t.Logf("both nodes' directories and logs: %s (us.log, lnd/out)", dir)
		t.Logf("again: cd tests/peers && go test -run '^%s$' -live=all -timeout 30m -seed %d .", rootName(t), seed)
	})
	limit := 3 * max(s.limit, 2*time.Minute) // a busy machine is no failure
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, dir: dir, rng: rand.New(rand.NewPCG(seed, 0))}
	r.chain = btcdtest.Start(t)
	r.lnd = newLnd(t, ctx, program, filepath.Join(dir, "lnd"), r.chain, s.lnd...)
	t.Cleanup(r.lnd.kill)
	r.us = newUs(t, ctx, filepath.Join(dir, "us"), r.chain, s.us)
	t.Cleanup(func() { _ = r.us.stop(false) })
	address, err := r.us.NewAddress(ctx)
	must(t, err)
	r.fund(address, btcutil.SatoshiPerBitcoin/10, 3)
	r.fund(r.lnd.newAddress(t, ctx), btcutil.SatoshiPerBitcoin/10, 3)
	r.mine(1)
	await(t, ctx, "coins", func() bool {
		b, err := r.us.Balance(ctx)
		return err == nil && b.ConfirmedSat == 3*btcutil.SatoshiPerBitcoin/10 && r.lnd.wallet(t, ctx).Confirmed == 3*btcutil.SatoshiPerBitcoin/10
	})
	return r
}

// fund pays to an address, several times.
func (r *rig) fund(address string, amt btcutil.Amount, times int) {
	r.t.Helper()
	a, err := btcutil.DecodeAddress(address, r.chain.Params)
	must(r.t, err)
	script, err := txscript.PayToAddrScript(a)
	must(r.t, err)
	for range times {
		r.chain.Fund(r.t, script, amt)
	}
}

// mine adds blocks and returns when both nodes have followed.
func (r *rig) mine(n int) {
	r.t.Helper()
	r.chain.Mine(r.t, n)
	r.follow()
}

// follow waits until both nodes are at the tip.
func (r *rig) follow() {
	r.t.Helper()
	hash, tip := r.chain.Tip(r.t)
	await(r.t, r.ctx, fmt.Sprintf("lnd at height %d", tip), func() bool {
		var info lndInfo
		return r.lnd.get(r.ctx, "/v1/getinfo", &info) == nil && info.Synced && info.Height == tip
	})
	await(r.t, r.ctx, fmt.Sprintf("us at height %d", tip), func() bool {
		last := r.us.watched.last.Load()
		return last != nil && *last == hash
	})
}

// connect connects the nodes for good; ours dials, or lnd.
func (r *rig) connect(weDial bool) {
	r.t.Helper()
	if weDial {
		r.weDial()
	} else {
		r.lndDials()
	}
}

// weDial connects at once: by ourselves we would wait longer after each connection that was lost soon.
func (r *rig) weDial() {
	r.t.Helper()
	await(r.t, r.ctx, "our connection", func() bool { return r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr) == nil && r.connected() })
}

// lndDials has lnd connect.
func (r *rig) lndDials() {
	r.t.Helper()
	await(r.t, r.ctx, "lnd's connection", func() bool {
		_ = r.lnd.connect(r.ctx, r.us.ID(), r.us.ListenAddress()) // refused while there is one
		return r.connected()
	})
}

func (r *rig) connected() bool {
	list, err := r.us.Peers(r.ctx)
	if err != nil || !r.lnd.connected(r.ctx, r.us.ID()) {
		return false
	}
	for _, p := range list {
		if p.Peer == r.lnd.ID {
			return p.Connected
		}
	}
	return false
}

func (r *rig) awaitConnected() {
	r.t.Helper()
	await(r.t, r.ctx, "connection", r.connected)
}

// link is a channel between both.
type link struct {
	id    lnactor.ChannelID
	point string // as lnd writes it
	ours  bool   // we funded it
}

const capacity = 2_000_000 // sat

// open opens a channel of 2,000,000 sat, of which the funder gives a part away, and waits until it can be used.
func (r *rig) open(weFund bool, pushSat int64, more map[string]any) link {
	r.t.Helper()
	l := r.openUnconfirmed(weFund, pushSat, more)
	r.mine(3)
	r.awaitActive(l)
	r.balances(l)
	return l
}

// openUnconfirmed opens a channel whose funding transaction is in the mempool.
func (r *rig) openUnconfirmed(weFund bool, pushSat int64, more map[string]any) link {
	r.t.Helper()
	opened := r.newChannel()
	var err error
	if weFund {
		_, err = r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: r.lnd.ID, CapacitySat: capacity, PushMsat: uint64(pushSat) * 1000})
	} else {
		await(r.t, r.ctx, "lnd to open a channel", func() bool {
			err = r.lnd.openChannel(r.ctx, r.us.ID(), capacity, pushSat, more)
			return err == nil || !strings.Contains(err.Error(), "peer") // a connection that was just made may be replaced by another
		})
	}
	must(r.t, err)
	var l link
	await(r.t, r.ctx, "our channel", func() bool {
		l, err = opened()
		return err == nil && l.point != ""
	})
	l.ours = weFund
	r.chain.AwaitTx(r.t, txidOf(r.t, l.point))
	return l
}

// newChannel is asked before an opening, and what it returns afterwards, for the channel that came of it; none if none did yet.
func (r *rig) newChannel() func() (link, error) {
	r.t.Helper()
	before := map[lnactor.ChannelID]bool{}
	list, err := r.us.Channels(r.ctx)
	must(r.t, err)
	for _, c := range list {
		before[c.Channel] = true
	}
	return func() (l link, err error) {
		list, err := r.us.Channels(r.ctx)
		for _, c := range list {
			if !before[c.Channel] {
				l.id, l.point = c.Channel, pointOf(c)
			}
		}
		return l, err
	}
}

// awaitActive waits until both list the channel as usable.
func (r *rig) awaitActive(l link) {
	r.t.Helper()
	var theirs lndChannel
	var ours *lnactor.Channel
	defer r.explain(&ours, &theirs)
	active := func() bool {
		var err error
		theirs, err = r.lnd.channel(r.ctx, l.point)
		ours = r.us.channel(r.ctx, l.id)
		return err == nil && theirs.Active && ours != nil && ours.Phase == lnactor.PhaseOpen && r.connected() && r.lnd.knows(r.ctx, theirs)
	}
	if within(r.ctx, patience, active) {
		return
	}
	// lnd may have given up the channel for the time of this connection, without a word.
	if !r.lnd.said(r.t, "temporary circuit error") {
		r.t.Fatal("waited in vain for active channel")
	}
	r.t.Log("the channel's link in lnd has failed: a new connection")
	r.lnd.disconnect(r.t, r.ctx, r.us.ID())
	r.weDial()
	await(r.t, r.ctx, "active channel", active)
}

// atRest waits until no HTLC is left in the channel.
func (r *rig) atRest(l link) {
	r.t.Helper()
	var theirs lndChannel
	var ours *lnactor.Channel
	defer r.explain(&ours, &theirs)
	await(r.t, r.ctx, "rest", func() bool {
		var err error
		theirs, err = r.lnd.channel(r.ctx, l.point)
		ours = r.us.channel(r.ctx, l.id)
		return err == nil && ours != nil && atRest(ours, theirs)
	})
}

// atRest tells whether no HTLC is left in a channel, as both sides see it.
func atRest(ours *lnactor.Channel, theirs lndChannel) bool {
	return len(theirs.PendingHTLCs) == 0 && theirs.Unsettled == 0 && ours.InboundHTLCs+ours.OutboundHTLCs+ours.UnackedEvents == 0
}

// balances waits for rest, and compares what both sides say of the channel.
func (r *rig) balances(l link) (ourMsat, theirMsat uint64) {
	r.t.Helper()
	r.atRest(l)
	var ours *lnactor.Channel
	var theirs lndChannel
	equal := func() bool {
		var err error
		if theirs, err = r.lnd.channel(r.ctx, l.point); err != nil {
			return false
		}
		if ours = r.us.channel(r.ctx, l.id); ours == nil {
			return false
		}
		cost := uint64(commitment.CommitFee(satPerKw(ours.FeePerKw), 0) + commitment.AnchorsAmount)
		mine, its := ours.HolderMsat, ours.CounterpartyMsat
		if l.ours {
			mine -= cost * 1000
		} else {
			its -= cost * 1000
		}
		return mine/1000 == theirs.Remote && its/1000 == theirs.Local && ours.FeePerKw == theirs.FeePerKw
	}
	for deadline := time.Now().Add(patience); !equal(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("balances differ:\nours %+v\nlnd's %+v", ours, theirs)
		}
	}
	if total := ours.HolderMsat + ours.CounterpartyMsat; total != capacity*1000 {
		r.t.Fatalf("balances of %d msat in a channel of %d sat", total, capacity)
	}
	return ours.HolderMsat, ours.CounterpartyMsat
}

// weSend pays an invoice of lnd's and returns its outcome.
func (r *rig) weSend(bolt11 string, opts ...lnactor.PayOption) lnactor.Payment {
	r.t.Helper()
	id, err := r.us.Pay(r.ctx, bolt11, opts...)
	must(r.t, err)
	return r.us.outcome(r.t, r.ctx, id)
}

// weMustSend pays a new invoice of lnd's.
func (r *rig) weMustSend(msat uint64) {
	r.t.Helper()
	inv, err := r.lnd.invoice(r.ctx, msat, nil)
	must(r.t, err)
	if p := r.weSend(inv.Bolt11); p.Status != lnactor.PaymentIsSent || sha256.Sum256(p.Preimage[:]) != p.Hash {
		r.t.Fatalf("payment of %d msat to lnd: %+v", msat, p)
	}
}

// lndMustSend has lnd pay a new invoice of ours.
func (r *rig) lndMustSend(msat uint64) {
	r.t.Helper()
	inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
	must(r.t, err)
	p, err := r.lnd.pay(r.ctx, inv.Bolt11, nil)
	must(r.t, err)
	if p.Status != "SUCCEEDED" || p.Hash != inv.Hash.String() {
		r.t.Fatalf("payment of %d msat by lnd: %+v", msat, p)
	}
	awaitEvent(r.t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash && e.AmountMsat == msat })
}

// restartLnd ends lnd and starts it again.
func (r *rig) restartLnd(kill bool) {
	r.t.Helper()
	if kill {
		r.lnd.kill()
	} else {
		r.lnd.stop(r.t)
	}
	r.lnd.start(r.t, r.ctx)
}

// restartUs ends lnactor and starts it again.
func (r *rig) restartUs(kill bool) {
	r.t.Helper()
	must(r.t, r.us.stop(kill))
	r.us.start(r.t, r.ctx)
}

// explain shows what both sides say of a channel when a test has failed.
func (r *rig) explain(ours **lnactor.Channel, theirs *lndChannel) {
	if r.t.Failed() {
		r.t.Logf("our channel: %+v\nlnd's: %+v", *ours, *theirs)
	}
}
