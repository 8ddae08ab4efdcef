package monitor

import (
	"testing"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// forwarded is an outbound HTLC that was made for an inbound one of another channel.
func forwarded(id uint64) (facts.HTLC, ln.ForwardSource) {
	h := outbound(id, 40_000_000, 300)
	src := ln.ForwardSource{Channel: ln.ChannelID{7, 7}, HTLCID: 5, SharedSecret: [32]byte{1}, CLTVExpiry: 400}
	h.Source = &ln.Source{Forward: &src}
	return h, src
}

// TestForwardIsToldOnceDurable: rule 9. The manager learns of the outbound HTLC of a forward behind the record that holds it, and from each report, which
// names the inbound one.
func TestForwardIsToldOnceDurable(t *testing.T) {
	h := ready(t, true)
	h.draw()
	add, src := forwarded(0)
	o := h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{add, outbound(1, 1_000_000, 300)}})
	var got []messages.HTLCCommitted
	for _, d := range o.Then {
		if m, ok := d.Msg.(messages.HTLCCommitted); ok && d.To == messages.ManagerAddr {
			got = append(got, m)
		}
	}
	if o.Record == nil {
		t.Fatal("told without a record")
	}
	equal(t, "told", got, []messages.HTLCCommitted{{Channel: h.s.id, HTLCID: 0, Source: src}})
	h.restart()
	r, ok := told[messages.MonitorReport](h.draw())
	if !ok || len(r.Own) != 2 || r.Own[0].Source.Forward == nil || *r.Own[0].Source.Forward != src {
		t.Fatalf("report: %+v", r.Own)
	}
}

// TestForwardThatIsDroppedIsNotTold: an HTLC of a channel that has ended is in no commitment (rule 18).
func TestForwardThatIsDroppedIsNotTold(t *testing.T) {
	h := ready(t, true)
	h.draw()
	h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})
	add, src := forwarded(0)
	o := h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{add}})
	if _, wrong := told[messages.HTLCCommitted](o); wrong {
		t.Fatal("told of an HTLC that was dropped")
	}
	if m, ok := told[messages.NotCommitted](o); !ok || m.Source.Forward == nil || *m.Source.Forward != src {
		t.Fatalf("told %+v", m)
	}
}

// TestPreimageAfterFailure: S7. The failure stands, for the peer may know it; the preimage is durable, and claims on chain.
func TestPreimageAfterFailure(t *testing.T) {
	claims := func(late bool) int {
		h := ready(t, true)
		h.draw()
		h.update(facts.HolderCommitment{Adds: []facts.HTLC{inbound(0, 50_000_000, 400)}, Sig: h.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 400)}).Sig})
		h.update(facts.CounterpartyCommitment{})
		h.update(h.revocation())
		h.do(messages.DecideHTLC{Channel: h.s.id, HTLCID: 0, Resolution: failed("no")})
		if late {
			o := h.do(messages.DecideHTLC{Channel: h.s.id, HTLCID: 0, Resolution: fulfilled(0)})
			answer, ok := told[messages.InboundDecided](o)
			if !ok || o.Record == nil || answer.Gone || answer.Resolution.Fulfilled() {
				t.Fatalf("record %v, answer %+v", o.Record, answer)
			}
			if d, told := told[messages.HTLCDecided](o); told {
				t.Fatalf("the channel is told to say something else: %+v", d)
			}
			h.restart()
			h.draw()
			if p := h.s.m.facts.Inbound[0].Preimage; p == nil || *p != preimage(0) {
				t.Fatal("the preimage is not durable (S4)")
			}
			if o := h.do(messages.DecideHTLC{Channel: h.s.id, HTLCID: 0, Resolution: fulfilled(0)}); o.Record != nil {
				t.Fatal("a repeat is recorded")
			}
			if h.do(h.block(390)); h.s.m.facts.ForceClose != nil {
				t.Fatal("closed over an HTLC that was failed")
			}
		}
		return builds(h.do(h.block(391, build(h.s.m.facts, facts.Counterparty).Tx)))
	}
	if without, with := claims(false), claims(true); with != without+1 {
		t.Fatalf("claims: %d outputs without the preimage, %d with it", without, with)
	}
}

// TestArchiveWaitsForOtherMonitors: rule 23. Only the manager knows what was forwarded; it is asked once, again with each block, and by each incarnation.
func TestArchiveWaitsForOtherMonitors(t *testing.T) {
	h := closed(t)
	h.ackAll()
	asks := func(o Output) bool {
		_, ok := told[messages.MayArchive](o)
		return ok
	}
	if o := h.do(h.block(299)); !asks(o) || hasArchiveQuestion(o) {
		t.Fatal("the manager is not asked, or not waited for")
	}
	if asks(h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{1}})) {
		t.Fatal("asked twice")
	}
	if !asks(h.do(h.block(300))) {
		t.Fatal("not asked again with the next block")
	}
	if o := h.do(messages.ArchiveGranted{Channel: h.s.id, Incarnation: h.s.incarnation - 1}); hasArchiveQuestion(o) {
		t.Fatal("a dead incarnation's answer counts")
	}
	if o := h.do(messages.ArchiveGranted{Channel: h.s.id, Incarnation: h.s.incarnation}); !hasArchiveQuestion(o) {
		t.Fatal("granted, and not archived")
	}
	h.restart()
	if o := h.do(h.block(301)); !asks(o) {
		t.Fatal("the next incarnation does not ask")
	}
}
