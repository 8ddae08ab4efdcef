package monitor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/cockroachdb/datadriven"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// TestScripts runs testdata/scripts: the specification of the monitor, one short interaction each. Every command is a message to the monitor; what is
// printed is what goes into one Append: the record, the rows, and the deliveries that leave once those are durable.
//
// Rewrite with go test ./actors/monitor -run Scripts -rewrite, and read the diff.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if s.h != nil {
				s.h.t = t
			}
			return s.run(t, d)
		})
	})
}

type script struct{ h *harness }

// commands are one function each.
var commands = map[string]func(*script, *testing.T, *datadriven.TestData) string{
	"new": func(s *script, t *testing.T, d *datadriven.TestData) string {
		s.h = newHarness(t, !d.HasArg("fundee"))
		return s.print(s.h.create())
	},
	"ready": func(s *script, t *testing.T, d *datadriven.TestData) string {
		s.h = ready(t, !d.HasArg("fundee"))
		if !d.HasArg("silent") {
			s.h.draw()
		}
		s.h.do(messages.AckMonitorEvent{Channel: s.h.s.id, Seqs: []uint64{1, 2}})
		s.h.s.Flush()
		return ""
	},
	"restart":  func(s *script, _ *testing.T, _ *datadriven.TestData) string { return s.print(s.h.restart()) },
	"load":     func(s *script, _ *testing.T, _ *datadriven.TestData) string { return s.print(s.h.load()) },
	"snapshot": func(s *script, _ *testing.T, _ *datadriven.TestData) string { s.h.takeSnapshot(); return "" },
	"flush":    func(s *script, _ *testing.T, _ *datadriven.TestData) string { return s.print(s.h.s.Flush()) },
	"manager-hello": func(s *script, t *testing.T, d *datadriven.TestData) string {
		s.h.manager = num(t, d, "incarnation", 0)
		return s.handle(messages.ManagerHello{Incarnation: s.h.manager})
	},
	"chain-started": func(s *script, _ *testing.T, _ *datadriven.TestData) string { return s.handle(messages.ChainStarted{}) },
	"fence": func(s *script, t *testing.T, d *datadriven.TestData) string {
		s.h.fence = num(t, d, "n", s.h.fence+1)
		return s.handle(messages.Fence{Channel: s.h.s.id, ManagerIncarnation: max(s.h.manager, 1), Fence: s.h.fence})
	},
	"fenced": func(s *script, t *testing.T, d *datadriven.TestData) string {
		return s.handle(messages.ChannelFenced{Incarnation: s.h.channel, Fence: num(t, d, "n", s.h.fence)})
	},
	"update": func(s *script, t *testing.T, d *datadriven.TestData) string {
		u := s.h.next(s.parse(t, d), messages.Delivery{To: "peer", Msg: "then"})
		u.UpdateID = num(t, d, "id", u.UpdateID)
		u.Incarnation = num(t, d, "incarnation", u.Incarnation)
		return s.handle(u)
	},
	"decide": func(s *script, t *testing.T, d *datadriven.TestData) string {
		id := num(t, d, "htlc", 0)
		return s.handle(messages.DecideHTLC{Channel: s.h.s.id, HTLCID: id, Resolution: resolution(d, id)})
	},
	"ack": func(s *script, t *testing.T, d *datadriven.TestData) string {
		var seqs []uint64
		for _, a := range d.CmdArgs {
			seqs = append(seqs, parse(t, a.Key))
		}
		return s.handle(messages.AckMonitorEvent{Channel: s.h.s.id, Seqs: seqs})
	},
	"block": func(s *script, t *testing.T, d *datadriven.TestData) string {
		var txs []*wire.MsgTx
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "funding":
				txs = append(txs, s.h.funding)
			case "spend":
				txs = append(txs, s.spender(t, a.Vals[0]))
			}
		}
		b := s.h.block(uint32(num(t, d, "height", 0)), txs...)
		b.Incarnation = num(t, d, "incarnation", b.Incarnation)
		return s.handle(b)
	},
	"disconnect": func(s *script, t *testing.T, d *datadriven.TestData) string {
		to := uint32(num(t, d, "to", 0))
		return s.handle(messages.ChainDisconnected{Incarnation: s.h.s.incarnation, Height: to, Hash: blockHash(to)})
	},
	"policy": func(s *script, t *testing.T, d *datadriven.TestData) string {
		p := facts.Policy{
			BaseMsat: uint32(num(t, d, "base", 0)), CLTVDelta: uint16(num(t, d, "delta", 0)), HTLCMinimumMsat: num(t, d, "min", 0), HTLCMaximumMsat: num(t, d, "max", 0),
			MaxDustExposureMsat: num(t, d, "dust", 0),
		}
		return s.handle(messages.SetPolicy{Channel: s.h.s.id, Policy: p, ReplyTo: "user"})
	},
	"force-close": func(s *script, _ *testing.T, _ *datadriven.TestData) string {
		return s.handle(messages.ForceCloseChannel{Reason: facts.CloseByUser, Detail: "asked to", ReplyTo: "user"})
	},
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	do, ok := commands[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	out := do(s, t, d)
	s.h.same()
	if out == "" {
		return "nothing\n"
	}
	return out
}

func (s *script) handle(msg any) string {
	o, err := s.h.s.Handle(msg)
	if err != nil {
		var q *QuarantineError
		if errors.As(err, &q) {
			return "quarantine: " + short(q.Err.Error()) + "\n"
		}
		return "error: " + short(err.Error()) + "\n"
	}
	s.h.durable(o)
	return s.print(o)
}

// parse reads the update that a command names.
func (s *script) parse(t *testing.T, d *datadriven.TestData) facts.Update {
	var adds, removes []string
	kind := ""
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "add":
			adds = append(adds, a.Vals[0])
		case "remove":
			removes = append(removes, a.Vals[0])
		default:
			if len(a.Vals) == 0 && kind == "" {
				kind = a.Key
			}
		}
	}
	f := s.h.s.m.facts
	switch kind {
	case "nil":
		return nil
	case "commit":
		var u facts.CounterpartyCommitment
		for _, a := range adds {
			msat, expiry := amount(t, a)
			u.Adds = append(u.Adds, outbound(f.NextOutboundHTLCID+uint64(len(u.Adds)), msat, expiry))
		}
		for _, r := range removes {
			u.Removes = append(u.Removes, parse(t, r))
		}
		return u
	case "revoke":
		return s.h.revocation()
	case "receive":
		var as []facts.HTLC
		var rs []facts.Removal
		for _, a := range adds {
			msat, expiry := amount(t, a)
			as = append(as, inbound(f.NextInboundHTLCID+uint64(len(as)), msat, expiry))
		}
		for _, r := range removes {
			id, how, _ := strings.Cut(r, ":")
			n := parse(t, id)
			res := fulfilled(n)
			if how == "failed" {
				res = failed("their reason")
			}
			rs = append(rs, facts.Removal{HTLCID: n, Resolution: res})
		}
		if f.Ended() {
			return facts.HolderCommitment{}
		}
		return s.h.holderCommitment(as, rs...)
	case "preimage":
		return facts.PreimageLearned{HTLCID: num(t, d, "htlc", 0), Preimage: preimage(num(t, d, "of", num(t, d, "htlc", 0)))}
	case "peer-ready":
		return facts.CounterpartyReady{NextPoint: s.h.peerPoint(1), Alias: 5}
	case "shutdown":
		return facts.HolderShutdown{Script: []byte{0, 1}}
	case "mutual-closed":
		return facts.MutualClosed{Tx: s.mutual()}
	case "proven-behind":
		return facts.ProvenBehind{}
	}
	d.Fatalf(t, "unknown update %s", kind)
	return nil
}

func (s *script) mutual() *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&s.h.opened.Static.Tx.Funding, nil, nil))
	tx.AddTxOut(wire.NewTxOut(900_000, []byte{0x51}))
	return tx
}

func (s *script) spender(t *testing.T, which string) *wire.MsgTx {
	c := s.h.s.m.facts
	switch which {
	case "holder":
		return build(c, facts.Holder).Tx
	case "counterparty":
		return build(c, facts.Counterparty).Tx
	case "next":
		return build(c, facts.CounterpartyNext).Tx
	case "mutual":
		return s.mutual()
	case "revoked":
		first := facts.New(s.h.opened)
		return build(first, facts.Counterparty).Tx
	}
	t.Fatalf("unknown spender %s", which)
	return nil
}

// Printing.

func (s *script) print(o Output) string {
	var b strings.Builder
	if o.Refused != nil {
		fmt.Fprintf(&b, "refused: %s\n", short(o.Refused.Error()))
	}
	if r := o.Record; r != nil {
		fmt.Fprintf(&b, "record %d", r.Index)
		if r.UpdateID != 0 {
			fmt.Fprintf(&b, " update=%d", r.UpdateID)
		}
		for _, u := range r.Updates {
			fmt.Fprintf(&b, " %s", name(u))
		}
		if len(r.Events) > 0 {
			fmt.Fprintf(&b, " events=%s", events(r.Events))
		}
		if len(r.Acked) > 0 {
			fmt.Fprintf(&b, " acked=%v", r.Acked)
		}
		b.WriteString("\n")
	}
	for _, r := range o.Rows {
		switch r := r.(type) {
		case *record.Outcome:
			fmt.Fprintf(&b, "row outcome of htlc %d: claimed=%v\n", r.HTLCID, r.Preimage != nil)
		case *record.Fate:
			fmt.Fprintf(&b, "row fate of htlc %d: fulfilled=%v\n", r.HTLCID, r.Fulfilled)
		case *record.Revoked:
			fmt.Fprintf(&b, "row revoked %d with %d htlcs\n", r.Commitment.Number, len(r.Commitment.HTLCs))
		}
	}
	for _, d := range o.Then {
		fmt.Fprintf(&b, "to %s: %s\n", who(d.To), s.message(d.Msg))
	}
	return b.String()
}

func (s *script) message(msg any) string {
	switch m := msg.(type) {
	case messages.EmitEvents:
		return fmt.Sprintf("EmitEvents fence=%d %s", m.Fence, events(m.Events))
	case messages.MonitorReport:
		out := fmt.Sprintf("MonitorReport fence=%d phase=%s events=%s", m.Fence, m.Summary.Phase, events(m.Events))
		for _, h := range m.Own {
			out += fmt.Sprintf(" own=%d(claimed=%v)", h.HTLCID, h.Preimage != nil)
		}
		for _, h := range m.Inbound {
			out += fmt.Sprintf(" inbound=%d(%s resolved=%v)", h.HTLCID, how(h.Resolution), h.Resolved)
		}
		return out
	case messages.ChannelLoaded:
		return fmt.Sprintf("ChannelLoaded update=%d holder=%d counterparty=%d", m.UpdateID, m.Facts.HolderNumber, m.Facts.CounterpartyNumber)
	case messages.ChainRegister:
		return fmt.Sprintf("ChainRegister height=%d outpoints=%d scripts=%d wake=%d", m.Height, len(m.Outpoints), len(m.Scripts), m.WakeAt)
	case messages.ChainWatch:
		if len(m.Outpoints) > 0 {
			return fmt.Sprintf("ChainWatch outputs=%d from=%d", len(m.Outpoints), m.FromHeight)
		}
		return fmt.Sprintf("ChainWatch wake=%d", m.WakeAt)
	case messages.Broadcast:
		return fmt.Sprintf("Broadcast %s", m.Label)
	case messages.Withdraw:
		return fmt.Sprintf("Withdraw %s", s.label(m))
	case messages.InboundDecided:
		return fmt.Sprintf("InboundDecided htlc=%d %s gone=%v", m.HTLCID, how(m.Resolution), m.Gone)
	case messages.HTLCDecided:
		return fmt.Sprintf("HTLCDecided htlc=%d %s", m.HTLCID, how(&m.Resolution))
	case messages.InboundResolved:
		return fmt.Sprintf("InboundResolved htlc=%d fulfilled=%v", m.HTLCID, m.Fulfilled)
	case messages.MonitorFact:
		return "MonitorFact " + name(m.Update)
	case messages.ChannelFence:
		return fmt.Sprintf("ChannelFence %d", m.Fence)
	case messages.CloseReply:
		return short(fmt.Sprintf("CloseReply err=%v", m.Err))
	case messages.PolicyReply:
		return short(fmt.Sprintf("PolicyReply err=%v", m.Err))
	case messages.ChannelChanged:
		return fmt.Sprintf("ChannelChanged phase=%s holder=%d counterparty=%d unacked=%d", m.Summary.Phase, m.Summary.HolderMsat, m.Summary.CounterpartyMsat, m.Summary.UnackedEvents)
	case string:
		return m
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", msg), "messages.")
}

func (s *script) label(m messages.Withdraw) string {
	switch m.Txid {
	case build(s.h.s.m.facts, facts.Holder).Txid:
		return "holder commitment"
	case s.mutual().TxHash():
		return "mutual close"
	}
	return m.Txid.String()
}

func name(u facts.Update) string {
	switch u := u.(type) {
	case facts.BlockSeen:
		return fmt.Sprintf("BlockSeen(%d)", u.Height)
	case facts.FundingConfirmed:
		return fmt.Sprintf("FundingConfirmed(%d)", u.Height)
	case facts.FundingSpent:
		return fmt.Sprintf("FundingSpent(%s at %d)", spends[u.Spend], u.Height)
	case facts.ForceClosed:
		return fmt.Sprintf("ForceClosed(%s)", u.Detail)
	case facts.PolicySet:
		return fmt.Sprintf("PolicySet(base %d, delta %d)", u.Policy.BaseMsat, u.Policy.CLTVDelta)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", u), "facts.")
}

var spends = [...]string{"unknown", "holder", "counterparty", "revoked", "mutual"}

func events(es []facts.Event) string {
	var out []string
	for _, e := range es {
		s := fmt.Sprintf("%d:%s", e.Seq, strings.TrimPrefix(fmt.Sprintf("%T", e.Kind), "facts."))
		switch k := e.Kind.(type) {
		case facts.Claimed:
			s += fmt.Sprintf("(%d)", k.HTLCID)
		case facts.Failed:
			s += fmt.Sprintf("(%d %q)", k.HTLCID, k.Resolution.Reason)
		case facts.HTLCAccepted:
			s += fmt.Sprintf("(%d)", k.HTLCID)
			if k.OverDust {
				s += "!dust"
			}
		case facts.CommitmentTxConfirmed:
			s += fmt.Sprintf("(%s at %d)", spends[k.Spend], k.Height)
		}
		out = append(out, s)
	}
	return "[" + strings.Join(out, " ") + "]"
}

func how(r *facts.Resolution) string {
	switch {
	case r == nil:
		return "undecided"
	case r.Fulfilled():
		return "fulfilled"
	}
	return fmt.Sprintf("failed(%q)", r.Reason)
}

func who(a messages.Addr) string {
	s, _, _ := strings.Cut(string(a), "/")
	return s
}

// short leaves the channel id out.
func short(s string) string {
	words := strings.Fields(s)
	for i, w := range words {
		if len(w) >= 64 {
			words[i] = "ID" + w[64:]
		}
	}
	return strings.Join(words, " ")
}

func resolution(d *datadriven.TestData, id uint64) facts.Resolution {
	if d.HasArg("failed") {
		return failed("our reason")
	}
	return fulfilled(id)
}

func amount(t *testing.T, s string) (msat uint64, expiry uint32) {
	a, b, _ := strings.Cut(s, "@")
	return parse(t, a), uint32(parse(t, b))
}

func parse(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}

func num(t *testing.T, d *datadriven.TestData, key string, otherwise uint64) uint64 {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return parse(t, a.Vals[0])
		}
	}
	return otherwise
}
