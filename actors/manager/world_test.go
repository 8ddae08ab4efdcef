package manager

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// world is one manager among monitors, channels, a persister and a user that are as simple as the messages' contract allows. Messages between two
// actors keep their order; everything else is random. A mailbox outlives its actor's crash, and dies with the process.
type world struct {
	rnd  *rand.Rand
	disk *disk
	rows []messages.Row // that monitors wrote, or are about to
	cfg  Config

	inc      uint64
	m        *Manager // nil while loading
	loaded   uint64   // incarnation whose Load is under way
	requests []any    // that wait for it
	now      time.Time
	wake     time.Time // what the manager asked for, zero: nothing
	height   uint32
	poor     bool // no channel can carry a whole payment

	queues map[[2]messages.Addr][]any // by sender and receiver
	order  [][2]messages.Addr

	channels []*simChannel
	byAddr   map[messages.Addr]*simChannel
	invoices []testInvoice

	user     userSim
	fundsSim fundsSim

	impatient int

	// What happened, for the checks.
	rolledBack     bool
	committed      map[ln.PaymentID]int
	forwards       map[htlcKey]*simForward // inbound HTLCs for others
	wasQuarantined bool
	intercepted    []messages.InterceptHTLC            // not decided
	calm           bool                                // channels are seldom closed
	claimed        map[ln.Hash]map[string][]facts.Part // sets, by the ids of their events
	cancels        bool                                // invoices are cancelled
	cancelled      map[ln.Hash]bool                    // and somebody was told so
	carried        map[ln.PaymentID]uint64             // by HTLCs that are live or claimed
	listed         map[htlcKey]bool                    // their parts
	late           map[ln.PaymentID]bool               // claimed after they had failed on chain
	trace          []string
}

type userSim struct {
	inc     uint64
	waiting []messages.UserEvent
	seen    map[string]messages.UserEvent // everything that was told
	handled map[string]bool
	claims  map[ln.Hash]bool
}

func newWorld(seed uint64, cfg Config) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 7)), disk: newDisk(), cfg: cfg, poor: cfg.Graph && seed%5 < 2, now: epoch, height: startHeight,
		queues: map[[2]messages.Addr][]any{}, byAddr: map[messages.Addr]*simChannel{},
		committed: map[ln.PaymentID]int{}, carried: map[ln.PaymentID]uint64{}, forwards: map[htlcKey]*simForward{}, claimed: map[ln.Hash]map[string][]facts.Part{}, listed: map[htlcKey]bool{}, late: map[ln.PaymentID]bool{},
		fundsSim: fundsSim{sweeps: map[ln.EventID]bool{}},
		user:     userSim{seen: map[string]messages.UserEvent{}, handled: map[string]bool{}, claims: map[ln.Hash]bool{}},
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
	w.invoices = sharedInvoices
	w.calm = seed%4 > 0
	w.cancels, w.cancelled = seed%7 == 3, map[ln.Hash]bool{}
	w.startProcess()
	return w
}

var sharedInvoices = func() (out []testInvoice) {
	for i, kind := range []string{"whole", "whole", "mpp", "mpp", "mpp hold", "mpp theirs"} {
		out = append(out, newInvoiceOf(fmt.Sprintf("model %d %s", i, kind), 1000, i > 1))
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
	for _, r := range w.rows { // what monitors hold is durable, and so is what they wrote with it
		w.disk.put(r)
	}
	w.rows = nil
	w.queues, w.order = map[[2]messages.Addr][]any{}, nil
	w.startManager()
	w.fundsSim.sweeps = map[ln.EventID]bool{}
	for _, c := range w.channels {
		c.down, c.chain.unlisted = false, c.chain.archived
		c.start()
	}
	w.user.inc, w.user.waiting = 0, nil
}

func (w *world) startManager() {
	w.m, w.loaded, w.requests, w.wake = nil, w.next(), nil, time.Time{}
	w.send(messages.ManagerAddr, messages.PersisterAddr, messages.Load{Incarnation: w.loaded})
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
				if c.chain.unlisted {
					continue
				}
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
	case to == messages.FundsAddr:
		w.funds(msg)
	case to == messages.EventsAddr:
		w.userEvents(msg.(messages.UserEvents))
	case to == messages.GraphAddr:
		w.graph(msg)
	case to == messages.InterceptorAddr:
		w.intercepted = append(w.intercepted, msg.(messages.InterceptHTLC))
	case to == "api":
	case strings.HasPrefix(string(to), "api/cancel/"):
		w.onCancelled(strings.TrimPrefix(string(to), "api/cancel/"), msg.(messages.CancelReply))
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
		for _, r := range m.Rows {
			w.disk.put(r)
		}
		if len(m.Then) == 0 {
			return
		}
		if a, ok := m.Then[0].Msg.(messages.ChannelArchived); ok {
			w.byAddr[messages.MonitorAddr(a.Channel)].chain.unlisted = true // Monitors learns it in the same breath
		}
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
	if !e.Wake.IsZero() {
		w.wake = e.Wake
	}
	for i, a := range e.Appends {
		w.checkMade(a)
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
		w.user.claims[c.Hash] = c.PreimageUnknown
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
		return fmt.Sprintf("fence=%d %s", m.Fence, briefSource(m.Source))
	case messages.NotCommitted:
		return fmt.Sprintf("fence=%d %s", m.Fence, briefSource(m.Source))
	case messages.HTLCCommitted, messages.InboundResolved:
		return m
	case messages.InboundDecided:
		return fmt.Sprintf("htlc=%d gone=%v fulfil=%v", m.HTLCID, m.Gone, m.Resolution.Fulfilled())
	case appendOf:
		rows := ""
		for _, r := range m.a.Rows {
			rows += fmt.Sprintf(" %s/%x=%d", r.Bucket, r.Key[:4], len(r.Value))
		}
		return fmt.Sprintf("%T rows=%d%s then=%d", m.a.Records, len(m.a.Rows), rows, len(m.a.Then))
	}
	return ""
}

func briefSource(s ln.Source) string {
	if s.Forward != nil {
		return fmt.Sprintf("forward %x/%d", s.Forward.Channel[:4], s.Forward.HTLCID)
	}
	return s.Payment.PaymentID.String()
}
