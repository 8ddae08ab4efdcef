package sim

import (
	"math/rand/v2"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// plan is what a seed does and what goes wrong while it does. All rates are 0 once the storm is over.
type plan struct {
	storm         time.Duration
	bothDial      bool
	manual        bool
	snapshotEvery int
	archiveDepth  uint32
	courses       bool // users abandon payments
	intercepts    int  // nodes whose users decide about forwards, a bit for each

	actorCrash   float64 // for each message
	crashAfter   bool    // also after messages
	crashOnly    string  // this kind of actor alone
	nodeCrash    float64 // for each message
	commitCrash  float64 // for each commit: the node is gone in the middle of it
	commitFails  float64 // for each commit: an error, and nobody knows what is on disk
	delay        float64 // for each message: the actor rests
	slowStore    float64 // for each message of the persister: it rests for long
	cut          float64 // for each message between nodes
	handlerFails float64 // for each user event

	loseRecords func(*node)          // at each restart of a node during the storm
	alwaysLose  bool                 // and after it
	onDisk      func(states int) int // which legal state of the disk a crash leaves; nil: any

	forceCloses bool // closes of one side are expected
	errors      bool // BOLT 1 errors are expected

	mutate     func(*node, *supervisor.Parts) // breaks a rule on purpose
	before     func(sim.Point) sim.Fault      // instead of the random faults
	afterwards func(sim.Point) sim.Fault
	drops      func(*node, sim.Point) bool // messages that are lost on purpose
	seen       func(*node, sim.Point)      // sees every message before it is handled
	handled    func(*node, sim.Point)      // and after
	sent       func(n *node, msg lnwire.Message)
	cutAt      func(from string, msg []byte) bool // asked for each message between nodes
	mute       func(n *node, raw []byte) bool     // a message that never arrives
	unmarked   bool                               // a restore marks no channel
	blind      bool                               // guards keep silent: only what comes of it counts
	onCommit   func(*node) memstore.Fault
}

// draw makes the plan of a seed. Which kinds of faults there are at all differs from seed to seed, so that each is seen alone and with others.
func draw(r *rand.Rand) plan {
	p := plan{storm: time.Duration(200+r.IntN(1500)) * time.Millisecond, bothDial: r.IntN(2) == 0, snapshotEvery: 2 + r.IntN(40)}
	some := func(rate *float64, most float64) {
		if r.IntN(3) == 0 {
			*rate = most * r.Float64()
		}
	}
	some(&p.actorCrash, 0.02)
	some(&p.nodeCrash, 0.004)
	some(&p.commitCrash, 0.02)
	some(&p.commitFails, 0.02)
	some(&p.delay, 0.05)
	some(&p.slowStore, 0.05)
	some(&p.cut, 0.03)
	some(&p.handlerFails, 0.5)
	p.crashAfter = r.IntN(2) == 0
	p.manual = r.IntN(6) == 0
	switch r.IntN(8) {
	case 0:
		p.loseRecords = drop
	case 1:
		p.loseRecords = rollBack
	}
	if p.loseRecords != nil && p.nodeCrash == 0 {
		p.nodeCrash = 0.002
	}
	return p
}

// before is asked before each message.
func (w *world) before(pt sim.Point) sim.Fault {
	w.observe(pt)
	if w.plan.seen != nil {
		w.plan.seen(w.node(pt.Node), pt)
	}
	if w.plan.drops != nil && w.plan.drops(w.node(pt.Node), pt) {
		return sim.Fault{Kind: sim.Drop}
	}
	if w.plan.before != nil {
		return w.plan.before(pt)
	}
	if w.calm() {
		return sim.Fault{}
	}
	p, r := &w.plan, w.sim.Rand()
	switch {
	case p.actorCrash > 0 && r.Float64() < p.actorCrash && w.mayCrash(pt):
		return sim.Fault{Kind: sim.CrashActor}
	case p.nodeCrash > 0 && r.Float64() < p.nodeCrash:
		return sim.Fault{Kind: sim.CrashNode}
	case p.delay > 0 && r.Float64() < p.delay:
		return sim.Fault{Kind: sim.Delay, Delay: time.Duration(1 + r.Int64N(int64(30*time.Millisecond)))}
	case p.slowStore > 0 && pt.Kind == "persister" && r.Float64() < p.slowStore:
		return sim.Fault{Kind: sim.Delay, Delay: time.Duration(1 + r.Int64N(int64(500*time.Millisecond)))}
	}
	return sim.Fault{}
}

// mayCrash spares the node's outermost supervisors: their crash is a crash of the node, which has a rate of its own.
func (w *world) mayCrash(pt sim.Point) bool {
	if only := w.plan.crashOnly; only != "" {
		return pt.Kind == only
	}
	return pt.Kind != "node" && pt.Kind != "actors" && pt.Kind != "monitors" || w.plan.crashAfter
}

func (w *world) faultAfter(pt sim.Point) sim.Fault {
	p, r := &w.plan, w.sim.Rand()
	if p.handled != nil {
		p.handled(w.node(pt.Node), pt)
	}
	if p.afterwards != nil {
		return p.afterwards(pt)
	}
	if w.calm() || p.before != nil || !p.crashAfter {
		return sim.Fault{}
	}
	switch {
	case p.actorCrash > 0 && r.Float64() < p.actorCrash && w.mayCrash(pt):
		return sim.Fault{Kind: sim.CrashActor}
	case p.nodeCrash > 0 && r.Float64() < p.nodeCrash:
		return sim.Fault{Kind: sim.CrashNode}
	}
	return sim.Fault{}
}

func (w *world) cut(from, _ string, msg []byte) bool {
	if w.split {
		return true
	}
	if w.plan.cutAt != nil {
		return w.plan.cutAt(from, msg)
	}
	return w.plan.cut > 0 && !w.calm() && w.sim.Rand().Float64() < w.plan.cut
}

func (w *world) commitFault(n *node) memstore.Fault {
	p, r := &w.plan, w.sim.Rand()
	if p.onCommit != nil {
		return p.onCommit(n)
	}
	if w.calm() {
		return memstore.None
	}
	switch {
	case p.commitCrash > 0 && r.Float64() < p.commitCrash:
		w.sim.Crash(n.name) // does not return: the next life decides whether the batch is there
	case p.commitFails > 0 && r.Float64() < p.commitFails:
		return memstore.Fault(1 + r.IntN(int(memstore.PanicEither)))
	}
	return memstore.None
}

var managerBuckets = []string{messages.BucketPayments, messages.BucketInvoices, messages.BucketReceived}

// drop loses all of the manager's records (S18).
func drop(n *node) {
	if n.rand().IntN(2) == 0 {
		n.lossy = true
		n.store.Drop([]messages.Owner{messages.OwnerManager}, managerBuckets)
	}
}

// rollBack takes the manager's records, and no others, back to what they were at the start or at an earlier crash (S18).
func rollBack(n *node) {
	switch n.rand().IntN(3) {
	case 0:
		n.old = n.store.Clone()
	case 1:
		n.lossy = true
		n.store = rolledBack(n.store, n.old)
	}
}

// rolledBack is a store with the manager's records of another one.
func rolledBack(now, old *memstore.Store) *memstore.Store {
	out := now.Clone()
	out.Drop([]messages.Owner{messages.OwnerManager}, managerBuckets)
	out = out.Clone() // with keys that go on from what is left
	scan := &managerLog{}
	if err := out.Scan(scan); err != nil {
		panic(err)
	}
	last := scan.last
	scan = &managerLog{}
	if err := old.Scan(scan); err != nil {
		panic(err)
	}
	b := &persister.Batch{Snapshots: scan.snapshots}
	for _, r := range scan.records {
		last++
		r.Key = last
		b.Append = append(b.Append, r)
	}
	for _, bucket := range managerBuckets {
		rows, err := old.Range(bucket, nil, nil, 1<<30)
		if err != nil {
			panic(err)
		}
		b.Rows = append(b.Rows, rows...)
	}
	if b.Empty() {
		return out
	}
	if err := out.Commit(b); err != nil {
		panic(err)
	}
	return out
}

// managerLog collects the manager's part of a scan.
type managerLog struct {
	snapshots []persister.Snapshot
	records   []persister.Record
	last      uint64 // key of any owner
}

func (l *managerLog) Snapshot(s persister.Snapshot) {
	if s.Owner == messages.OwnerManager {
		l.snapshots = append(l.snapshots, s)
	}
}

func (l *managerLog) Record(r persister.Record) {
	l.last = max(l.last, r.Key)
	if r.Owner == messages.OwnerManager {
		l.records = append(l.records, r)
	}
}
