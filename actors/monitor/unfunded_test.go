package monitor

import (
	"testing"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// waits makes a channel whose funding transaction is in no block, and that pushed so much to us.
func waits(t *testing.T, funder bool, pushed uint64) *harness {
	h := newHarness(t, funder)
	h.opened.HolderMsat, h.opened.CounterpartyMsat = pushed, capacity*1000-pushed
	if funder {
		h.opened.HolderMsat, h.opened.CounterpartyMsat = capacity*1000-pushed, pushed
	}
	h.opened.HolderSig = h.peerSig(facts.New(h.opened))
	h.create()
	h.draw()
	return h
}

const inTime = 100 + FundingTimeout - 1

// asksToEnd tells whether the manager was asked whether the log may end.
func asksToEnd(o Output) bool {
	_, ok := told[messages.MayArchive](o)
	return ok
}

// end has the log given up and returns the row that takes its place.
func (h *harness) end(t *testing.T) *record.Closed {
	t.Helper()
	o := h.do(messages.ArchiveGranted{Channel: h.s.id, Incarnation: h.s.incarnation})
	q, ok := told[messages.GetRows](o)
	if !ok {
		t.Fatal("granted, and not archived")
	}
	o = h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token})
	if !o.Forget || len(o.Rows) != 1 {
		t.Fatalf("last page: %+v", o)
	}
	return o.Rows[0].(*record.Closed)
}

// TestUnfundedIsForgotten: what a peer makes and does not fund in time ends by itself, and says so.
func TestUnfundedIsForgotten(t *testing.T) {
	h := waits(t, false, 5_000)
	if h.s.wake != inTime+1 {
		t.Fatal("woken at", h.s.wake)
	}
	h.ackAll()
	if o := h.do(h.block(inTime)); asksToEnd(o) || h.s.m.facts.Ended() {
		t.Fatal("forgotten too early")
	}
	o := h.do(h.block(inTime + 1))
	if f := h.s.m.facts.ForceClose; f == nil || f.Reason != facts.CloseByFundingTimeout || asksToEnd(o) {
		t.Fatalf("%+v, %+v", f, o)
	}
	if _, cast := told[messages.Broadcast](o); cast || builds(o) != 0 {
		t.Fatal("there is nothing to spend")
	}
	if o := h.restart(); asksToEnd(o) {
		t.Fatal("archived with unacknowledged events")
	}
	h.draw()
	h.ackAll()
	if o := h.do(h.block(inTime + 2)); !asksToEnd(o) {
		t.Fatal("it is kept for ever")
	}
	if row := h.end(t); row.Channel != h.s.id || row.Height != 0 || row.SweptSat+row.LostSat != 0 {
		t.Fatalf("%+v", row)
	}
}

// TestUnfundedIsClosed: the user may end it at once where nothing in it is ours; a peer's word alone ends it no earlier than time does.
func TestUnfundedIsClosed(t *testing.T) {
	for _, x := range []struct {
		name   string
		pushed uint64
		reason facts.CloseReason
		atOnce bool
	}{
		{"by the user", 0, facts.CloseByUser, true},
		{"by the user, with money of ours", 5_000, facts.CloseByUser, false},
		{"by the peer", 0, facts.CloseByPeerError, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := waits(t, false, x.pushed)
			o := h.do(messages.ForceCloseChannel{Reason: x.reason, ReplyTo: "user"})
			if _, cast := told[messages.Broadcast](o); cast || builds(o) != 0 {
				t.Error("there is nothing to spend")
			}
			h.ackAll()
			if o := h.do(h.block(105)); asksToEnd(o) != x.atOnce {
				t.Fatal("forgotten at once:", asksToEnd(o))
			}
			if o := h.do(h.block(inTime + 1)); !asksToEnd(o) {
				t.Fatal("it is kept for ever")
			}
			h.end(t)
		})
	}
}

// TestLateFunding: a funding transaction that comes after all, before the log has ended, makes it a channel that has to be closed on chain.
func TestLateFunding(t *testing.T) {
	h := waits(t, false, capacity*500)
	h.do(h.block(inTime + 1))
	o := h.do(h.block(inTime+2, h.funding))
	if b, ok := told[messages.Broadcast](o); !ok || b.Label != "holder commitment" {
		t.Fatalf("%+v", o)
	}
	h.ackAll()
	if o := h.do(h.block(inTime + 300)); asksToEnd(o) {
		t.Fatal("forgotten with money in it")
	}
	// A reorganisation takes it out again.
	o = h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: inTime + 1, Hash: blockHash(inTime + 1)})
	if w, ok := told[messages.Withdraw](o); !ok || len(h.s.m.facts.OnChain.Claims) != 0 {
		t.Fatalf("%+v %+v", w, o)
	}
}

// TestFundedIsNotForgotten: neither what was confirmed in time, nor what was in use before the funding transaction left the chain, nor what is ours.
func TestFundedIsNotForgotten(t *testing.T) {
	kept := func(name string, h *harness) {
		t.Helper()
		h.ackAll()
		if o := h.do(h.block(10 * inTime)); asksToEnd(o) || h.s.m.facts.Ended() {
			t.Errorf("%s: forgotten", name)
		}
	}
	h := waits(t, false, 5_000)
	h.do(h.block(inTime, h.funding))
	kept("in time", h)

	h = waits(t, false, 5_000)
	h.do(h.block(inTime+5, h.funding)) // the chain is caught up with in steps
	kept("at once with the time-out", h)

	h = ready(t, false)
	h.draw()
	h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 100, Hash: blockHash(100)})
	kept("reorganised", h)

	kept("ours", waits(t, true, 5_000))

	h = newHarness(t, false)
	h.opened.Static.OpenedHeight = 0
	h.create()
	kept("of unknown age", h)
}

// TestFundedInTime: a channel whose funding transaction was in a block in time is not given up when a reorganisation takes it out, also after a restart.
func TestFundedInTime(t *testing.T) {
	h := waits(t, false, 5_000)
	h.do(h.block(inTime, h.funding))
	h.ackAll()
	h.do(h.block(inTime + 1))
	h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: inTime - 1, Hash: blockHash(inTime - 1)})
	h.restart()
	h.do(h.block(inTime))
	if o := h.do(h.block(inTime + 1)); h.s.m.facts.Ended() || asksToEnd(o) {
		t.Fatalf("given up: %+v", h.s.m.facts.ForceClose)
	}
	if o := h.do(h.block(inTime+2, h.funding)); h.s.m.facts.Funding == nil || builds(o) != 0 {
		t.Fatal("the funding transaction is back, and does not count")
	}
}
