package manager

import (
	"log/slog"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// Config is what a manager is made of.
type Config struct {
	NodeKey  onion.NodeKey
	Invoices invoice.Keys
	// Derive gives secrets by label: session keys and temporary channel ids. It never gives two labels the same secret.
	Derive func(label string) [32]byte
	// ManualClaim asks the user about every payment to us (PaymentClaimable) instead of claiming it at once.
	ManualClaim bool
	// AcceptKeysend takes payments that nobody asked for.
	AcceptKeysend bool
	// MaxPayments under way or with an outcome that was not handled; more are refused with ErrBusy. 0 means 4096.
	MaxPayments int
	// MaxOpenings of channels with one peer at a time. 0 means 4.
	MaxOpenings int
	// MaxUnfunded channels that a peer funds and whose funding transaction is in no block, with one peer. They cost the peer nothing. Of all peers
	// together there may be 64 times as many. 0 means 16.
	MaxUnfunded int
	// CheckOpen looks at the terms of a peer's open_channel before it gets a key index. Nil: all are acceptable.
	CheckOpen func(*lnwire.OpenChannel) error
	// DecodeClosed reads a row of messages.BucketClosed, which is the monitors'. Without it archived channels are not reported.
	DecodeClosed func(messages.Row) (messages.ClosedChannel, error)
	// Forwarding is the policy of channels that have none of their own. Zero fields have facts' defaults.
	Forwarding facts.Policy
	// Intercept asks the actor at messages.InterceptorAddr about every HTLC that is to be forwarded.
	Intercept bool
	// Graph says that there is an actor at messages.GraphAddr that finds routes. Without it payments reach peers, and payees with route hints.
	Graph bool
	// MinPartMsat is the least that a payment is split into. 0: what package route has.
	MinPartMsat uint64
	// Alarm is told of money of a channel that is lost or may be, beside the log. Nil: the actor's environment is.
	Alarm func(channel ln.ChannelID, what, about string)
	// MaxUnhandled user events. Beyond, payments are refused with ErrBusy, and payments to us and to be forwarded fail with temporary_node_failure. 0 means
	// 16384.
	MaxUnhandled int
}

// HoldDeadline is how many blocks before its expiry a held payment is failed.
const HoldDeadline = 24

// expirySlack is added to the expiry that the payee asks for: blocks may arrive while the payment is on its way.
const expirySlack = 3

// Effects is what a step asks for: Tell goes out at once, each Append makes something durable first.
type Effects struct {
	Tell    []messages.Delivery
	Appends []Append
	Wake    time.Time // when messages.Wake is wanted, the newest wish counts; zero: as asked before
}

// Append is a durable step: Records and Rows are written as a whole, then Then is delivered (rule 1 of package actors). One without records and
// rows is delivered behind all that was written before.
type Append struct {
	Records []Record
	Rows    []messages.Row
	Then    []messages.Delivery
}

// Manager is the state of one incarnation. It is not safe for concurrent use.
type Manager struct {
	cfg Config
	log *slog.Logger
	inc uint64
	now time.Time // of the current step
	out Effects

	height uint32
	tipped bool // height is known
	fence  uint64

	listed   bool
	settled  bool
	channels map[ln.ChannelID]*channel
	waiting  int                          // channels that are neither reported nor quarantined
	byPeer   map[ln.NodeID][]ln.ChannelID // open channels, by id
	ready    []messages.Addr              // who waits for settled
	later    []func()                     // what waits for settled
	requests []func()                     // and behind it, what was asked for meanwhile
	parked   int                          // requests that wait for settled or for a channel
	ahead    map[ln.EventID]peeled        // of the events that are being taken in
	stuck    []func()                     // what failed for a reason that may pass: tried again with every block
	closed   map[ln.ChannelID]bool        // ChannelClosed was handled, ChannelResolved was not
	archived map[ln.ChannelID]bool        // said so to this incarnation: a list that is on its way may still name them
	openings map[ln.NodeID]map[ln.ChannelID]opening
	unfunded map[ln.NodeID]int // by peers, see MaxUnfunded
	begging  int               // all of them

	payments map[ln.PaymentID]*payment          // not handled yet
	attempts map[ln.ChannelID]map[partKey]*part // asked for, not known to be committed
	starting map[ln.PaymentID]*payment          // looked up and searched for, not started yet
	touched  []*payment                         // to be advanced at the end of the step
	loads    int                                // payments that are being looked up for a monitor's report

	self       ln.NodeID
	searches   map[uint64]*payment // by the number of the question to the graph
	lastSearch uint64
	finder     *route.Finder // for what needs no graph
	noGraph    *graph.Graph

	inbound  map[ln.EventID]*inbound
	byHTLC   map[htlcKey]ln.EventID
	sets     map[ln.Hash]*set                 // payments to us, one a hash
	setOf    map[ln.ChannelID]map[uint64]*set // their parts by channel and HTLC, of those that are held or claimed
	dirty    []*set                           // to be looked at when the step is over
	withheld int                              // channels that do not tell of all their inbound HTLCs yet

	forwards     map[ln.ChannelID]map[uint64]*forward  // by inbound channel and HTLC
	asked        map[ln.ChannelID]map[htlcKey]*forward // by outbound channel: asked for, not known to be committed
	unknown      map[htlcKey]*forward                  // wait for quarantined channels
	homing       map[ln.NodeID]map[htlcKey]*forward    // wait for the next node to come back
	quarantined  int                                   // channels
	doubtful     int                                   // channels whose facts may be old
	replaying    bool                                  // taking in what happened before this incarnation
	byScid       map[uint64]ln.ChannelID               // and by alias
	updates      map[ln.ChannelID]map[uint64][]byte    // our newest channel_update by short channel id or alias
	askedUpdates bool                                  // for all of them
	preimages    map[ln.Hash]revealed                  // of forwards

	sweeps map[ln.EventID][]facts.SpendableOutput // handed to the wallet, not irrevocably spent

	open     map[ln.EventID]bool // emitted to us, not acknowledged by us
	users    map[string]*userEvent
	lastUser uint64
	laden    bool // that too many of them wait was logged

	timers  timers
	heights alarms[uint32]

	lookups   map[uint64]func(rows []messages.Row, err error)
	lastToken uint64

	nextKey uint32 // up to endKey: none is left
	keyed   bool
	wanted  []func()                   // openings that wait for keyed
	opened  map[ln.NodeID]graph.Bucket // open_channel that got a key index, see mayOpen
	begun   graph.Bucket               // of strangers together
}

// channel is what the manager knows of a monitor.
type channel struct {
	fence       uint64
	reported    bool // on that fence
	known       bool // reported to this incarnation before, all that it holds
	withheld    bool // it has inbound HTLCs that it does not tell of yet
	quarantined bool
	dead        uint64 // incarnations of the monitor before this one are over
	down        bool   // the channel said that it can take no HTLC now
	summary     messages.ChannelSummary
	asked       uint64       // msat in HTLCs that were asked for since the summary
	later       []func()     // payments and forwards that wait for the report
	places      [2]uint64    // in byScid
	oldPolicy   facts.Policy // before the newest
	policyAt    time.Time    // when that was learned
	doubtful    bool         // restored from a copy that may be old
	before      uint64       // inbound HTLCs below this id are from before this incarnation
}

type htlcKey struct {
	channel ln.ChannelID
	id      uint64
}

// New starts an incarnation from what Load brought.
func New(cfg Config, log *slog.Logger, incarnation uint64, state State) *Manager {
	if cfg.MaxPayments == 0 {
		cfg.MaxPayments = 4096
	}
	if cfg.MaxOpenings == 0 {
		cfg.MaxOpenings = 4
	}
	if cfg.MaxUnfunded == 0 {
		cfg.MaxUnfunded = 16
	}
	if cfg.MaxUnhandled == 0 {
		cfg.MaxUnhandled = 16384
	}
	cfg.Forwarding = forwarding(cfg.Forwarding)
	m := &Manager{
		cfg: cfg, log: log, inc: incarnation, fence: incarnation << 32,
		channels: map[ln.ChannelID]*channel{}, byPeer: map[ln.NodeID][]ln.ChannelID{}, closed: map[ln.ChannelID]bool{},
		archived: map[ln.ChannelID]bool{}, sweeps: map[ln.EventID][]facts.SpendableOutput{},
		openings: map[ln.NodeID]map[ln.ChannelID]opening{}, unfunded: map[ln.NodeID]int{}, opened: map[ln.NodeID]graph.Bucket{},
		payments: map[ln.PaymentID]*payment{}, attempts: map[ln.ChannelID]map[partKey]*part{}, starting: map[ln.PaymentID]*payment{},
		searches: map[uint64]*payment{}, finder: &route.Finder{}, noGraph: graph.New(graph.Limits{}),
		inbound: map[ln.EventID]*inbound{}, byHTLC: map[htlcKey]ln.EventID{}, sets: map[ln.Hash]*set{}, setOf: map[ln.ChannelID]map[uint64]*set{},
		forwards: map[ln.ChannelID]map[uint64]*forward{}, asked: map[ln.ChannelID]map[htlcKey]*forward{},
		byScid: map[uint64]ln.ChannelID{}, updates: map[ln.ChannelID]map[uint64][]byte{}, preimages: map[ln.Hash]revealed{},
		unknown: map[htlcKey]*forward{}, homing: map[ln.NodeID]map[htlcKey]*forward{},
		open: map[ln.EventID]bool{}, users: map[string]*userEvent{}, timers: newTimers(), heights: newHeights(),
		lookups: map[uint64]func([]messages.Row, error){},
	}
	copy(m.self[:], cfg.NodeKey.PubKey().SerializeCompressed())
	for id := range state.Closed {
		m.closed[id] = true
	}
	for _, r := range state.Payments {
		m.restore(r)
	}
	return m
}

// Start asks for everything that an incarnation needs.
func (m *Manager) Start() Effects {
	m.tell(messages.EventsAddr, messages.UserEvents{Incarnation: m.inc})
	m.tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: m.inc})
	m.tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.ManagerAddr})
	m.lookup(messages.GetRows{Bucket: messages.BucketKeys, Last: true}, m.onKeys)
	for _, p := range m.sortedPayments() {
		if p.rec.Outcome != nil {
			m.queueOutcome(p)
		}
	}
	return m.take()
}

// State is everything durable in the log, for a snapshot.
func (m *Manager) State() State {
	s := newState()
	for id, p := range m.payments {
		if p.durable {
			s.Payments[id] = p.snapshot()
		}
	}
	for id := range m.closed {
		s.Closed[id] = true
	}
	return s
}

// Pending is about the number of payments in State.
func (m *Manager) Pending() int { return len(m.payments) }

// Step handles one message. now is the time of the step.
func (m *Manager) Step(msg any, now time.Time) Effects {
	m.now = now
	switch msg := msg.(type) {
	case messages.MonitorList:
		m.onList(msg)
	case messages.MonitorHello:
		m.onHello(msg)
	case messages.MonitorQuarantined:
		m.onQuarantined(msg)
	case messages.MonitorReport:
		m.onReport(msg)
	case messages.EmitEvents:
		m.onEmit(msg)
	case messages.ChannelChanged:
		m.onSummary(msg.Summary)
		m.knownAgain()
	case messages.ChannelLink:
		m.onLink(msg)
	case messages.NotCommitted:
		m.onNotCommitted(msg)
	case messages.InboundDecided:
		m.onDecided(msg)
	case messages.InboundResolved:
		m.onInboundResolved(msg)
	case messages.OutputsSwept:
		m.swept(ln.EventID{Channel: msg.Channel, Seq: msg.Seq})
	case messages.ChannelArchived:
		m.onArchived(msg.Channel)
	case messages.GotRows:
		m.onRows(msg)
	case messages.ChainTip:
		m.onTip(msg)
	case messages.OpeningEnded:
		m.onOpeningEnded(msg)
	case messages.UserEventHandled:
		m.onHandled(msg.ID)
	case messages.Wake:
		m.timers.asked = time.Time{}
	case messages.RoutesFound:
		m.onRoutes(msg)
	case messages.HTLCCommitted:
		m.onHTLCCommitted(msg)
	case messages.MayArchive:
		m.onMayArchive(msg)
	case messages.OwnUpdate:
		m.onOwnUpdate(msg)
	case messages.ExplainPayment:
		m.explain(msg)
	default:
		m.restarted(msg)
		m.request(msg)
	}
	m.runTimers()
	m.progressSets()
	m.advanceTouched()
	return m.take()
}

// restarted: a neighbour lost what it held in memory, so it is told again.
func (m *Manager) restarted(msg any) {
	switch msg.(type) {
	case messages.ChainStarted:
		m.tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.ManagerAddr})
	case messages.MonitorsStarted:
		if !m.listed {
			m.tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: m.inc})
		}
		m.openingsLost()
	case messages.EventsStarted:
		m.retell()
	case messages.FundsStarted:
		m.resweep()
	case messages.InterceptorStarted:
		m.interceptorRestarted()
	case messages.GraphStarted:
		m.graphStarted()
	}
}

func (m *Manager) take() Effects {
	m.out.Wake = m.timers.ask()
	out := m.out
	m.out = Effects{}
	return out
}

func (m *Manager) tell(to messages.Addr, msg any) {
	if to != "" {
		m.out.Tell = append(m.out.Tell, messages.Delivery{To: to, Msg: msg})
	}
}

func (m *Manager) write(a Append) { m.out.Appends = append(m.out.Appends, a) }

// lookup reads rows and goes on with what was found. The persister answers behind all that was written before.
func (m *Manager) lookup(q messages.GetRows, then func([]messages.Row, error)) {
	m.lastToken++
	q.Incarnation, q.Token, q.ReplyTo = m.inc, m.lastToken, messages.ManagerAddr
	m.lookups[m.lastToken] = then
	m.tell(messages.PersisterAddr, q)
}

func (m *Manager) onRows(msg messages.GotRows) {
	then := m.lookups[msg.Token]
	if msg.Incarnation != m.inc || then == nil {
		return // asked by a dead incarnation (rule 4 of package actors)
	}
	delete(m.lookups, msg.Token)
	then(msg.Rows, msg.Err)
}

// ack tells the monitor that the effects of these events are durable, now.
func (m *Manager) ack(ids ...ln.EventID) {
	for _, d := range m.acks(ids) {
		m.tell(d.To, d.Msg)
	}
}

// ackBehind is ack for an effect that may still be on its way to the disk.
func (m *Manager) ackBehind(ids ...ln.EventID) { m.write(Append{Then: m.acks(ids)}) }

// acks makes the messages for ack, one a channel, for events in the order given.
func (m *Manager) acks(ids []ln.EventID) []messages.Delivery {
	var out []messages.Delivery
	at := map[ln.ChannelID]int{}
	for _, id := range ids {
		delete(m.open, id)
		i, ok := at[id.Channel]
		if !ok {
			i = len(out)
			at[id.Channel] = i
			out = append(out, messages.Delivery{To: messages.MonitorAddr(id.Channel), Msg: messages.AckMonitorEvent{Channel: id.Channel}})
		}
		a := out[i].Msg.(messages.AckMonitorEvent) //nolint:forcetypeassert // made above
		a.Seqs = append(a.Seqs, id.Seq)
		out[i].Msg = a
	}
	return out
}
