package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// The demo is worth what its books find, so each way in which payments may go wrong is tried on them.
func TestLedgerFinds(t *testing.T) {
	id, other, hash := lnactor.PaymentID{1}, lnactor.PaymentID{2}, lnactor.Hash{3}
	ev := func(id string, kind messages.UserEventKind) lnactor.Event { return lnactor.Event{ID: id, Kind: kind} }
	paid := ev("s", lnactor.PaymentSent{PaymentID: id, Hash: hash, AmountMsat: 5})
	got := ev("c", lnactor.PaymentClaimed{Hash: hash, AmountMsat: 5})
	type told struct {
		node string
		ev   lnactor.Event
	}
	for _, test := range []struct {
		name             string
		told             []told
		lost, duplicates int
		fault            string // "" for none
	}{
		{"a payment", []told{{"alice", paid}, {"bob", got}}, 0, 0, ""},
		{"events again under the same ids", []told{{"alice", paid}, {"bob", got}, {"alice", paid}, {"bob", got}}, 0, 0, ""},
		{"a payment that failed", []told{{"alice", ev("f", lnactor.PaymentFailed{PaymentID: id})}}, 0, 0, ""},
		{"no outcome", nil, 1, 0, "has no outcome"},
		{"sent and not claimed", []told{{"alice", paid}}, 1, 0, "is not claimed"},
		{"claimed, and failed for the payer", []told{{"alice", ev("f", lnactor.PaymentFailed{PaymentID: id})}, {"bob", got}}, 1, 0, "payer was not told"},
		{"both outcomes", []told{{"alice", paid}, {"bob", got}, {"alice", ev("f", lnactor.PaymentFailed{PaymentID: id})}}, 0, 1, "two outcomes"},
		{"an outcome twice under two ids", []told{{"alice", paid}, {"bob", got}, {"alice", ev("s2", paid.Kind)}}, 0, 1, "two outcomes"},
		{"a claim twice", []told{{"alice", paid}, {"bob", got}, {"bob", ev("c2", got.Kind)}}, 0, 1, "claimed twice"},
		{"an id that says something else", []told{{"alice", paid}, {"bob", got}, {"alice", ev("s", got.Kind)}}, 0, 0, "says"},
		{"insight without what no record holds", []told{
			{"alice", paid}, {"bob", got}, {"carol", ev("h", lnactor.HTLCHandlingFailed{Hash: hash, NextSCID: 7})}, {"carol", ev("h", lnactor.HTLCHandlingFailed{Hash: hash})},
		}, 0, 0, ""},
		{"insight about another HTLC", []told{
			{"alice", paid}, {"bob", got}, {"carol", ev("h", lnactor.HTLCHandlingFailed{Hash: hash})}, {"carol", ev("h", lnactor.HTLCHandlingFailed{})},
		}, 0, 0, "says"},
		{"an outcome of nothing", []told{{"alice", paid}, {"bob", got}, {"bob", ev("x", lnactor.PaymentSent{PaymentID: id})}}, 0, 0, "never made"},
		{"another amount", []told{{"alice", paid}, {"bob", ev("c", lnactor.PaymentClaimed{Hash: hash, AmountMsat: 4})}}, 0, 0, "4 were claimed"},
		{"a payment that was lost", []told{{"alice", paid}, {"bob", got}, {"alice", ev("l", lnactor.PaymentLost{PaymentID: id})}}, 0, 0, "PaymentLost"},
		{"a claim that was lost", []told{{"alice", paid}, {"bob", got}, {"bob", ev("l", lnactor.ClaimLost{Hash: hash})}}, 0, 0, "ClaimLost"},
		{"a closed channel", []told{{"alice", paid}, {"bob", got}, {"bob", ev("d", lnactor.ChannelClosed{})}}, 0, 0, "was closed"},
	} {
		l := newLedger()
		l.begin(id, "alice", hash, 5)
		l.durable(id)
		for _, x := range test.told {
			l.record(x.node, x.ev)
		}
		var p Payments
		var e Events
		l.count(&p, &e)
		_, faults := l.close(&p)
		all := strings.Join(faults, "; ")
		if p.Lost != test.lost || p.Duplicates != test.duplicates || (test.fault == "") != (all == "") || !strings.Contains(all, test.fault) {
			t.Errorf("%s: %d lost, %d duplicates, faults %q", test.name, p.Lost, p.Duplicates, all)
		}
	}

	l := newLedger()
	l.begin(id, "alice", hash, 5)
	l.begin(other, "alice", hash, 5)
	l.record("alice", paid)
	l.record("alice", ev("s2", lnactor.PaymentSent{PaymentID: other, Hash: hash, AmountMsat: 5}))
	l.record("bob", got)
	var p Payments
	moves, faults := l.close(&p)
	if !strings.Contains(strings.Join(faults, ";"), "paid twice") || moves["alice"] != -10 || moves["bob"] != 5 {
		t.Errorf("an invoice paid twice: moves %v, faults %q", moves, faults)
	}
}

func TestTally(t *testing.T) {
	var news []News
	tally := newTally("bob", func() time.Duration { return 0 }, func(n News) { news = append(news, n) })
	event := func(seq uint64) facts.Event { return facts.Event{Seq: seq, Kind: facts.Claimed{}} }
	tally.saw(messages.EmitEvents{Events: []facts.Event{event(1), event(2)}})
	tally.saw(messages.AckMonitorEvent{Seqs: []uint64{1}})
	tally.news()
	if len(news) != 0 {
		t.Errorf("news without a crash: %v", news)
	}
	tally.saw(messages.MonitorReport{Events: []facts.Event{event(2), event(3)}})
	tally.news()
	tally.saw(messages.AckMonitorEvent{Seqs: []uint64{2, 2}})
	tally.news()
	want := []News{Reemitted{Node: "bob", Count: 1}, Reacked{Node: "bob", Count: 1}}
	if len(news) != 2 || news[0] != want[0] || news[1] != want[1] {
		t.Errorf("news %v, want %v", news, want)
	}
	var e Events
	tally.add(&e)
	if e != (Events{Emitted: 3, Reemitted: 1, Acked: 2, Unacked: 1}) {
		t.Errorf("%+v", e)
	}
	tally.saw(messages.EmitEvents{Events: []facts.Event{{Seq: 3, Kind: facts.Failed{}}}})
	if len(tally.found()) != 1 {
		t.Errorf("an id that names two events: %q", tally.found())
	}
}
