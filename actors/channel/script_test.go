package channel

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// The specification as scripts: what two channels say to each other, one short story a file. Run with -rewrite to write what happens now.
//
//	new [push=<msat>] [fee=<sat/kw>] [unready] [unconfirmed]   two nodes with a channel: alice is the funder
//	add <node> <number> <msat>                                 the manager offers an HTLC
//	decide <node> <id> fulfill|fail|malformed                  the manager's decision about an inbound HTLC is durable
//	market <sat/kw>                                            estimates move, which both follow with "new follow"
//	fee <sat/kw>    close <node> [fee=<sat/kw>]    ready <node>
//	step <node>                                                all that a node can do by itself; says what it puts on the wire
//	carry <node> [<n>]                                         messages of a node arrive, all or the first n; the peer does nothing yet
//	run                                                        all until nothing is left, with the messages in their order
//	disconnect    connect    crash <node>                      crash: all memory is lost, the durable facts stay
//	facts                                                      what is durable at both
//	recall <node> <number>                                     the manager wants an HTLC back
//	block <node> <height>                                      the monitor has seen a block
//	timer <node>    rings <node>                               the shell waits for what the peer owes; it rings
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		var s *story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				s = newStory(t, d)
				return s.take()
			}
			s.w.t = t
			return s.do(d)
		})
	})
}

type story struct {
	owed  map[*node]Unanswered
	w     *world
	lines []string
	seen  map[*node]int
}

func newStory(t *testing.T, d *datadriven.TestData) *story {
	s := &story{seen: map[*node]int{}, owed: map[*node]Unanswered{}}
	s.w = newWorld(t, func(tm *terms) {
		d.MaybeScanArgs(t, "push", &tm.pushMsat)
		if d.HasArg("fee") {
			var fee uint64
			d.ScanArgs(t, "fee", &fee)
			tm.feePerKw = uint32(fee)
		}
		tm.unready, tm.unconfirmed = d.HasArg("unready"), d.HasArg("unconfirmed")
		tm.disconnected, tm.follow = d.HasArg("disconnected"), d.HasArg("follow")
	})
	s.w.log = func(format string, args ...any) { s.lines = append(s.lines, fmt.Sprintf(format, args...)) }
	for _, n := range []*node{s.w.a, s.w.b} {
		if len(n.said) > 0 && d.HasArg("unconfirmed") {
			for _, line := range n.said {
				s.lines = append(s.lines, n.name+" -> "+n.peer.name+": "+line)
			}
		}
	}
	return s
}

func (s *story) take() string {
	out := strings.Join(s.lines, "\n")
	s.lines = nil
	if out == "" {
		return "ok"
	}
	return out
}

func (s *story) do(d *datadriven.TestData) string {
	w := s.w
	arg := func(i int) string { return d.CmdArgs[i].Key }
	who := func() *node {
		if arg(0) == "alice" {
			return w.a
		}
		return w.b
	}
	num := func(i int) (v uint64) {
		if _, err := fmt.Sscan(arg(i), &v); err != nil {
			w.t.Fatalf("%s: %v", d.Pos, err)
		}
		return v
	}
	switch d.Cmd {
	case "add":
		who().add(num(1), num(2))
	case "decide":
		who().decide(num(1), arg(2))
	case "fee":
		w.a.toChannel = append(w.a.toChannel, updateFee(int(num(0))))
	case "market":
		for _, n := range []*node{w.a, w.b} {
			n.market = uint32(num(0))
			n.toChannel = append(n.toChannel, messages.CommitmentFee{FeePerKw: n.market})
		}
	case "ready":
		n := who()
		n.fact(facts.FundingConfirmed{Height: 100, TxIndex: 1})
		n.fact(facts.HolderReady{})
	case "close":
		var fee uint64
		d.MaybeScanArgs(w.t.(*testing.T), "fee", &fee)
		who().close(arg(0), uint32(fee))
	case "user-force-close":
		who().fact(facts.ForceClosed{Reason: facts.CloseByUser})
	case "say": // the peer of a node is played by the script
		n := who()
		var m lnwire.Message
		switch arg(1) {
		case "error":
			m = &lnwire.Error{Data: []byte("no more")}
		case "update_add_htlc":
			m = addMsg(num(2), num(3))
		case "channel_reestablish":
			m = &lnwire.ChannelReestablish{NextLocalCommitHeight: num(2), RemoteCommitTailHeight: num(3)}
		}
		n.toChannel = append(n.toChannel, messages.PeerMsg{Session: n.sessionID, Msg: m})
	case "step":
		n := who()
		before := len(n.said)
		for n.turnChannel() || n.turnMonitor() || n.turnPeer() {
		}
		for _, line := range n.said[before:] {
			s.lines = append(s.lines, n.name+" says "+line)
		}
	case "carry":
		n, most := who(), uint64(1<<30)
		if len(d.CmdArgs) > 1 {
			most = num(1)
		}
		for ; most > 0 && n.turnWire(); most-- {
		}
	case "run":
		w.run()
	case "recall":
		n := who()
		n.toChannel = append(n.toChannel, messages.RecallHTLC{Fence: n.fence, PartID: num(1)})
	case "block":
		who().fact(facts.BlockSeen{Height: uint32(num(1))})
	case "timer":
		owed, ok := who().ch.Owed()
		if s.owed[who()] = owed; ok {
			s.lines = append(s.lines, fmt.Sprintf("a revocation of commitment %d is owed to %s", owed.number, arg(0)))
		}
	case "rings":
		who().toChannel = append(who().toChannel, s.owed[who()])
	case "connect":
		w.connect()
	case "disconnect":
		w.disconnect()
	case "crash":
		w.disconnect()
		who().restart(true)
	case "facts":
		s.lines = append(s.lines, show(w.a), show(w.b))
	default:
		w.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	for _, n := range []*node{w.a, w.b} {
		for _, r := range n.refused {
			s.lines = append(s.lines, fmt.Sprintf("%s refuses: %v", n.name, r.Why.(*AddError).Why))
		}
		for _, r := range n.replies {
			s.lines = append(s.lines, fmt.Sprintf("%s answers the close: %v", n.name, r.Err))
		}
		for _, f := range n.forced {
			s.lines = append(s.lines, fmt.Sprintf("%s wants to close alone: %s", n.name, f.Detail))
		}
		for _, tx := range n.broadcast {
			s.lines = append(s.lines, fmt.Sprintf("%s broadcasts a transaction with %d outputs", n.name, len(tx.TxOut)))
		}
		n.refused, n.replies, n.forced, n.broadcast = nil, nil, nil, nil
	}
	return s.take()
}

// show is the durable state of a node on a few lines.
func show(n *node) string {
	f := n.durable
	var b strings.Builder
	fmt.Fprintf(&b, "%s: commitments %d/%d unrevoked=%t balances %d/%d fee %d", n.name, f.HolderNumber, f.CounterpartyNumber, f.Unrevoked,
		f.HolderMsat, f.CounterpartyMsat, f.FeePerKw)
	for _, u := range f.FeeUpdates {
		fmt.Fprintf(&b, "\n  fee %d %s", u.FeePerKw, u.State)
	}
	for _, h := range facts.Sorted(f.Outbound) {
		fmt.Fprintf(&b, "\n  out %d %d %s preimage=%t", h.ID, h.AmountMsat, h.State, h.Preimage != nil)
	}
	for _, h := range facts.Sorted(f.Inbound) {
		fmt.Fprintf(&b, "\n  in %d %d %s decided=%t", h.ID, h.AmountMsat, h.State, h.Resolution != nil)
	}
	ids := make([]uint64, 0, len(n.outcome))
	for id := range n.outcome {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	for _, id := range ids {
		fmt.Fprintf(&b, "\n  outcome of %d: %s", id, n.outcome[id])
	}
	if f.MutualClose != nil {
		fmt.Fprintf(&b, "\n  closed together, fee %d", f.ClosingFeeSat)
	}
	return b.String()
}
