package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// TestSimulationRestore: payments across a network, and in the middle of them one node goes on from a backup of some moments ago, or of just now. What it
// knows is unverified: it signs and broadcasts nothing before its peer has shown that it is current, and nothing at all when the peer proves that it is not.
// Nobody else loses anything, what the backup still knows to be the node's own it gets, and no payment is tried again that may have been claimed (S15,
// seed 990000128).
func TestSimulationRestore(t *testing.T) { restoreSuite.test(t) }

var restoreSuite = suite{
	name: "restores", seeds: 60, most: 150, pick: pickSmallNetwork, run: restoreInStorm, plan: drawRestore, check: (*world).checkRestored,
	courses: []string{"restored", "verified", "proven behind"},
}

func drawRestore(r *rand.Rand) plan {
	p := drawNetwork(r)
	p.errors, p.forceCloses, p.manual, p.loseRecords = true, true, false, nil
	p.archiveDepth = uint32(6 + r.IntN(6))
	return p
}

// restored is what a node went on from.
type restored struct {
	done   bool
	behind map[ln.ChannelID]bool // proven, at some time
	word   map[ln.PaymentID]bool // payments that the operator gave up
}

func restoreInStorm(w *world, r *rand.Rand) {
	w.closing = true
	w.delta = uint32(27 + r.IntN(3))
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm))) }
	n := w.nodes[r.IntN(len(w.nodes))]
	n.restore = &restored{behind: map[ln.ChannelID]bool{}, word: map[ln.PaymentID]bool{}}
	for _, id := range n.shadow.order {
		w.chainEnds[id] = true // or goes on
	}
	for range 3 + r.IntN(6) {
		w.sim.After(within(), "pay", func() { w.drawPayment(r) })
	}
	at, age := within(), time.Duration(0)
	if r.IntN(3) > 0 {
		age = min(at, time.Duration(r.Int64N(int64(400*time.Millisecond))))
	}
	impatient := r.IntN(3) == 0
	var old *memstore.Store
	var indexes wallet.Indexes
	w.sim.After(at-age, "back up", func() { old, indexes = n.store.Crash(n.rand()), n.indexes })
	w.sim.After(at, "restore", func() {
		w.sim.After(time.Microsecond, "the node goes on from its backup", func() {
			if w.sim.Alive(n.name) {
				w.sim.Crash(n.name)
			}
			if age == 0 {
				old, indexes = n.store.Crash(n.rand()), n.indexes // nothing was lost
			}
			n.goOnFrom(old, indexes)
			if impatient {
				w.forceClose(n.index, n.shadow.order[0]) // refused, as long as the channel is not verified
			}
		})
	})
	w.until(func() bool { return w.calm() && n.restore.done }, w.plan.storm+time.Minute)
	w.pass(3 * time.Second)
	w.resolveRestored(n, r)
}

// goOnFrom does to a copy of the store what a restore does, and makes it the node's.
func (n *node) goOnFrom(old *memstore.Store, indexes wallet.Indexes) {
	w := n.w
	scan := &logs{snapshots: map[messages.Owner][]byte{}, records: map[messages.Owner][][]byte{}, through: map[messages.Owner]uint64{}}
	last := &lastKeys{logs: scan, seq: map[messages.Owner]uint64{}}
	if err := old.Scan(last); err != nil {
		panic(err)
	}
	b := &persister.Batch{}
	for _, owner := range scan.owners() {
		if owner == messages.OwnerManager {
			continue
		}
		data, err := monitor.MarkRestored(scan.snapshots[owner], scan.records[owner], 1<<32)
		if err != nil {
			w.wrong("%s: the backup can't be marked: %v", n.name, err)
			return
		}
		if w.plan.unmarked {
			continue
		}
		last.key++
		b.Append = append(b.Append, persister.Record{Key: last.key, Owner: owner, Seq: last.seq[owner] + 1, Data: data})
	}
	row, found, err := old.Last(messages.BucketKeys, nil)
	if err != nil {
		panic(err)
	}
	next := uint32(1 << 20)
	if found {
		next += binary.BigEndian.Uint32(row.Key)
	}
	b.Rows = []messages.Row{{Bucket: messages.BucketKeys, Key: binary.BigEndian.AppendUint32(nil, next), Value: []byte("given up")}}
	if err := old.Commit(b); err != nil {
		panic(err)
	}
	indexes.Receive, indexes.Change = indexes.Receive+20, indexes.Change+20
	n.store, n.indexes = old.Clone(), indexes
	n.restore.done, n.lossy = true, true
	w.did("restored")
}

// lastKeys is a scan that notes where the log goes on.
type lastKeys struct {
	*logs
	key uint64
	seq map[messages.Owner]uint64
}

func (l *lastKeys) Snapshot(s persister.Snapshot) {
	l.logs.Snapshot(s)
	l.seq[s.Owner] = max(l.seq[s.Owner], s.Through)
}

func (l *lastKeys) Record(r persister.Record) {
	l.logs.Record(r)
	l.key, l.seq[r.Owner] = max(l.key, r.Key), max(l.seq[r.Owner], r.Seq)
}

// doubts guards a restored node: it signs and broadcasts nothing of a channel that is not verified.
func (n *node) doubts(f *facts.Channel, what string) {
	if f.Unverified || f.ProvenBehind {
		n.w.wrong("rule 18: %s %s of %s, unverified %v, proven behind %v", n.name, what, f.ID, f.Unverified, f.ProvenBehind)
	}
}

// signs tells whether a message commits to something.
func signs(msg lnwire.Message) bool {
	switch msg.(type) {
	case *lnwire.CommitSig, *lnwire.RevokeAndAck, *lnwire.ClosingSigned, *lnwire.Shutdown:
		return true
	}
	return false
}

// settled tells whether the restored node's channels are verified or gone, and nobody has anything to take of one that ended.
func (n *node) settled() bool {
	for _, id := range n.shadow.order {
		if n.shadow.channels[id].facts.ProvenBehind {
			n.restore.behind[id] = true
		}
	}
	for _, other := range n.w.nodes {
		for _, id := range other.shadow.order {
			if other.shadow.channels[id].facts.Ended() {
				return false
			}
		}
	}
	for _, id := range n.shadow.order {
		f := n.shadow.channels[id].facts
		if !f.Open() || f.Unverified || f.ProvenBehind {
			return false
		}
	}
	return true
}

func (w *world) resolveRestored(n *node, r *rand.Rand) {
	first := w.chain.Height()
	for w.chain.Height() < first+250 && len(w.wrongs) == 0 && !(n.settled() && w.quiet() == "") {
		w.round(r, false)
		if w.chain.Height() > first+60 && w.sim.Alive(n.name) { // time enough for most HTLCs
			n.giveUpUnknown()
		}
		if n.settled(); len(w.chain.Mempool()) == 0 && w.chain.Height() > first+12 {
			w.mine(2)
			w.deepen()
			w.pass(100 * time.Millisecond)
		}
	}
	if len(w.wrongs) == 0 && !n.settled() {
		w.wrong("L5: after a restore, not settled after %d blocks: %s", w.chain.Height()-first, w.whatIsLeft())
	}
	w.stormEnd = w.sim.Now()
}

// giveUpUnknown: the operator gives up payments whose outcome is unknown for good. For the world to come to rest it is done without asking the payee.
func (n *node) giveUpUnknown() {
	probe := n.w.sim.Probe(fmt.Sprintf("operator/%d", n.w.chain.Height()))
	probe.On = func(msg any) {
		list, ok := msg.(messages.PaymentList)
		if !ok {
			return
		}
		for _, p := range list.Payments {
			if p.Status == messages.PaymentUnknown && p.Reason != "" {
				n.restore.word[p.PaymentID] = true
				probe.Send(n.name, messages.ManagerAddr, messages.AbandonPayment{PaymentID: p.PaymentID})
			}
		}
	}
	probe.Send(n.name, messages.ManagerAddr, messages.ListPayments{ReplyTo: probe.Addr()})
}

// checkOutcomes: without the operator's word no payment is said to have failed that the payee has claimed (S5), also not one that was begun before the backup.
func (n *node) checkOutcomes() {
	for _, p := range n.w.payments {
		id := p.msg.PaymentID
		k, failed := p.from.user.seen[failedID(id)].Kind.(messages.PaymentFailed)
		if p.from != n || !failed || n.w.paidTwice(p.msg.Hash) || n.w.lostOnTheWay(p.msg.Hash) {
			continue
		}
		if claimed, _ := p.to.told(); claimed[p.msg.Hash] == 0 {
			continue
		}
		if n.restore.word[id] {
			n.w.did("given up")
			continue
		}
		n.w.wrong("S5: %s is told that payment %s failed (%s), and %s has claimed it: %s", n.name, id, k.Reason, p.to.name, n.w.trail(p.msg.Hash))
	}
}

// checkRestored: nobody but the restored node has less than its payments say, and that one has its part of every commitment that confirmed.
func (w *world) checkRestored() {
	if w.rest(); len(w.wrongs) > 0 {
		return
	}
	l := w.ledger(w.fundings...)
	for i, n := range w.nodes {
		off := int64(0)
		for _, id := range n.shadow.order {
			if f := n.shadow.channels[id].facts; !f.Ended() {
				off += int64(f.HolderMsat)
			}
		}
		spare := (l.closeFee + int64(l.closes)*(660+50) + int64(len(l.left))*1000) * 1000
		if want, has := w.began[i]+n.gain(), off+l.taken[i]*1000; n.restore == nil && want-has > spare {
			w.wrong("S13: %s should have %d msat, and has %d in channels and took %d sat, beside the restored node", n.name, want, off, l.taken[i])
		}
		if n.restore == nil {
			continue
		}
		n.checkOutcomes()
		for id := range n.restore.behind {
			w.did("proven behind")
			w.hasShare(n, id)
		}
		for _, id := range n.shadow.order {
			if f := n.shadow.channels[id].facts; f.Open() && !f.Unverified {
				w.did("verified")
			}
		}
	}
	if len(w.wrongs) == 0 {
		w.checkUsableRestored()
	}
}

// hasShare: the output of the peer's commitment that needs nothing but the node's own key was taken by it.
func (w *world) hasShare(n *node, id ln.ChannelID) {
	h, txid, _ := w.closed(n.fundingOf(id))
	if h == nil {
		w.wrong("%s: %s was closed by %s, which nobody held", n.name, id, txid)
		return
	}
	if h.owner == n.index {
		w.wrong("S12: %s was proven behind, and its commitment %d of %s confirmed", n.name, h.tx.Number, id)
		return
	}
	if h.tx.ToOtherIndex < 0 {
		return
	}
	for _, in := range w.spendersOf(h) {
		if in == uint32(h.tx.ToOtherIndex) {
			return
		}
	}
	w.wrong("L5: %s has not taken its balance of %s", n.name, id)
}

// spendersOf are the outputs of a commitment that were spent.
func (w *world) spendersOf(h *held) (spent []uint32) {
	for i := range h.tx.Tx.TxOut {
		op := h.outpoint(uint32(i))
		if _, ok := w.chain.Spender(op); ok {
			spent = append(spent, uint32(i))
		}
	}
	return spent
}

// checkUsableRestored: every channel that is open carries a payment.
func (w *world) checkUsableRestored() {
	w.pass(3 * time.Second)
	var fresh []*payment
	for _, l := range w.links {
		a, b := w.nodes[l[0]], w.nodes[l[1]]
		if a.canPayTo(b, 30_000_000) {
			p := w.netPayment(a.index, b.index, 1_000_000, payGood)
			p.firm = true
			fresh = append(fresh, p)
			p.ask()
		}
	}
	if !w.until(func() bool { return w.quiet() == "" }, patience) {
		w.wrong("L3: after a restore, a payment does not get through: %s", w.quiet())
		return
	}
	for _, p := range fresh {
		if _, ok := p.outcome().(messages.PaymentSent); !ok {
			w.wrong("L3: after a restore, a payment from %s to %s ends with %+v, refused: %v", p.from.name, p.to.name, p.outcome(), p.refused)
		}
	}
}
