package manager

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

var (
	seeds = flag.Int("manager.seeds", 400, "runs of the model test")
	seed  = flag.Uint64("manager.seed", 0, "run this one only")
	tail  = flag.Int("manager.trace", 60, "lines of a failed run to print")
)

// TestModel: random interleavings of a manager with simple monitors, a persister and a user; crashes of each alone and of the whole process; the
// manager's records rolled back to any earlier point. Checked on the way: S2, S3, S5, S15, rules 13-15; at the end: S18, L1, L2, nothing unacked.
func TestModel(t *testing.T) {
	if *seed != 0 {
		runModel(t, *seed)
		return
	}
	for i := range uint64(*seeds) {
		runModel(t, i+1)
		if t.Failed() {
			return
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	t.Helper()
	cfg := testConfig()
	cfg.ManualClaim = seed%3 == 0
	cfg.Intercept = seed%5 == 0
	cfg.Graph, cfg.MinPartMsat = seed%5 < 4, 100
	w := newWorld(seed, cfg)
	defer func() {
		switch v := recover().(type) {
		case nil:
		case violation:
			for _, line := range w.trace[max(0, len(w.trace)-*tail):] {
				t.Log(line)
			}
			t.Errorf("%s\nreplay: go test ./actors/manager -run TestModel -manager.seed %d", v.why, seed)
		default:
			t.Logf("seed %d", seed)
			panic(v)
		}
	}()
	rollbacks := seed%2 == 0
	for range 500 {
		w.act(rollbacks)
	}
	w.finish()
}

func (w *world) act(rollbacks bool) {
	c := w.channels[w.rnd.IntN(len(w.channels))]
	if w.impatient > 0 { // callers try again what they tried before the crash
		w.impatient--
		if ids := sortedKeys(w.committed); len(ids) > 0 && w.rnd.IntN(4) == 0 {
			w.pay(ids[w.rnd.IntN(len(ids))])
		}
	}
	if w.cancels && w.rnd.IntN(100) == 0 {
		w.cancel()
	}
	switch n := w.rnd.IntN(240); {
	case n < 110:
		w.run()
	case n < 120: // a quiet time, so that payments get somewhere
		for range 12 {
			w.run()
		}
	case n < 132:
		w.handleOne()
	case n < 142:
		w.pay(id32[ln.PaymentID](fmt.Sprint("payment ", w.rnd.IntN(40))))
	case n < 162:
		c.commit()
	case n < 164:
		c.refuse()
	case n < 170:
		if !c.down {
			c.settle()
		}
	case n < 174:
		w.receive()
	case n < 179:
		c.remove()
	case n < 182:
		w.height++
		w.send(messages.ChainWatchAddr, messages.ManagerAddr, messages.ChainTip{Height: w.height})
	case n < 184:
		w.decideHeld()
	case n < 185:
		w.pass(time.Duration(w.rnd.IntN(40)) * time.Second)
	case n < 188:
		w.logf("manager crashes")
		w.startManager()
	case n < 191:
		w.logf("monitor crashes")
		if !c.down {
			c.start()
		}
	case n < 194:
		w.logf("channel crashes")
		if !c.down && !c.chain.archived {
			c.restartChannel()
			c.say(messages.MonitorHello{Channel: c.id, Incarnation: c.inc})
		}
	case n < 196:
		c.quarantine()
	case n < 212:
		c.onChain()
	case n < 213:
		w.restartFunds()
	case n < 215:
		w.logf("process crashes")
		if rollbacks && w.rnd.IntN(2) == 0 {
			to := w.rnd.IntN(len(w.disk.past)+1) - 1
			if w.rnd.IntN(3) == 0 {
				to = -1
			}
			w.logf("records rolled back to %d of %d", to, len(w.disk.past))
			w.disk.rollback(to)
			w.rolledBack = true
			clear(w.cancelled)
		}
		w.startProcess()
		w.impatient = 60
	case n < 227:
		c.receiveOnward()
		w.interceptOne()
	case n < 232:
		w.pass(time.Duration(w.rnd.IntN(8000)) * time.Millisecond)
	case n < 237:
		if !c.down && c.reported {
			c.say(messages.ChannelChanged{Summary: c.summary()})
		}
	case n < 239:
		w.send("api", messages.ManagerAddr, messages.AbandonPayment{PaymentID: id32[ln.PaymentID](fmt.Sprint("payment ", w.rnd.IntN(40))), ReplyTo: "api"})
	default:
		w.logf("events actor crashes")
		w.user.waiting = nil
		w.send(messages.EventsAddr, messages.ManagerAddr, messages.EventsStarted{})
	}
}

// quarantine takes a monitor down, or gives it another try.
func (c *simChannel) quarantine() {
	if c.chain.archived {
		return
	}
	if c.down {
		// What Monitors said before is in the manager's mailbox before anything that the new incarnation says.
		k := [2]messages.Addr{messages.MonitorsAddr, messages.ManagerAddr}
		for len(c.w.queues[k]) > 0 {
			c.w.pop(slices.Index(c.w.order, k))
		}
		c.down = false
		c.w.logf("retried")
		c.start()
		return
	}
	if c.w.rolledBack {
		return // lost records and an unreadable monitor at once can hide a payment id: see doc.go
	}
	c.w.logf("quarantined")
	c.w.wasQuarantined = true
	c.down = true
	c.queue = nil
	c.w.send(messages.MonitorsAddr, messages.ManagerAddr, messages.MonitorQuarantined{Channel: c.id, Why: "test"})
}

func (w *world) decideHeld() {
	for _, i := range w.invoices {
		if given, ok := w.user.claims[i.Hash]; ok {
			delete(w.user.claims, i.Hash)
			msg := messages.ClaimHeld{Hash: i.Hash, Claim: w.rnd.IntN(3) > 0, ReplyTo: "api"}
			if given {
				p := preimageOf(i.name)
				msg.Preimage = &p
			}
			w.send("api", messages.ManagerAddr, msg)
			return
		}
	}
}

// finish lets everything end well: no more crashes, the user handles, peers settle.
func (w *world) finish() {
	w.logf("--- finish")
	for _, c := range w.channels {
		if c.down {
			c.quarantine()
		}
	}
	if w.m == nil {
		for w.run() {
		}
	}
	for range 300 {
		for w.run() {
		}
		for range 4 {
			w.handleOne()
		}
		for _, c := range w.channels {
			c.commit()
			c.settle()
			c.remove()
			if c.chain.closed && !c.chain.archived {
				c.sweep()
				c.archive()
			}
		}
		w.decideHeld()
		w.interceptOne()
		w.pass(time.Second)
		if w.rnd.IntN(4) == 0 { // held payments that the user forgot expire
			w.height += 3
			w.send(messages.ChainWatchAddr, messages.ManagerAddr, messages.ChainTip{Height: w.height})
		}
	}
	w.checkEnd()
}

func (w *world) checkEnd() {
	if left := w.unacked(); len(left) > 0 {
		w.fatalf("unacked events at rest (L3): %v", left)
	}
	if left := w.m.leftovers(); !w.m.settled || left != "" {
		w.fatalf("the manager is not at rest (L1): settled %v, left %s", w.m.settled, left)
	}
	for id, n := range w.committed {
		_, sent := w.user.seen[sentID(id)]
		_, failed := w.user.seen[failedID(id)]
		if n > 0 && !sent && !failed {
			w.fatalf("payment %s was committed to and has no outcome (L1)", id)
		}
		if w.late[id] {
			// After an HTLC had failed, that is: the payment may have been going on with another one.
			if !w.rolledBack && (sent == failed || failed != w.user.handled[lostID(id)]) {
				w.fatalf("payment %s was claimed after it had failed: sent %v, failed %v, lost %v", id, sent, failed, w.user.handled[lostID(id)])
			}
		} else if sent != (w.outcome(id) != nil) {
			w.fatalf("payment %s: claimed %v, sent %v (L2, S5)", id, w.outcome(id) != nil, sent)
		}
		// Used once is refused for ever (S15, S18).
		before := w.committed[id]
		w.pay(id)
		for w.run() {
		}
		for _, c := range w.channels {
			c.commit()
		}
		if w.committed[id] != before {
			w.fatalf("payment %s was taken again", id)
		}
	}
	w.checkSets()
	for _, c := range w.channels {
		w.checkClosed(c)
	}
	w.checkOnwardEnd()
}

// checkClosed: a channel that was closed is archived (L5), and all of it was told.
func (w *world) checkClosed(c *simChannel) {
	switch {
	case !c.chain.closed:
	case !c.chain.archived:
		w.fatalf("%s is not archived (L5)", c.id)
	case w.m.channels[c.id] != nil || len(w.m.sweeps) > 0 || len(w.fundsSim.sweeps) > 0:
		w.fatalf("%s is not forgotten: sweeps %d, at the wallet %d", c.id, len(w.m.sweeps), len(w.fundsSim.sweeps))
	case !w.user.handled["channel-closed/"+c.id.String()]:
		w.fatalf("%s: nobody was told that it was closed", c.id)
	case !w.rolledBack && (!w.user.handled[resolvedID(c.id)] || w.m.closed[c.id]):
		w.fatalf("%s: nobody was told that it is archived", c.id)
	}
}

// outcome is the preimage under which a payment was claimed, by what the monitors wrote.
func (w *world) outcome(id ln.PaymentID) *ln.Preimage {
	rows := w.disk.get(messages.GetRows{Bucket: messages.BucketOutcomes, Key: id[:], Prefix: true}).Rows
	if known := must(decodeOutcomes(rows, nil)); len(known) > 0 {
		return foldOutcomes(known).Preimage
	}
	return nil
}
