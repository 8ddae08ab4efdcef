package manager

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/cockroachdb/datadriven"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// The network of the scripts: this node, its peer, mid behind it, and far behind both.
var (
	farKey = privKey("far")
	midKey = privKey("mid")
	farID  = ln.NodeID(farKey.PubKey().SerializeCompressed())
	midID  = ln.NodeID(midKey.PubKey().SerializeCompressed())
	selfID = ln.NodeID(nodeKey.PubKey().SerializeCompressed())
	keysOf = map[ln.NodeID]*btcec.PrivateKey{peerID: peerKey, midID: midKey, farID: farKey}
)

// pay reads: pay PAYMENT [to=far] [amount=] [delta=] [mpp] [max-fee=] [max-parts=] [seconds=] [keysend] [hint]. Without seconds nothing is tried
// twice; with seconds=0 it is up to the manager for how long.
func (s *script) pay(d *datadriven.TestData) messages.Pay {
	n := first(d, 0)
	p := messages.Pay{
		PaymentID: paymentID(n), Hash: hashOf(n), AmountMsat: number(d, "amount", 1000), Payee: peerID, ReplyTo: "api",
		MinFinalCLTVDelta: uint32(number(d, "delta", 18)), MPP: d.HasArg("mpp"), MaxFeeMsat: number(d, "max-fee", 0), MaxParts: int(number(d, "max-parts", 0)),
		Deadline: s.now,
	}
	if d.HasArg("seconds") {
		p.Deadline = time.Time{}
		if n := number(d, "seconds", 0); n > 0 {
			p.Deadline = s.now.Add(time.Duration(n) * time.Second)
		}
	}
	if d.HasArg("to") {
		p.Payee = farID
	}
	if d.HasArg("keysend") {
		pre := preimageOf(n)
		p.Keysend = &pre
	}
	if d.HasArg("hint") {
		p.Hints = [][]route.Hint{{{Node: peerID, SCID: 70, BaseMsat: 7, CLTVDelta: 40}}}
	}
	return p
}

// part is a part of a payment as it was asked for; one that no script asked for is over one hop.
func (s *script) part(n string, id uint64) messages.AddHTLC {
	if a, ok := s.sent[fmt.Sprintf("%s/%d", n, id)]; ok {
		return a
	}
	src := source(n)
	src.Payment.PartID = id
	packet := must(onion.Build(privKeyOf(src.Payment.SessionKey), []onion.Hop{{
		PubKey: peerKey.PubKey(), AmountMsat: 1000, CLTVExpiry: 1, PaymentSecret: [32]byte{1}, TotalMsat: 1000,
	}}, hashOf(n)))
	return messages.AddHTLC{AmountMsat: 1000, Hash: hashOf(n), Onion: packet[:], Source: src}
}

// addOf is the HTLC that a line of a report means: a part, or a forward.
func (s *script) addOf(n string, opts map[string]string) messages.AddHTLC {
	add := s.part(n, optional(opts, "part", 0))
	if src := sourceOf(n, opts); src.Forward != nil {
		add.AmountMsat, add.Source = 1000, src
	}
	return add
}

// peel opens the onion of a part at each hop.
func peel(a messages.AddHTLC) (payloads []*onion.Payload, secrets []onion.SharedSecret) {
	packet := [onion.PacketSize]byte(a.Onion)
	for _, n := range a.Source.Payment.Path {
		p := must(onion.Process(onion.KeyOf(keysOf[n]), packet, a.Hash))
		payloads, secrets, packet = append(payloads, p.Payload), append(secrets, p.Secret), p.Next
	}
	return payloads, secrets
}

var failures = map[string]lnwire.FailureMessage{
	"": lnwire.NewFailIncorrectDetails(1000, startHeight), "temporary": lnwire.NewTemporaryChannelFailure(nil), "mpp-timeout": &lnwire.FailMPPTimeout{},
	"node": &lnwire.FailTemporaryNodeFailure{}, "unknown-next": &lnwire.FailUnknownNextPeer{},
	"fee": lnwire.NewFeeInsufficient(1000, lnwire.ChannelUpdate1{ShortChannelID: lnwire.NewShortChanIDFromInt(70)}),
}

// failure is what comes back when the hop with this number failed a part.
func (s *script) failure(a messages.AddHTLC, kind string, hop int) []byte {
	_, secrets := peel(a)
	reason := must(onion.EncryptFailure(secrets[hop], failures[kind]))
	for _, secret := range slices.Backward(secrets[:hop]) {
		reason = must(onion.Wrap(secret, reason))
	}
	return reason
}

// routing are the commands around the graph:
//
//	routes ID [ms=] [err=no-path|fee]                  ms after what was before, and before what is due by then
//	CHANNEL amount=AMOUNT fee=FEE [via=SCID,...]     one line a route: over the peer, by as many channels as there are
//	graph-started
//	abandon PAYMENT
//	parts PAYMENT
func (s *script) routing(d *datadriven.TestData) error {
	switch d.Cmd {
	case "routes":
		msg := messages.RoutesFound{ID: num(first(d, 0))}
		s.now = s.now.Add(time.Duration(number(d, "ms", 0)) * time.Millisecond)
		switch {
		case strings.Contains(d.CmdArgs[len(d.CmdArgs)-1].String(), "no-path"):
			msg.Err = route.ErrNoPath
		case strings.Contains(d.CmdArgs[len(d.CmdArgs)-1].String(), "fee"):
			msg.Err = &route.LimitError{FeeMsat: 99, Delay: 9, Hops: 2}
		}
		for line := range strings.Lines(d.Input) {
			msg.Routes = append(msg.Routes, s.route(strings.Fields(line)))
		}
		s.step(msg)
	case "graph-started":
		s.step(messages.GraphStarted{})
	case "abandon":
		s.step(messages.AbandonPayment{PaymentID: paymentID(first(d, 0)), ReplyTo: "api"})
	case "parts":
		id := paymentID(first(d, 0))
		var info messages.PaymentInfo
		if p := s.m.payments[id]; p != nil {
			info = s.m.info(p)
		} else if got := s.disk.get(messages.GetRows{Bucket: messages.BucketPayments, Key: id[:]}); len(got.Rows) == 1 {
			info = finished(must(decodePayment(got.Rows[0].Value)))
		}
		for _, p := range info.Parts {
			s.printf("%d %s amount=%d fee=%d %s %s", p.ID, p.Channel, p.AmountMsat, p.FeeMsat, p.State, p.Reason)
		}
	default:
		return fmt.Errorf("no command %s", d.Cmd)
	}
	return nil
}

func (s *script) route(f []string) route.Route {
	opts := map[string]string{}
	for _, w := range f[1:] {
		k, v, _ := strings.Cut(w, "=")
		opts[k] = v
	}
	c := s.m.channels[channelID(f[0])]
	amount, fee := num(opts["amount"]), optional(opts, "fee", 0)
	r := route.Route{Channel: channelID(f[0]), FeeMsat: fee}
	via := strings.Split(opts["via"], ",")
	nodes := []ln.NodeID{selfID, peerID, midID}[:1+len(via)]
	nodes = append(nodes, farID)
	expiry := s.height + 21 + 40*uint32(len(via))
	for i := range len(nodes) - 1 {
		h := route.Hop{SCID: localSCID(&c.summary), From: nodes[i], To: nodes[i+1], AmountMsat: amount, Expiry: expiry - 40*uint32(i)}
		if i == 0 {
			h.AmountMsat += fee
		} else {
			h.SCID = num(via[i-1])
		}
		r.Hops = append(r.Hops, h)
	}
	return r
}

func (s *script) describePart(m messages.AddHTLC) string {
	src := m.Source.Payment
	part := ""
	if src.PartID > 0 {
		part = fmt.Sprintf("/%d", src.PartID)
	}
	out := fmt.Sprintf("AddHTLC %s%s fence=%d amount=%d expiry=%d", src.PaymentID, part, m.Fence&0xffffffff, m.AmountMsat, m.CLTVExpiry)
	if len(src.Path) == 1 && src.TotalMsat == m.AmountMsat {
		return out
	}
	payloads, _ := peel(m)
	for i, p := range payloads {
		if p.Final {
			out += fmt.Sprintf(" %s(%d of %d, %d)", src.Path[i], p.AmountMsat, p.TotalMsat, p.CLTVExpiry)
		} else {
			out += fmt.Sprintf(" %s(%d, %d over %d)", src.Path[i], p.AmountMsat, p.CLTVExpiry, p.NextSCID)
		}
	}
	return out
}

func (s *script) describeSearch(m messages.FindRoutes) string {
	r := &m.Request
	var limits []string
	for e, most := range r.MostMsat {
		limits = append(limits, fmt.Sprintf("%s %d<=%d", e.From, e.SCID%1000, most))
	}
	for e, less := range r.LessMsat {
		limits = append(limits, fmt.Sprintf("%s %d-=%d", e.From, e.SCID%1000, less))
	}
	slices.Sort(limits)
	return strings.TrimSpace(fmt.Sprintf("FindRoutes %d %d to %s fee<=%d parts<=%d over %d %s",
		m.ID, r.AmountMsat, r.Target, r.MaxFeeMsat, r.MaxParts, len(r.Local), strings.Join(limits, ", ")))
}

func (s *script) describeOutcome(m messages.RouteOutcome) string {
	out := "RouteOutcome"
	for _, h := range m.Passed {
		out += fmt.Sprintf(" passed=%d", h.SCID)
	}
	if m.Failed != nil {
		out += fmt.Sprintf(" failed=%d", m.Failed.SCID)
	}
	if m.FailedNode != nil {
		out += fmt.Sprintf(" node=%s", m.FailedNode)
	}
	if m.Update != nil {
		out += fmt.Sprintf(" update=%d", m.Update.ShortChannelID.ToUint64())
	}
	return out
}
