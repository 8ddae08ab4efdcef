package manager

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestScripts runs testdata/*.txt: one manager, a disk that takes everything at once unless paused, and monitors that the script plays. Each command
// prints what left the manager, in order. Rewrite the expectations with -rewrite.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{disk: newDisk(), cfg: testConfig(), now: epoch, height: startHeight, sent: map[string]messages.AddHTLC{}, claims: map[htlcKey]facts.Resolution{}}
		s.names()
		s.cfg.Alarm = func(id ln.ChannelID, what, about string) {
			fmt.Fprintf(&s.out, "alarm %s, %.13s: %s\n", id, about, what) // payment_id=p1
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return s.run(t, d)
		})
	})
}

type script struct {
	disk   *disk
	cfg    Config
	inc    uint64
	m      *Manager
	now    time.Time
	height uint32
	fence  map[string]uint64

	paused  bool
	mailbox []any // of the persister, while paused
	out     strings.Builder
	replace *strings.Replacer
	sent    map[string]messages.AddHTLC // parts of our payments, as p1/0
	payers  []string                    // session keys of payments to us, or through us
	target  string                      // channel that the report is of
	claims  map[htlcKey]facts.Resolution
	next    []byte // page of what was received
	more    []byte // page of payments
}

const (
	channelNames = 4
	paymentNames = 6
)

func (s *script) names() {
	var pairs []string
	for i := range channelNames {
		n := fmt.Sprintf("c%d", i+1)
		pairs = append(pairs, channelID(n).String(), n)
	}
	for i := range paymentNames {
		n := fmt.Sprintf("p%d", i+1)
		pairs = append(pairs, paymentID(n).String(), n, preimageOf(n).String(), "preimage("+n+")")
	}
	for _, n := range sortedNames(scriptInvoices) {
		pairs = append(pairs, invoiceOf(n).Hash.String(), n)
	}
	pairs = append(pairs, hashOf("k1").String(), "k1")
	pairs = append(pairs, peerID.String(), "peer", farID.String(), "far", midID.String(), "mid")
	s.replace = strings.NewReplacer(pairs...)
}

func channelID(n string) ln.ChannelID { return id32[ln.ChannelID]("channel " + n) }
func paymentID(n string) ln.PaymentID { return id32[ln.PaymentID]("payment " + n) }
func preimageOf(n string) ln.Preimage { return id32[ln.Preimage]("preimage " + n) }
func hashOf(n string) ln.Hash         { p := preimageOf(n); return sha256.Sum256(p[:]) }

// source is that of a part that no script asked for.
func source(n string) ln.Source {
	return ln.Source{Payment: &ln.PaymentSource{
		PaymentID: paymentID(n), SessionKey: deriver{}.Derive(fmt.Sprintf("lnactor/session/%s/%d/%d", paymentID(n), 0, epoch.UnixNano())), Path: []ln.NodeID{peerID}, TotalMsat: 1000,
	}}
}

var scriptInvoices = map[string]testInvoice{
	"inv-a": newInvoice("inv-a", 1000), "inv-b": newInvoice("inv-b", 2000), "inv-mpp": newInvoiceOf("inv-mpp", 2000, true), "inv-any": newInvoiceOf("inv-any", 0, true),
	"inv-hold": newInvoiceOf("inv-hold", 1000, true), "inv-theirs": newInvoiceOf("inv-theirs", 1000, true),
}

func sortedNames(m map[string]testInvoice) []string { return slices.Sorted(maps.Keys(m)) }

func invoiceOf(n string) testInvoice { return scriptInvoices[n] }

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.out.Reset()
	if err := s.command(t, d); err != nil {
		d.Fatalf(t, "%v", err)
	}
	if s.out.Len() == 0 {
		return "nothing\n"
	}
	return s.replace.Replace(s.out.String())
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func first(d *datadriven.TestData, i int) string {
	if i < len(d.CmdArgs) {
		return d.CmdArgs[i].Key
	}
	return ""
}

func second(d *datadriven.TestData) string { return first(d, 1) }

func number(d *datadriven.TestData, key string, or uint64) uint64 {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return must(strconv.ParseUint(a.Vals[0], 10, 64))
		}
	}
	return or
}

func (s *script) command(t *testing.T, d *datadriven.TestData) error {
	t.Helper()
	id := channelID(first(d, 0))
	switch d.Cmd {
	case "start":
		s.cfg.ManualClaim = d.HasArg("manual")
		s.cfg.Intercept = d.HasArg("intercept")
		s.cfg.AcceptKeysend = d.HasArg("keysend")
		s.cfg.Graph = d.HasArg("graph")
		s.cfg.MinPartMsat = 100
		s.cfg.MaxPayments = int(number(d, "max-payments", 0))
		s.cfg.MaxUnhandled = int(number(d, "max-unhandled", 0))
		s.cfg.MaxOpenings = int(number(d, "max-openings", 0))
		s.cfg.MaxUnfunded = int(number(d, "max-unfunded", 0))
		s.start()
	case "restart":
		s.mailbox, s.paused = nil, false
		if d.HasArg("lost") {
			s.disk.rollback(-1)
		} else if n := number(d, "back", 0); n > 0 {
			s.disk.rollback(len(s.disk.past) - 1 - int(n))
		}
		s.start()
	case "settle": // all that a start needs, with channels that have nothing to report
		s.step(messages.ChainTip{Height: s.height})
		s.list(d)
		for _, c := range d.CmdArgs {
			s.step(s.report(t, c.Key, 0, ""))
		}
	case "tip":
		s.height = uint32(number(d, "height", uint64(s.height)))
		s.step(messages.ChainTip{Height: s.height})
	case "time":
		s.now = s.now.Add(time.Duration(number(d, "minutes", 0))*time.Minute + time.Duration(number(d, "seconds", 0))*time.Second + time.Duration(number(d, "ms", 0))*time.Millisecond)
		s.step(messages.Wake{At: s.now})
	case "late": // the time comes, and what it should wake is behind what comes next
		s.now = s.now.Add(time.Duration(number(d, "seconds", 0)) * time.Second)
	case "list":
		s.list(d)
	case "hello":
		s.step(messages.MonitorHello{Channel: id, Incarnation: number(d, "inc", 0)})
	case "quarantine":
		s.step(messages.MonitorQuarantined{Channel: id, Why: "test", Incarnation: number(d, "inc", 0)})
	case "report":
		s.step(s.report(t, first(d, 0), number(d, "fence", 0), d.Input))
	case "emit":
		r := s.report(t, first(d, 0), number(d, "fence", 0), d.Input)
		s.step(messages.EmitEvents{Channel: id, Fence: r.Fence, Events: r.Events})
	case "changed":
		s.step(messages.ChannelChanged{Summary: messages.ChannelSummary{Channel: id, Peer: peerID, Phase: messages.PhaseOpen, HolderMsat: number(d, "msat", 0)}})
	case "pause":
		s.paused = true
	case "resume":
		s.paused = false
		for len(s.mailbox) > 0 {
			msg := s.mailbox[0]
			s.mailbox = s.mailbox[1:]
			s.persist(msg)
		}
	case "outcome": // the row of a monitor
		var p *ln.Preimage
		if n := first(d, 1); d.HasArg("claimed") {
			pre := preimageOf(n)
			p = &pre
		}
		s.disk.put(outcomeRow(id, 0, paymentID(first(d, 1)), hashOf(first(d, 1)), 1000, p))
	case "archived":
		s.step(messages.ChannelArchived{Channel: id})
	case "closed-row":
		s.disk.put(closedRow(id, number(d, "swept", 0)))
	case "archive": // the row of a monitor, and what it says
		row := closedRow(id, number(d, "swept", 0))
		if d.HasArg("bad") {
			row.Value = []byte{1}
		}
		s.disk.put(row)
		s.step(messages.ChannelArchived{Channel: id})
	case "swept":
		s.step(messages.OutputsSwept{Channel: id, Seq: number(d, "seq", 0)})
	case "resolved":
		s.step(messages.InboundResolved{Channel: id, HTLCID: number(d, "htlc", 0), Fulfilled: d.HasArg("paid")})
	case "funds-started":
		s.step(messages.FundsStarted{})
	case "closed-channels":
		s.step(messages.ListClosed{Limit: int(number(d, "limit", 0)), ReplyTo: "api"})
	case "more-closed": // the next page
		s.step(messages.ListClosed{After: s.more, Limit: int(number(d, "limit", 0)), ReplyTo: "api"})
	case "chain-started":
		s.step(messages.ChainStarted{})
	case "monitors-started":
		s.step(messages.MonitorsStarted{})
	case "events-started":
		s.step(messages.EventsStarted{})
	case "handled":
		s.step(messages.UserEventHandled{ID: s.event(first(d, 0))})
	default:
		if s.forwardCommand(t, d) {
			return nil
		}
		return s.request(d)
	}
	return nil
}

func (s *script) request(d *datadriven.TestData) error {
	id, n := channelID(first(d, 0)), first(d, 0)
	switch d.Cmd {
	case "pay":
		s.step(s.pay(d))
	case "get":
		s.step(messages.GetPayment{PaymentID: paymentID(n), ReplyTo: "api"})
	case "payments":
		s.step(messages.ListPayments{Limit: int(number(d, "limit", 0)), ReplyTo: "api"})
	case "more-payments": // the next page
		s.step(messages.ListPayments{After: s.more, Limit: int(number(d, "limit", 0)), ReplyTo: "api"})
	case "channels":
		s.step(messages.ListChannels{ReplyTo: "api"})
	case "await":
		s.step(messages.AwaitReady{ReplyTo: "api"})
	case "not-committed":
		n = first(d, 1)
		s.step(messages.NotCommitted{
			Channel: id, Fence: s.inc<<32 + number(d, "fence", s.m.channels[id].fence&0xffffffff), Source: s.part(n, number(d, "part", 0)).Source, Down: d.HasArg("down"), Why: errors.New("peer away"),
		})
	case "decided":
		msg := messages.InboundDecided{Channel: id, HTLCID: number(d, "htlc", 0), Gone: d.HasArg("gone")}
		if d.HasArg("fulfilled") {
			msg.Resolution = s.fulfilled(id, msg.HTLCID, "inv-a", "")
		} else if d.HasArg("failed") {
			msg.Resolution = &facts.Resolution{Reason: []byte{1}}
		}
		s.step(msg)
	case "claim", "refuse":
		msg := messages.ClaimHeld{Hash: invoiceOf(n).Hash, Claim: d.Cmd == "claim", ReplyTo: "api"}
		if of := second(d); of != "" {
			p := preimageOf(of)
			msg.Preimage = &p
		}
		s.step(msg)
	case "cancel":
		s.step(messages.CancelInvoice{Hash: invoiceOf(n).Hash, ReplyTo: "api"})
	case "received":
		s.step(messages.GetReceived{Hash: invoiceOf(n).Hash, ReplyTo: "api"})
	case "explain":
		hash := invoiceOf(n).Hash
		s.step(messages.ExplainPayment{Hash: &hash, ReplyTo: "api"})
	case "listing": // the next page
		s.step(messages.ListReceived{Limit: int(number(d, "limit", 0)), After: s.next, ReplyTo: "api"})
	case "open":
		s.step(messages.RequestOpen{Peer: peerID, CapacitySat: 1000, ReplyTo: "api"})
	case "inbound-open":
		s.step(messages.InboundOpen{Peer: peerID, Session: 3, Msg: &lnwire.OpenChannel{PendingChannelID: id32[[32]byte](n)}})
	case "opening-ended":
		s.step(messages.OpeningEnded{Peer: peerID, TemporaryID: id32[ln.ChannelID](n)})
	default:
		return s.routing(d)
	}
	return nil
}

func (s *script) start() {
	s.inc++
	s.fence = map[string]uint64{}
	s.m = New(s.cfg, quiet, s.inc, s.disk.state())
	s.effects(s.m.Start())
}

func (s *script) list(d *datadriven.TestData) {
	msg := messages.MonitorList{ManagerIncarnation: s.inc, Incarnation: number(d, "inc", 0)}
	for _, a := range d.CmdArgs {
		if a.Key == "quarantined" {
			for _, v := range a.Vals {
				msg.Quarantined = append(msg.Quarantined, channelID(v))
			}
			continue
		}
		if a.Key == "inc" {
			continue
		}
		msg.Channels = append(msg.Channels, channelID(a.Key))
	}
	s.step(msg)
}

// event turns "payment-sent/p1" into the event's id.
func (s *script) event(text string) string {
	parts := strings.Split(text, "/")
	switch parts[1][0] {
	case 'p':
		parts[1] = paymentID(parts[1]).String()
	case 'c':
		parts[1] = channelID(parts[1]).String()
	}
	id, set := strings.CutSuffix(strings.Join(parts, "/"), "+") // of a set: the digest of its parts is left out
	for known := range s.m.users {
		if set && strings.HasPrefix(known, id+"/") {
			return known
		}
	}
	return id
}

func (s *script) step(msg any) { s.effects(s.m.Step(msg, s.now)) }

func (s *script) effects(e Effects) {
	for i, a := range e.Appends {
		s.mail(scriptAppend{a, i == len(e.Appends)-1})
	}
	for _, d := range e.Tell {
		if d.To == messages.PersisterAddr {
			s.mail(d.Msg)
			continue
		}
		s.deliver("", d)
	}
}

type scriptAppend struct {
	Append
	last bool
}

func (s *script) mail(msg any) {
	if s.paused {
		s.mailbox = append(s.mailbox, msg)
		return
	}
	s.persist(msg)
}

func (s *script) persist(msg any) {
	switch m := msg.(type) {
	case messages.GetRows:
		s.step(s.disk.get(m))
	case scriptAppend:
		for _, r := range m.Records {
			s.printf("record %s", strings.TrimPrefix(fmt.Sprintf("%T", r), "manager."))
		}
		for _, r := range m.Rows {
			if r.Bucket == messages.BucketReceived {
				continue // always with the row of the invoice, see paired
			}
			what := "row"
			if r.Value == nil {
				what = "delete row"
			}
			s.printf("%s %s", what, r.Bucket)
		}
		s.disk.write(s.m, m.last, m.Append)
		for _, d := range m.Then {
			s.deliver("then ", d)
		}
	}
}

func (s *script) deliver(prefix string, d messages.Delivery) {
	for _, line := range s.describe(d.Msg) {
		s.printf("%s%s <- %s", prefix, d.To, line)
	}
	if c, ok := d.Msg.(messages.DecideHTLC); ok && c.Resolution.Fulfilled() {
		s.claims[htlcKey{c.Channel, c.HTLCID}] = c.Resolution
	}
	if a, ok := d.Msg.(messages.AddHTLC); ok && a.Source.Payment != nil {
		s.sent[fmt.Sprintf("%s/%d", paymentName(a.Source.Payment.PaymentID), a.Source.Payment.PartID)] = a
	}
}

func paymentName(id ln.PaymentID) string {
	for i := range paymentNames {
		if n := fmt.Sprintf("p%d", i+1); paymentID(n) == id {
			return n
		}
	}
	return id.String()
}
