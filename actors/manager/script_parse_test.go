package manager

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// report reads what a monitor says, one line each:
//
//	own HTLC PAYMENT [preimage] [part=]
//	event SEQ claimed HTLC PAYMENT [part=]
//	event SEQ failed HTLC PAYMENT [unreadable|malformed|timeout|unknown|CODE] [part=] [hop=]
//	event SEQ accepted HTLC INVOICE [wrong-secret|forward|malformed|short|keysend|bad-keysend] [amount=] [expiry=] [total=] [record=TYPE]
//	event SEQ closed [holder|revoked|mutual|unknown]
//	event SEQ force-closed|pending|ready|spendable
//	swept SEQ
//	inbound HTLC INVOICE [fulfilled [parts=c1/0+c2/0]|failed] [gone [paid]]
//	summary [phase=] [msat=] [scid=] [forced] [withheld]
func (s *script) report(t *testing.T, name string, fence uint64, input string) messages.MonitorReport {
	t.Helper()
	id := channelID(name)
	s.target = name
	r := messages.MonitorReport{ManagerIncarnation: s.inc, Channel: id, Summary: messages.ChannelSummary{
		Channel: id, Peer: peerID, Phase: messages.PhaseOpen, HolderMsat: 1_000_000,
	}}
	if fence != 0 {
		r.Fence = s.inc<<32 + fence
	} else if c := s.m.channels[id]; c != nil {
		r.Fence = c.fence
	}
	for line := range strings.Lines(input) {
		f := strings.Fields(line)
		opts := map[string]string{}
		var args []string
		for _, w := range f {
			if k, v, ok := strings.Cut(w, "="); ok {
				opts[k] = v
			} else {
				args = append(args, w)
			}
		}
		has := func(word string) bool { return strings.Contains(line, word) }
		switch args[0] {
		case "own":
			add := s.addOf(args[2], opts)
			h := messages.OwnHTLC{HTLCID: num(args[1]), Hash: hashOf(args[2]), AmountMsat: add.AmountMsat, Source: add.Source}
			if has("preimage") {
				p := preimageOf(args[2])
				h.Preimage = &p
			}
			r.Own = append(r.Own, h)
		case "event":
			r.Events = append(r.Events, facts.Event{Seq: num(args[1]), Kind: s.kind(t, args[2:], opts)})
		case "inbound":
			h := messages.InboundHTLC{HTLCID: num(args[1]), Hash: anyHash(args[2]), AmountMsat: 1000, Resolved: has("gone"), Fulfilled: has("paid")}
			if has("fulfilled") {
				h.Resolution = s.fulfilled(id, h.HTLCID, args[2], opts["parts"])
			} else if has("failed") {
				h.Resolution = &facts.Resolution{Reason: []byte{1}}
			} else if has("given") { // to a forward
				h.Resolution = &facts.Resolution{Preimage: &ln.Preimage{1}, Settled: has("settled")}
			}
			r.Inbound = append(r.Inbound, h)
		case "swept":
			r.Swept = append(r.Swept, num(args[1]))
		case "summary":
			if v := opts["msat"]; v != "" {
				r.Summary.HolderMsat = num(v)
			}
			r.Summary.ShortChannelID = uint64(len(opts["scid"]))
			summaryOpts(&r.Summary, opts)
			r.Withheld = has("withheld")
			if opts["phase"] == "closed" {
				r.Summary.Phase = messages.PhaseClosed
			}
			if has("forced") {
				r.Summary.ForceClose = &facts.ForceClosed{Reason: facts.CloseByHTLCDeadline, Detail: "htlc 1 expires"}
			}
		default:
			t.Fatalf("cannot read %q", line)
		}
	}
	return r
}

func num(s string) uint64 { return must(strconv.ParseUint(s, 10, 64)) }

func (s *script) kind(t *testing.T, args []string, opts map[string]string) facts.EventKind {
	t.Helper()
	option := ""
	if len(args) > 3 {
		option = args[3]
	}
	switch args[0] {
	case "claimed":
		add := s.addOf(args[2], opts)
		return facts.Claimed{HTLCID: num(args[1]), Hash: hashOf(args[2]), Source: add.Source, AmountMsat: add.AmountMsat, Preimage: preimageOf(args[2])}
	case "failed":
		add := s.addOf(args[2], opts)
		k := facts.Failed{HTLCID: num(args[1]), Hash: hashOf(args[2]), Source: add.Source, AmountMsat: add.AmountMsat}
		switch option {
		case "timeout":
			k.Local = facts.OnChainTimeout
		case "unknown":
			k.Local = facts.OutcomeUnknown
		case "expiring":
			k.Local = facts.InboundExpiring
		case "malformed":
			k.Resolution.Malformed = &facts.Malformed{Code: uint16(lnwire.CodeInvalidOnionHmac)}
		case "unreadable":
			k.Resolution.Reason = make([]byte, 292)
		case "downstream":
			k.Resolution.Reason = s.downstream(args[2], opts)
		default:
			k.Resolution.Reason = s.failure(add, option, int(optional(opts, "hop", 0)))
		}
		return k
	case "accepted":
		return s.accepted(args, option, opts)
	case "closed":
		return facts.CommitmentTxConfirmed{Spend: spendOf(args)}
	case "force-closed":
		return facts.HolderForceClosed{Reason: facts.CloseByUser, Detail: "test"}
	case "spendable":
		return facts.SpendableOutputs{Outputs: []facts.SpendableOutput{{ValueSat: 7}}}
	case "pending":
		return facts.ChannelPending{}
	case "ready":
		return facts.ChannelReady{}
	}
	t.Fatalf("no event %q", args[0])
	return nil
}

func spendOf(args []string) facts.SpendKind {
	if len(args) > 1 {
		return map[string]facts.SpendKind{
			"holder": facts.SpendHolder, "revoked": facts.SpendRevoked, "mutual": facts.SpendMutualClose, "unknown": facts.SpendUnknown,
		}[args[1]]
	}
	return facts.SpendCounterparty
}

func (s *script) accepted(args []string, option string, opts map[string]string) facts.EventKind {
	inv := invoiceOf(args[2])
	if option == "onward" {
		return s.onward(args, opts)
	}
	opt := func(key string, or uint64) uint64 {
		if v, ok := opts[key]; ok {
			return num(v)
		}
		return or
	}
	amount := opt("amount", inv.amount)
	expiry := uint32(opt("expiry", uint64(startHeight+60)))
	k := facts.HTLCAccepted{HTLCID: num(args[1]), AmountMsat: amount, Hash: inv.Hash, CLTVExpiry: expiry}
	session := fmt.Sprint(args, opts)
	s.payers = append(s.payers, session)
	switch option {
	case "wrong-secret":
		inv.Secret[0] ^= 1
		k.Onion = inv.pays(amount, opt("total", amount), expiry, session)
	case "forward":
		packet := must(onion.Build(privKey(session), []onion.Hop{
			{PubKey: nodeKey.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, NextSCID: 7},
			{PubKey: peerKey.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, PaymentSecret: [32]byte{1}, TotalMsat: amount},
		}, inv.Hash))
		k.Onion = packet[:]
	case "over-dust":
		k.OverDust = true
		k.Onion = inv.pays(amount, opt("total", amount), expiry, session)
	case "unburied":
		k.Unburied = true
		k.Onion = inv.pays(amount, opt("total", amount), expiry, session)
	case "malformed":
		k.Onion = make([]byte, onion.PacketSize)
	case "short":
		k.Onion = []byte{1, 2, 3}
	case "keysend":
		k.Hash, k.Onion = hashOf(args[2]), keysends(args[2], amount, expiry, session)
	case "bad-keysend":
		k.Hash, k.Onion = hashOf(args[2]), nil
		p := preimageOf("another")
		packet := must(onion.Build(privKey(session), []onion.Hop{{PubKey: nodeKey.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, Keysend: &p}}, k.Hash))
		k.Onion = packet[:]
	default:
		var records []onion.Record
		if typ := opt("record", 0); typ != 0 {
			records = []onion.Record{{Type: typ, Value: []byte("hi")}}
		}
		k.Onion = inv.pays(amount, opt("total", amount), expiry, session, records...)
	}
	return k
}

// describe prints a message, its long parts left out.
func (s *script) describe(msg any) []string {
	switch m := msg.(type) {
	case messages.UserEvents:
		var out []string
		for _, ev := range m.Events {
			out = append(out, fmt.Sprintf("%s %s", ev.ID, describeEvent(ev.Kind)))
		}
		return out
	case messages.Fence:
		return []string{fmt.Sprintf("Fence %d", m.Fence&0xffffffff)}
	case messages.InterceptHTLC:
		return []string{fmt.Sprintf("Intercept %s/%d in=%d next=%d out=%d expiry=%d/%d deadline=%d", m.Channel, m.HTLCID, m.AmountMsat, m.NextSCID, m.ForwardMsat, m.CLTVExpiry, m.OutgoingCLTVExpiry, m.Deadline)}
	case messages.InterceptReply:
		return []string{fmt.Sprintf("InterceptReply %v", m.Err)}
	case messages.AddHTLC:
		if m.Source.Forward != nil {
			return s.describeAdd(m)
		}
		return []string{s.describePart(m)}
	case messages.FindRoutes:
		return []string{s.describeSearch(m)}
	case messages.RouteOutcome:
		return []string{s.describeOutcome(m)}
	case messages.AckMonitorEvent:
		return []string{fmt.Sprintf("Ack %v", m.Seqs)}
	case messages.DecideHTLC:
		return []string{fmt.Sprintf("Decide %d %s", m.HTLCID, s.resolution(m.Resolution))}
	case messages.PayReply:
		return []string{fmt.Sprintf("PayReply %v", m.Err)}
	case messages.ClaimReply:
		return []string{fmt.Sprintf("ClaimReply %v", m.Err)}
	case messages.CancelReply:
		return []string{fmt.Sprintf("CancelReply %v", m.Err)}
	case messages.ReceivedReply:
		if !m.Known {
			return []string{fmt.Sprintf("ReceivedReply unknown, %v", m.Err)}
		}
		return []string{"ReceivedReply " + received(m.Payment)}
	case messages.PaymentExplained:
		return m.Lines
	case messages.ReceivedList:
		out := []string{fmt.Sprintf("ReceivedList %d, more=%v, %v", len(m.Payments), len(m.Next) > 0, m.Err)}
		for _, r := range m.Payments {
			out = append(out, "  "+received(r))
		}
		s.next = m.Next
		return out
	case messages.OpenReply:
		return []string{fmt.Sprintf("OpenReply %v", m.Err)}
	case messages.PaymentReply:
		if m.Payment.Lost {
			m.Payment.Reason += " lost: " + m.Payment.Preimage.String()
		}
		if m.Payment.Unproven {
			m.Payment.Reason += " unproven"
		}
		return []string{fmt.Sprintf("PaymentReply known=%v %s %s err=%v", m.Known, m.Payment.Status, m.Payment.Reason, m.Err)}
	case messages.PaymentList:
		var out []string
		for _, p := range m.Payments {
			out = append(out, fmt.Sprintf("%s %s", p.PaymentID, p.Status))
		}
		if s.more = m.Next; len(m.Next) > 0 {
			out = append(out, "more")
		}
		return append(out, fmt.Sprintf("err=%v", m.Err))
	case messages.ChannelList:
		return []string{fmt.Sprintf("ChannelList %d loading=%d quarantined=%d", len(m.Channels), m.Loading, len(m.Quarantined))}
	case messages.SweepOutputs:
		return []string{fmt.Sprintf("SweepOutputs %s outputs=%d", m.Event, len(m.Outputs))}
	case messages.SweepDone:
		return []string{fmt.Sprintf("SweepDone %s", m.Event)}
	case messages.ClosedList:
		var out []string
		for _, c := range m.Channels {
			out = append(out, fmt.Sprintf("closed %s swept=%d", c.Channel, c.SweptSat))
		}
		if s.more = m.Next; len(m.Next) > 0 {
			out = append(out, "more")
		}
		return append(out, fmt.Sprintf("err=%v", m.Err))
	case messages.StartOpening:
		index := -1
		switch r := m.Request.(type) {
		case messages.OpenChannel:
			index = int(r.KeyIndex)
		case messages.AcceptChannel:
			index = int(r.KeyIndex)
		}
		return []string{fmt.Sprintf("StartOpening %T key=%d", m.Request, index)}
	case messages.PeerSend:
		e := m.Msgs[0].(*lnwire.Error)
		return []string{fmt.Sprintf("PeerSend session=%d %s", m.Session, e.Data)}
	}
	return []string{fmt.Sprintf("%+v", msg)[:min(200, len(fmt.Sprintf("%+v", msg)))] + " (" + strings.TrimPrefix(fmt.Sprintf("%T", msg), "messages.") + ")"}
}

func describeEvent(k messages.UserEventKind) string {
	switch k := k.(type) {
	case messages.PaymentSent:
		if k.FeeMsat > 0 {
			return fmt.Sprintf("%s fee=%d", k.Preimage, k.FeeMsat)
		}
		return k.Preimage.String()
	case messages.PaymentFailed:
		if k.Unproven {
			return "unproven (" + k.Reason + ")"
		}
		return "(" + k.Reason + ")"
	case messages.PaymentClaimable:
		text := fmt.Sprintf("%s amount=%d deadline=%d", k.Hash, k.AmountMsat, k.Deadline) + describeParts(k.Parts, k.Records)
		if k.PreimageUnknown {
			text += " preimage-unknown"
		}
		return text
	case messages.PaymentClaimed:
		return fmt.Sprintf("%s amount=%d", k.Hash, k.AmountMsat) + describeParts(k.Parts, k.Records)
	case messages.ChannelClosed:
		if k.Force != nil {
			return fmt.Sprintf("cause=%d force=%d %s", k.Cause, k.Force.Reason, k.Force.Detail)
		}
		return fmt.Sprintf("cause=%d", k.Cause)
	case messages.ChannelResolved:
		return fmt.Sprintf("swept=%d", k.Closed.SweptSat)
	case messages.PaymentLost:
		return fmt.Sprintf("%s amount=%d htlc=%s/%d", k.Preimage, k.AmountMsat, k.Channel, k.HTLCID)
	case messages.PaymentForwarded:
		if k.ClaimLost {
			return fmt.Sprintf("%s/%d -> %s/%d in=%d out=%d lost=%v", k.InChannel, k.InHTLCID, k.OutChannel, k.OutHTLCID, k.InAmountMsat, k.OutAmountMsat, k.ClaimLost)
		}
		return fmt.Sprintf("%s/%d -> %s/%d fee=%d on-chain=%v lost=%v", k.InChannel, k.InHTLCID, k.OutChannel, k.OutHTLCID, k.FeeMsat, k.OnChain, k.ClaimLost)
	case messages.HTLCHandlingFailed:
		return fmt.Sprintf("amount=%d next=%d out=%v (%s)", k.AmountMsat, k.NextSCID, k.OutChannel != ln.ChannelID{}, k.Reason)
	case messages.ClaimLost:
		return fmt.Sprintf("%s amount=%d", k.Hash, k.AmountMsat)
	}
	return ""
}

// describeParts leaves out what a payment in one part says anyway.
func describeParts(parts []messages.PaymentPart, records []messages.CustomRecord) (text string) {
	for _, p := range parts {
		if len(parts) > 1 {
			text += fmt.Sprintf(" %s/%d=%d", p.Channel, p.HTLCID, p.AmountMsat)
		}
	}
	for _, r := range records {
		text += fmt.Sprintf(" record %d=%s", r.Type, r.Value)
	}
	return text
}

// fulfilled is a monitor's decision: as this script saw it made, or for the parts named.
func (s *script) fulfilled(id ln.ChannelID, htlc uint64, inv, parts string) *facts.Resolution {
	preimage, _ := invoices.Preimage(invoiceOf(inv).Secret)
	r := &facts.Resolution{Preimage: &preimage}
	if made, ok := s.claims[htlcKey{id, htlc}]; ok && parts == "" {
		return &made
	}
	if parts == "" {
		r.Parts = []facts.Part{{Channel: id, HTLCID: htlc}}
		return r
	}
	for _, p := range strings.Split(parts, "+") {
		c, n, _ := strings.Cut(p, "/")
		r.Parts = append(r.Parts, facts.Part{Channel: channelID(c), HTLCID: num(n)})
	}
	return r
}

func (s *script) resolution(r facts.Resolution) string {
	switch {
	case r.Settled:
		return "fulfil settled"
	case r.Preimage != nil:
		return fmt.Sprintf("fulfil parts=%d", len(r.Parts))
	case r.Malformed != nil:
		return fmt.Sprintf("malformed %v", lnwire.FailCode(r.Malformed.Code))
	}
	for _, session := range s.payers {
		if f, err := onion.DecryptFailure(privKey(session), []*btcec.PublicKey{nodeKey.PubKey()}, r.Reason); err == nil {
			return fmt.Sprintf("fail %v", f.Code)
		}
	}
	return s.wrapped(r.Reason)
}

func received(r messages.Received) string {
	state := map[messages.ReceivedState]string{messages.ReceivedHeld: "held", messages.ReceivedClaimed: "claimed", messages.InvoiceCancelled: "cancelled"}[r.State]
	if r.Deadline != 0 {
		state += fmt.Sprintf(" until %d", r.Deadline)
	}
	return fmt.Sprintf("%s %s amount=%d parts=%d after=%s", r.Hash, state, r.AmountMsat, r.Parts, r.At.Sub(epoch))
}
