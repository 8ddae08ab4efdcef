package manager

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// world is one manager among monitors, channels, a persister and a user that are as simple as the messages' contract allows. Messages between two
// actors keep their order; everything else is random. A mailbox outlives its actor's crash, and dies with the process.
type world struct {
	rnd  *rand.Rand
	disk *disk
	cfg  Config

	inc      uint64
	m        *Manager // nil while loading
	loaded   uint64   // incarnation whose Load is under way
	requests []any    // that wait for it
	now      time.Time
	height   uint32

	queues map[[2]messages.Addr][]any // by sender and receiver
	order  [][2]messages.Addr

	channels []*simChannel
	byAddr   map[messages.Addr]*simChannel
	invoices []testInvoice
	nextHTLC int

	user userSim

	impatient int

	// What happened, for the checks.
	rolledBack bool
	committed  map[ln.PaymentID]int
	claimed    map[ln.Hash]int // inbound HTLCs
	trace      []string
}

type userSim struct {
	inc     uint64
	waiting []messages.UserEvent
	seen    map[string]messages.UserEvent // everything that was told
	handled map[string]bool
	claims  map[ln.Hash]bool
}

// simChannel is a monitor with the channel beside it.
type simChannel struct {
	w  *world
	id ln.ChannelID

	// Durable.
	last    uint64
	events  map[uint64]facts.EventKind
	own     map[uint64]*simOwn
	nextOwn uint64
	in      map[uint64]*simIn
	nextIn  uint64

	// Of the monitor's incarnation.
	inc      uint64
	manager  uint64
	fence    uint64
	reported bool
	down     bool // quarantined

	// Of the channel's incarnation.
	chanFence uint64
	queue     []messages.AddHTLC
}

type simOwn struct {
	add      messages.AddHTLC
	preimage *ln.Preimage
	failed   []byte // the reason, once the peer failed it
	secret   onion.SharedSecret
}

type simIn struct {
	htlc       facts.HTLCAccepted
	resolution *facts.Resolution
	gone       bool
}

func newWorld(seed uint64, cfg Config) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 7)), disk: newDisk(), cfg: cfg, now: epoch, height: startHeight,
		queues: map[[2]messages.Addr][]any{}, byAddr: map[messages.Addr]*simChannel{},
		committed: map[ln.PaymentID]int{}, claimed: map[ln.Hash]int{},
		user: userSim{seen: map[string]messages.UserEvent{}, handled: map[string]bool{}, claims: map[ln.Hash]bool{}},
	}
	for i := range 3 {
		c := &simChannel{
			w: w, id: id32[ln.ChannelID](fmt.Sprintf("channel %d", i)), events: map[uint64]facts.EventKind{},
			own: map[uint64]*simOwn{}, in: map[uint64]*simIn{},
		}
		w.channels = append(w.channels, c)
		w.byAddr[messages.MonitorAddr(c.id)], w.byAddr[messages.ChannelAddr(c.id)] = c, c
		c.event(facts.ChannelReady{})
	}
	for i := range 4 {
		w.invoices = append(w.invoices, sharedInvoices[i])
	}
	w.startProcess()
	return w
}

var sharedInvoices = func() (out []testInvoice) {
	for i := range 4 {
		out = append(out, newInvoice(fmt.Sprintf("model %d", i), 1000))
	}
	return out
}()

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// fatalf ends a run; the test recovers it.
type violation struct{ why string }

func (w *world) fatalf(format string, args ...any) { panic(violation{fmt.Sprintf(format, args...)}) }

func (w *world) send(from, to messages.Addr, msg any) {
	k := [2]messages.Addr{from, to}
	if w.queues[k] == nil {
		w.order = append(w.order, k)
	}
	w.queues[k] = append(w.queues[k], msg)
}

func (w *world) next() uint64 { w.inc++; return w.inc }

// startProcess: all memory was lost.
func (w *world) startProcess() {
	w.queues, w.order = map[[2]messages.Addr][]any{}, nil
	w.startManager()
	for _, c := range w.channels {
		c.down = false
		c.start()
	}
	w.user.inc, w.user.waiting = 0, nil
}

func (w *world) startManager() {
	w.m, w.loaded, w.requests = nil, w.next(), nil
	w.send(messages.ManagerAddr, messages.PersisterAddr, messages.Load{Incarnation: w.loaded})
}

func (c *simChannel) start() {
	c.inc, c.manager, c.fence, c.reported = c.w.next(), 0, 0, false
	c.restartChannel()
	c.say(messages.MonitorHello{Channel: c.id, Incarnation: c.inc})
}

// restartChannel: the channel beside the monitor has a new incarnation, which knows no fence.
func (c *simChannel) restartChannel() { c.chanFence, c.queue = 0, nil }

// say: what a monitor says is durable, and goes through the persister.
func (c *simChannel) say(msg any) {
	c.w.send(messages.MonitorAddr(c.id), messages.PersisterAddr, messages.Append{Then: []messages.Delivery{{To: messages.ManagerAddr, Msg: msg}}})
}

// event makes an event durable, and emits it if the newest fence was answered.
func (c *simChannel) event(k facts.EventKind) {
	c.last++
	c.events[c.last] = k
	if c.reported {
		c.say(messages.EmitEvents{Channel: c.id, Incarnation: c.inc, Fence: c.fence, Events: []facts.Event{{Seq: c.last, Kind: k}}})
	}
}

func (c *simChannel) summary() messages.ChannelSummary {
	return messages.ChannelSummary{Channel: c.id, Peer: peerID, Phase: messages.PhaseOpen, HolderMsat: 1 << 40}
}

func (c *simChannel) report() {
	c.reported = true
	r := messages.MonitorReport{ManagerIncarnation: c.manager, Fence: c.fence, Channel: c.id, Incarnation: c.inc, Summary: c.summary()}
	for _, seq := range slices.Sorted(maps.Keys(c.events)) {
		r.Events = append(r.Events, facts.Event{Seq: seq, Kind: c.events[seq]})
	}
	for _, id := range slices.Sorted(maps.Keys(c.own)) {
		h := c.own[id]
		r.Own = append(r.Own, messages.OwnHTLC{HTLCID: id, Hash: h.add.Hash, AmountMsat: h.add.AmountMsat, Source: h.add.Source, Preimage: h.preimage})
	}
	waits := c.waits()
	for _, id := range slices.Sorted(maps.Keys(c.in)) {
		if h := c.in[id]; !h.gone || waits[id] {
			r.Inbound = append(r.Inbound, messages.InboundHTLC{
				HTLCID: id, Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, CLTVExpiry: h.htlc.CLTVExpiry, Resolution: h.resolution, Resolved: h.gone,
			})
		}
	}
	c.say(r)
}

func (c *simChannel) waits() map[uint64]bool {
	out := map[uint64]bool{}
	for _, k := range c.events {
		if a, ok := k.(facts.HTLCAccepted); ok {
			out[a.HTLCID] = true
		}
	}
	return out
}

// handle is a message to the monitor or the channel.
func (c *simChannel) handle(msg any) {
	if c.down {
		return
	}
	switch m := msg.(type) {
	case messages.ManagerHello:
		if m.Incarnation > c.manager {
			c.manager, c.reported = m.Incarnation, false
		}
	case messages.Fence:
		if m.Fence > c.fence && m.ManagerIncarnation >= c.manager {
			c.manager, c.fence, c.reported = m.ManagerIncarnation, m.Fence, false
			c.chanFence, c.queue = m.Fence, nil
			c.report()
		}
	case messages.AckMonitorEvent:
		for _, seq := range m.Seqs {
			c.w.checkAck(c, seq)
			delete(c.events, seq)
		}
	case messages.DecideHTLC:
		c.decide(m)
	case messages.AddHTLC:
		if m.Fence == c.chanFence {
			c.w.checkAdd(m)
			c.queue = append(c.queue, m)
		}
	}
}

func (c *simChannel) decide(m messages.DecideHTLC) {
	h := c.in[m.HTLCID]
	if m.Resolution.Preimage != nil {
		if sha256.Sum256(m.Resolution.Preimage[:]) != [32]byte(h.htlc.Hash) {
			c.w.fatalf("wrong preimage given for htlc %d", m.HTLCID)
		}
		c.w.checkInvoiceRow(c, h)
	}
	if h.resolution == nil && !h.gone {
		r := m.Resolution
		h.resolution = &r
		if r.Fulfilled() {
			c.w.claimed[h.htlc.Hash]++
		}
	}
	c.say(messages.InboundDecided{Channel: c.id, HTLCID: m.HTLCID, Resolution: h.resolution, Gone: h.gone})
}

// run delivers one message, chosen at random; false if there is none.
func (w *world) run() bool {
	if len(w.order) == 0 {
		return false
	}
	w.pop(w.rnd.IntN(len(w.order)))
	return true
}

func (w *world) pop(i int) {
	k := w.order[i]
	q := w.queues[k]
	msg := q[0]
	if w.queues[k] = q[1:]; len(q) == 1 {
		delete(w.queues, k)
		w.order = slices.Delete(w.order, i, i+1)
	}
	w.deliver(k[0], k[1], msg)
}

func (w *world) deliver(from, to messages.Addr, msg any) {
	if _, tip := msg.(messages.ChainTip); !tip {
		w.logf("%s -> %s: %T %+v", from, to, msg, brief(msg))
	}
	switch {
	case to == messages.PersisterAddr:
		w.persist(from, msg)
	case to == messages.ManagerAddr:
		w.manager(msg)
	case to == messages.MonitorsAddr:
		if m, ok := msg.(messages.ManagerHello); ok {
			list := messages.MonitorList{ManagerIncarnation: m.Incarnation}
			for _, c := range w.channels {
				if c.down {
					list.Quarantined = append(list.Quarantined, c.id)
				} else {
					list.Channels = append(list.Channels, c.id)
				}
			}
			w.send(to, messages.ManagerAddr, list)
		}
	case to == messages.ChainWatchAddr:
		w.send(to, messages.ManagerAddr, messages.ChainTip{Height: w.height})
	case to == messages.EventsAddr:
		w.userEvents(msg.(messages.UserEvents))
	case to == "api":
	default:
		w.byAddr[to].handle(msg)
	}
}

// appendOf is an Append of the manager with what its shell would make of it.
type appendOf struct {
	core *Manager
	inc  uint64
	a    Append
	snap *State // for the last of a step
}

func (w *world) persist(from messages.Addr, msg any) {
	switch m := msg.(type) {
	case messages.Load:
		w.send(messages.PersisterAddr, messages.ManagerAddr, messages.Loaded{Incarnation: m.Incarnation, Snapshot: w.disk.snapshot, Records: slices.Clone(w.disk.log)})
	case messages.GetRows:
		w.send(messages.PersisterAddr, messages.ManagerAddr, w.disk.get(m))
	case appendOf:
		w.disk.commit(m)
		w.then(m.a.Then)
	case messages.Append:
		w.then(m.Then)
	}
	_ = from
}

func (w *world) then(ds []messages.Delivery) {
	for _, d := range ds {
		w.send(messages.PersisterAddr, d.To, d.Msg)
	}
}

func (d *disk) commit(m appendOf) {
	for _, r := range m.a.Records {
		d.log = append(d.log, EncodeRecord(r))
		d.since++
	}
	if m.snap != nil {
		d.snapshot, d.log, d.since = EncodeState(*m.snap), nil, 0
	}
	for _, r := range m.a.Rows {
		d.put(r)
	}
	if len(m.a.Records)+len(m.a.Rows) > 0 {
		d.remember()
	}
}

func (w *world) manager(msg any) {
	if l, ok := msg.(messages.Loaded); ok {
		if l.Incarnation == w.loaded && w.m == nil {
			w.m = New(w.cfg, quiet, w.loaded, must(DecodeState(l.Snapshot, l.Records)))
			w.effects(w.m.Start())
			for _, r := range w.requests {
				w.effects(w.m.Step(r, w.now))
			}
			w.requests = nil
		}
		return
	}
	if w.m == nil {
		if isRequest(msg) {
			w.requests = append(w.requests, msg)
		}
		return // as whileLoading has it
	}
	w.effects(w.m.Step(msg, w.now))
}

func (w *world) effects(e Effects) {
	for i, a := range e.Appends {
		out := appendOf{core: w.m, inc: w.loaded, a: a}
		if i == len(e.Appends)-1 && w.rnd.IntN(6) == 0 {
			s := w.m.State()
			out.snap = &State{Payments: maps.Clone(s.Payments), Closed: maps.Clone(s.Closed)}
		}
		w.send(messages.ManagerAddr, messages.PersisterAddr, out)
	}
	for _, d := range e.Tell {
		w.send(messages.ManagerAddr, d.To, d.Msg)
	}
}

func (w *world) userEvents(m messages.UserEvents) {
	if m.Incarnation < w.user.inc {
		return
	}
	if m.Incarnation > w.user.inc {
		w.user.inc, w.user.waiting = m.Incarnation, nil
	}
	for _, ev := range m.Events {
		w.checkTold(ev)
		if !slices.ContainsFunc(w.user.waiting, func(o messages.UserEvent) bool { return o.ID == ev.ID }) {
			w.user.waiting = append(w.user.waiting, ev)
		}
	}
}

// handleOne: the user handles the oldest event, or fails and gets it again.
func (w *world) handleOne() {
	if len(w.user.waiting) == 0 || w.rnd.IntN(4) == 0 {
		return
	}
	ev := w.user.waiting[0]
	w.user.waiting = w.user.waiting[1:]
	w.user.handled[ev.ID] = true
	if c, ok := ev.Kind.(messages.PaymentClaimable); ok {
		w.user.claims[c.Hash] = true
	}
	w.send(messages.EventsAddr, messages.ManagerAddr, messages.UserEventHandled{ID: ev.ID})
}

func brief(msg any) any {
	switch m := msg.(type) {
	case messages.UserEvents, messages.AckMonitorEvent, messages.Fence, messages.MonitorHello, messages.UserEventHandled:
		return m
	case messages.EmitEvents:
		return fmt.Sprintf("fence=%d first=%d %T", m.Fence, m.Events[0].Seq, m.Events[0].Kind)
	case messages.MonitorReport:
		return fmt.Sprintf("fence=%d own=%d events=%d", m.Fence, len(m.Own), len(m.Events))
	case messages.DecideHTLC:
		return fmt.Sprintf("htlc=%d fulfil=%v", m.HTLCID, m.Resolution.Fulfilled())
	case messages.Pay:
		return m.PaymentID
	case messages.AddHTLC:
		return fmt.Sprintf("fence=%d %s", m.Fence, m.Source.Payment.PaymentID)
	case messages.NotCommitted:
		return fmt.Sprintf("fence=%d %s", m.Fence, m.Source.Payment.PaymentID)
	case appendOf:
		return fmt.Sprintf("%T rows=%d then=%d", m.a.Records, len(m.a.Rows), len(m.a.Then))
	}
	return ""
}

// Checks while it runs.

// checkAdd: the payment is durable before its HTLC can be committed to (rule 14).
func (w *world) checkAdd(m messages.AddHTLC) {
	id := m.Source.Payment.PaymentID
	if _, ok := w.disk.state().Payments[id]; !ok {
		w.fatalf("htlc of payment %s asked for before its record is durable (rule 14)", id)
	}
}

// checkInvoiceRow: the invoice's paid record is durable before the preimage leaves (rule 13).
func (w *world) checkInvoiceRow(c *simChannel, h *simIn) {
	b := w.disk.rows[messages.BucketInvoices][string(h.htlc.Hash[:])]
	if b == nil {
		w.fatalf("preimage given away before the invoice's record is durable (rule 13)")
	}
	if r := must(decodeInvoice(b)); r.Channel != c.id || r.HTLCID != h.htlc.HTLCID || r.Held {
		w.fatalf("the invoice's record names another htlc (rule 13)")
	}
}

// checkAck: effect durable, then ack (S2, rule 24).
func (w *world) checkAck(c *simChannel, seq uint64) {
	k := c.events[seq]
	var src *ln.PaymentSource
	switch k := k.(type) {
	case nil:
		return // a repeat
	case facts.Claimed:
		src = k.Source.Payment
	case facts.Failed:
		src = k.Source.Payment
	case facts.HTLCAccepted:
		h := c.in[k.HTLCID]
		if h.resolution == nil && !h.gone {
			w.fatalf("acceptance of an undecided htlc acknowledged (S2)")
		}
		if h.resolution.Fulfilled() && !w.user.handled[fmt.Sprintf("payment-claimed/%s/%d", c.id, k.HTLCID)] {
			w.fatalf("acceptance acknowledged before PaymentClaimed was handled (S2)")
		}
		return
	case facts.CommitmentTxConfirmed, facts.HolderForceClosed:
		if !w.user.handled["channel-closed/"+c.id.String()] || !w.disk.state().Closed[c.id] {
			w.fatalf("close acknowledged before it was handled and recorded (S2)")
		}
		return
	case facts.ChannelReady:
		if !w.user.handled["channel-ready/"+c.id.String()] {
			w.fatalf("ready acknowledged before it was handled (S2)")
		}
		return
	}
	b := w.disk.rows[messages.BucketPayments][string(src.PaymentID[:])]
	if b == nil {
		w.fatalf("outcome of %s acknowledged before its record is durable (S2)", src.PaymentID)
	}
	rec := must(decodePayment(b))
	_, claimed := k.(facts.Claimed)
	if rec.Outcome == nil || claimed && rec.Outcome.Preimage == nil {
		w.fatalf("outcome of %s acknowledged, but recorded is %+v (S5)", src.PaymentID, rec.Outcome)
	}
	if !w.user.handled[outcomeID(rec)] {
		w.fatalf("outcome of %s acknowledged before the user handled it (S2)", src.PaymentID)
	}
}

func outcomeID(r PaymentRecord) string {
	if r.Outcome.Preimage != nil {
		return sentID(r.ID)
	}
	return failedID(r.ID)
}

// checkTold: one outcome a payment, equal in all repeats (S5), and durable before it is told (rule 15).
func (w *world) checkTold(ev messages.UserEvent) {
	w.logf("user is told %s", ev.ID)
	switch k := ev.Kind.(type) {
	case messages.PaymentSent:
		if _, failed := w.user.seen[failedID(k.PaymentID)]; failed && !w.rolledBack {
			w.fatalf("payment %s is sent and failed (S5)", k.PaymentID)
		}
		if sha256.Sum256(k.Preimage[:]) != [32]byte(k.Hash) {
			w.fatalf("sent with a wrong preimage")
		}
	case messages.PaymentFailed:
		if _, sent := w.user.seen[sentID(k.PaymentID)]; sent {
			w.fatalf("payment %s is failed and sent (S5)", k.PaymentID)
		}
		if w.liveSomewhere(k.PaymentID) {
			w.fatalf("payment %s failed while it may be claimed (S3, S6)", k.PaymentID)
		}
		w.checkFailureDurable(k.PaymentID)
	}
	if old, ok := w.user.seen[ev.ID]; ok && !reflect.DeepEqual(old, ev) && !w.rolledBack {
		w.fatalf("a repeat differs: %+v, then %+v (S5)", old, ev)
	}
	w.user.seen[ev.ID] = ev
}

func (w *world) liveSomewhere(id ln.PaymentID) bool {
	for _, c := range w.channels {
		for _, h := range c.own {
			if h.add.Source.Payment.PaymentID == id {
				return true
			}
		}
		for _, a := range c.queue {
			if a.Source.Payment.PaymentID == id {
				return true
			}
		}
	}
	return false
}

func (w *world) checkFailureDurable(id ln.PaymentID) {
	if p, ok := w.disk.state().Payments[id]; ok && p.Outcome != nil {
		return
	}
	if _, ok := w.disk.rows[messages.BucketPayments][string(id[:])]; ok {
		return
	}
	for _, c := range w.channels {
		for _, k := range c.events {
			if f, ok := k.(facts.Failed); ok && f.Source.Payment.PaymentID == id {
				return
			}
		}
	}
	w.fatalf("failure of %s told, but nothing durable says so (S3, rule 15)", id)
}

// Things that happen.

// commit: the channel commits to what waits.
func (c *simChannel) commit() {
	for _, a := range c.queue {
		id := a.Source.Payment.PaymentID
		if c.w.committed[id]++; c.w.committed[id] > 1 {
			c.w.fatalf("payment %s has two HTLCs (S15)", id)
		}
		c.w.logf("%s commits to %s", c.id, id)
		p := must(onion.Process(onion.KeyOf(peerKey), [onion.PacketSize]byte(a.Onion), a.Hash))
		c.own[c.nextOwn] = &simOwn{add: a, secret: p.Secret}
		c.nextOwn++
	}
	c.queue = nil
}

func (c *simChannel) refuse() {
	for _, a := range c.queue {
		c.w.send(messages.ChannelAddr(c.id), messages.ManagerAddr, messages.NotCommitted{
			Channel: c.id, Fence: a.Fence, Source: a.Source, Why: fmt.Errorf("no"),
		})
	}
	c.queue = nil
}

func (w *world) preimageOf(id ln.PaymentID) ln.Preimage {
	return id32[ln.Preimage]("preimage " + id.String())
}

// settle: the peer ends an own HTLC, in two steps.
func (c *simChannel) settle() {
	ids := slices.Sorted(maps.Keys(c.own))
	if len(ids) == 0 {
		return
	}
	id := ids[c.w.rnd.IntN(len(ids))]
	h := c.own[id]
	src := h.add.Source
	switch {
	case h.preimage != nil:
		delete(c.own, id) // its removal is irrevocable
	case h.failed != nil:
		delete(c.own, id)
		c.w.disk.put(outcomeRow(c.id, id, src.Payment.PaymentID, h.add.Hash, h.add.AmountMsat, nil))
		c.event(facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: src, AmountMsat: h.add.AmountMsat, Resolution: facts.Resolution{Reason: h.failed}})
	case c.w.rnd.IntN(2) == 0:
		p := c.w.preimageOf(src.Payment.PaymentID)
		h.preimage = &p
		c.w.disk.put(outcomeRow(c.id, id, src.Payment.PaymentID, h.add.Hash, h.add.AmountMsat, &p))
		c.event(facts.Claimed{HTLCID: id, Hash: h.add.Hash, Source: src, AmountMsat: h.add.AmountMsat, Preimage: p})
	default:
		h.failed = must(onion.EncryptFailure(h.secret, lnwire.NewFailIncorrectDetails(1, 1)))
	}
}

// receive: an inbound HTLC is irrevocably committed.
func (c *simChannel) receive() {
	w := c.w
	i := w.invoices[w.rnd.IntN(len(w.invoices))]
	expiry := w.height + 60
	key := fmt.Sprintf("%s/%d", i.name, expiry)
	if onions[key] == nil {
		onions[key] = i.pays(i.amount, i.amount, expiry, key)
	}
	h := facts.HTLCAccepted{HTLCID: c.nextIn, AmountMsat: i.amount, Hash: i.Hash, CLTVExpiry: expiry, Onion: onions[key]}
	c.nextIn++
	c.in[h.HTLCID] = &simIn{htlc: h}
	c.event(h)
}

var onions = map[string][]byte{}

// remove: a decided inbound HTLC leaves irrevocably.
func (c *simChannel) remove() {
	for _, id := range slices.Sorted(maps.Keys(c.in)) {
		if h := c.in[id]; h.resolution != nil && !h.gone {
			h.gone = true
			if c.reported {
				c.say(messages.InboundResolved{Channel: c.id, HTLCID: id, Fulfilled: h.resolution.Fulfilled()})
			}
			return
		}
	}
}

func (w *world) pay(id ln.PaymentID) {
	preimage := w.preimageOf(id)
	pay := messages.Pay{
		PaymentID: id, Hash: sha256.Sum256(preimage[:]), AmountMsat: 1000, Payee: peerID, Secret: id32[[32]byte]("secret"),
		MinFinalCLTVDelta: 18, ReplyTo: "api",
	}
	w.send("api", messages.ManagerAddr, pay)
}

func (w *world) unacked() (out []string) {
	for _, c := range w.channels {
		for _, seq := range slices.SortedFunc(maps.Keys(c.events), cmp.Compare) {
			out = append(out, fmt.Sprintf("%s/%d %T", c.id, seq, c.events[seq]))
		}
	}
	return out
}
