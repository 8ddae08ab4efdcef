package monitor

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

const restoredSeqs = 1 << 40

// restored is a crash of which only a copy of the disk is left.
func (h *harness) restored() Output {
	h.t.Helper()
	mark, err := MarkRestored(h.snapshot, h.records, restoredSeqs)
	if err != nil {
		h.t.Fatalf("mark: %v", err)
	}
	h.records, h.all = append(h.records, mark), append(h.all, mark)
	o := h.restart()
	if h.snapshot != nil {
		h.all = nil // the records before the snapshot are not followed any more
	}
	return o
}

// silent checks that nothing goes to the chain.
func silent(t *testing.T, what string, o Output) {
	t.Helper()
	if b, ok := told[messages.Broadcast](o); ok {
		t.Fatalf("%s: broadcast of %s", what, b.Label)
	}
	if r := o.Record; r != nil {
		for _, u := range r.Updates {
			if _, ok := u.(facts.ForceClosed); ok {
				t.Fatalf("%s: decided to close", what)
			}
		}
	}
}

// held is a channel with an inbound HTLC whose preimage is known and which the peer does not take out: it expires at 200.
func heldHTLC(t *testing.T) *harness {
	h := ready(t, false)
	h.update(h.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 200)}))
	h.update(facts.CounterpartyCommitment{})
	h.update(h.revocation())
	h.do(messages.DecideHTLC{Channel: h.s.id, HTLCID: 0, Resolution: fulfilled(0)})
	return h
}

// The deadline of an HTLC passes while the channel is unverified: an alarm, and nothing is broadcast, over restarts and snapshots too.
func TestUnverifiedBroadcastsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T) *harness
		due  uint32
	}{
		{"inbound with a preimage", heldHTLC, 200 - InboundMargin},
		{"outbound", paid, 140 + OutboundGrace},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := c.make(t)
			silent(t, "start", h.restored())
			o := h.do(h.block(c.due - 1))
			silent(t, "before", o)
			if o.Alarm != "" {
				t.Fatal("alarm too early:", o.Alarm)
			}
			w, ok := told[messages.ChainWatch](o)
			if ok && w.WakeAt != c.due {
				t.Fatal("wakes at", w.WakeAt)
			}
			o = h.do(h.block(c.due))
			silent(t, "deadline", o)
			if !strings.Contains(o.Alarm, "nothing is broadcast") {
				t.Fatalf("alarm %q", o.Alarm)
			}
			if o = h.do(h.block(c.due + 1)); o.Alarm != "" {
				t.Fatal("an alarm with every block")
			}
			if o = h.do(h.block(c.due + alarmEvery)); o.Alarm == "" {
				t.Fatal("the alarm is not repeated")
			}
			h.takeSnapshot()
			silent(t, "restart", h.restart())
			silent(t, "after", h.do(h.block(c.due+100)))
			silent(t, "chain", h.do(messages.ChainStarted{}))

			o = h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser, ReplyTo: "user"})
			silent(t, "user", o)
			if r, _ := told[messages.CloseReply](o); !errors.Is(r.Err, ErrUnverified) {
				t.Fatal("user's close:", r.Err)
			}
			silent(t, "peer", h.do(messages.ForceCloseChannel{Reason: facts.CloseByPeerError}))
			if h.s.m.facts.ForceClose != nil || !h.s.m.facts.Unverified {
				t.Fatalf("%+v", h.s.m.facts)
			}

			// The peer has verified it: what is overdue is decided at the next block.
			h.load()
			o = h.update(facts.Verified{})
			silent(t, "verified", o)
			if h.s.wake != c.due+101 {
				t.Fatal("wakes at", h.s.wake)
			}
			h.restart()
			if _, ok := told[messages.Broadcast](h.do(h.block(c.due + 101))); !ok {
				t.Fatal("nothing is broadcast after all")
			}
		})
	}
}

// An unverified channel signs and revokes nothing, whatever its actor says.
func TestUnverifiedSignsNothing(t *testing.T) {
	for name, u := range map[string]func(h *harness) facts.Update{
		"commitment_signed": func(*harness) facts.Update {
			return facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(1, 1_000_000, 150)}}
		},
		"revoke_and_ack": func(h *harness) facts.Update {
			h.s.m.facts.Unverified = false
			defer func() { h.s.m.facts.Unverified = true }()
			return h.holderCommitment([]facts.HTLC{inbound(0, 1_000_000, 150)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := paid(t)
			h.restored()
			h.load()
			_, err := h.s.Handle(h.next(u(h)))
			wantErr[*QuarantineError](t, err)
		})
	}
}

// The operator's word is durable; it does not help a channel that is proven to be behind, or one that nobody doubts.
func TestTrust(t *testing.T) {
	h := heldHTLC(t)
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{1, 2}})
	trust := messages.TrustRestored{Channel: h.s.id, ReplyTo: "user"}
	if r, _ := told[messages.CloseReply](h.do(trust)); !errors.Is(r.Err, ErrVerified) {
		t.Fatal(r.Err)
	}
	h.restored()
	h.load()
	o := h.do(trust)
	if r, _ := told[messages.CloseReply](o); r.Err != nil || o.Record == nil {
		t.Fatal(r.Err)
	}
	if f, ok := told[messages.MonitorFact](o); !ok || f.Update != (facts.Verified{Trusted: true}) {
		t.Fatalf("the channel was told %+v", f)
	}
	h.restart()
	if _, ok := told[messages.Broadcast](h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})); !ok {
		t.Fatal("it was trusted")
	}

	h = heldHTLC(t)
	h.restored()
	h.load()
	h.update(facts.ProvenBehind{})
	if r, _ := told[messages.CloseReply](h.do(trust)); !errors.Is(r.Err, ErrBehind) {
		t.Fatal(r.Err)
	}
	silent(t, "behind", h.do(h.block(300)))
	silent(t, "behind, start", h.restart())
}

// An end that was durable when the copy was made is no danger: that commitment is never revoked (rule 18).
func TestRestoredAfterItsEnd(t *testing.T) {
	h := paid(t)
	h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})
	if _, ok := told[messages.Broadcast](h.restored()); !ok {
		t.Fatal("the commitment is not broadcast any more")
	}
	if h.s.m.facts.Unverified {
		t.Fatal("unverified")
	}
}

// The peer's close of an unverified channel is recorded and claimed from. A reorganisation that takes it out does not bring ours in.
func TestUnverifiedClaimsFromThePeersCommitment(t *testing.T) {
	h := heldHTLC(t)
	h.restored()
	theirs := build(h.s.m.facts, facts.Counterparty).Tx
	o := h.do(h.block(110, theirs))
	if h.s.m.facts.Spent == nil {
		t.Fatal("not recorded")
	}
	if _, ok := told[messages.BuildClaim](o); !ok {
		t.Fatal("the HTLC is not claimed")
	}
	o = h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 109, Hash: blockHash(109)})
	silent(t, "reorganisation", o)
	for height := uint32(110); height < 130; height++ {
		silent(t, "afterwards", h.do(h.block(height)))
	}
}

// A commitment of the peer that is newer than the copy pays to_remote.
func TestUnverifiedSweepsANewerClose(t *testing.T) {
	h := paid(t)
	h.restored()
	later := h.s.m.facts.Clone()
	later.Unverified = false
	for range 3 {
		must(later.Apply(facts.CounterpartyCommitment{}))
		n := later.CounterpartyNumber
		must(later.Apply(facts.Revocation{Secret: must(peerKeys.ReleaseSecret(7, n)), NextPoint: h.peerPoint(n + 2)}))
	}
	h.do(h.block(110, build(later, facts.Counterparty).Tx))
	if s := h.s.m.facts.Spent; s == nil || s.Spend != facts.SpendCounterparty {
		t.Fatalf("%+v", s)
	}
	h.do(h.block(116))
	var spendable []facts.Event
	for _, e := range h.reportNow().Events {
		if _, ok := e.Kind.(facts.SpendableOutputs); ok {
			spendable = append(spendable, e)
		}
	}
	if len(spendable) != 1 {
		t.Fatal("to_remote was not handed to the wallet")
	}
	// Whether the peer claimed our HTLC in between, off chain, is not in the chain.
	for height := uint32(117); height < 320; height++ {
		h.do(h.block(height))
	}
	for range 2 {
		var failed []facts.Failed
		for _, e := range h.reportNow().Events {
			if k, ok := e.Kind.(facts.Failed); ok {
				failed = append(failed, k)
			}
		}
		if len(failed) != 1 || failed[0].Local != facts.OutcomeUnknown {
			t.Fatalf("%+v", failed)
		}
		h.restart()
		h.load()
	}
}

// We closed after the copy was made, and the disk was lost then: what the newer commitment of ours pays to us, late, is handed to the wallet. So it is
// of a channel in quarantine, whose log may end before the close.
func TestUnverifiedSweepsItsOwnNewerClose(t *testing.T) {
	h := paid(t)
	h.restored()
	later := h.s.m.facts.Clone()
	later.Unverified = false
	for range 3 {
		must(later.Apply(facts.HolderCommitment{Sig: later.HolderSig, HTLCSigs: later.HolderHTLCSigs}))
	}
	ours := build(later, facts.Holder)
	o := h.do(h.block(110, ours.Tx))
	silent(t, "our newer commitment", o)
	for height := uint32(111); height < 500; height++ {
		silent(t, "afterwards", h.do(h.block(height)))
	}
	var handed []facts.SpendableOutput
	for _, e := range h.reportNow().Events {
		if k, ok := e.Kind.(facts.SpendableOutputs); ok {
			handed = append(handed, k.Outputs...)
		}
	}
	want := wire.OutPoint{Hash: ours.Txid, Index: uint32(ours.ToOwnerIndex)}
	if !slices.ContainsFunc(handed, func(s facts.SpendableOutput) bool { return s.Output == want && s.Kind == facts.SpendableDelayed }) {
		t.Fatalf("to_local was not handed to the wallet: %+v", handed)
	}
}

// What the manager could decide about twice is kept from it until the doubt is over; then it hears of all.
func TestUnverifiedWithholdsInboundHTLCs(t *testing.T) {
	h := ready(t, false)
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{1}})
	h.update(h.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 200)}))
	h.update(facts.CounterpartyCommitment{})
	h.update(h.revocation())
	h.restored()
	h.load()
	r := h.reportNow()
	equal(t, "events", kindsOf(r.Events), []string{"2 facts.ChannelReady"})
	if !r.Summary.Unverified || r.Summary.Phase != messages.PhaseUnverified || len(r.Inbound) != 1 {
		t.Fatalf("%+v", r)
	}
	o := h.update(facts.Verified{})
	if _, ok := told[messages.MonitorHello](o); !ok {
		t.Fatal("no new fence is asked for")
	}
	r = h.reportNow()
	equal(t, "events", kindsOf(r.Events), []string{"2 facts.ChannelReady", "3 facts.HTLCAccepted"})
	if r.Summary.Unverified || r.Summary.Phase != messages.PhaseOpen {
		t.Fatalf("%+v", r.Summary)
	}
}

// S8: the node made events after the copy, which must not be taken for those after the restore.
func TestSeqsJumpOverARestore(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		h := paid(t)
		h.restored()
		if snapshot {
			h.takeSnapshot()
			h.restart()
		}
		theirs := build(h.s.m.facts, facts.Counterparty).Tx
		h.do(h.block(110, theirs))
		events := h.reportNow().Events
		if seq := events[len(events)-1].Seq; seq <= restoredSeqs {
			t.Fatalf("seq %d", seq)
		}
		h.restart()
		if got := h.reportNow().Events; len(got) != len(events) {
			t.Fatalf("%v, want %v", kindsOf(got), kindsOf(events))
		}
	}
}

// Marks that were written before they said how far the numbers jump.
func TestSeqsJumpWithoutANumber(t *testing.T) {
	h := paid(t)
	was := h.s.m.events.last
	r := &record.Record{Index: h.s.m.index + 1, Updates: []facts.Update{facts.Restored{}}}
	m, err := Read(h.snapshot, append(slices.Clone(h.records), r.Write()))
	if err != nil || m.events.last != was+1<<32 {
		t.Fatal(was, m, err)
	}
	r.Index, r.Updates = r.Index+1, []facts.Update{facts.Restored{Seqs: math.MaxUint64 - 1<<32}}
	if err := m.replay(r); err == nil {
		t.Fatal("the numbers of events begin again at", m.events.last)
	}
}

// A log that could not be read at the restore is marked all the same: whoever can read it finds the channel unverified, and goes on from there.
func TestMarkUnread(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		h := heldHTLC(t)
		if snapshot {
			h.takeSnapshot()
		}
		mark := MarkUnread(restoredSeqs)
		if _, err := MarkRestored(nil, [][]byte{mark}, restoredSeqs); err == nil {
			t.Fatal("a mark alone is a channel")
		}
		h.records, h.all = append(h.records, mark), append(h.all, mark)
		silent(t, "start", h.restart())
		if snapshot {
			h.all = nil
		}
		silent(t, "deadline", h.do(h.block(195)))
		if o := h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser, ReplyTo: "user"}); !errors.Is(o.Refused, ErrUnverified) {
			t.Fatal("force-close:", o.Refused)
		}
		silent(t, "restart", h.restart())
		h.do(messages.TrustRestored{Channel: h.s.id, ReplyTo: "user"})
		h.restart()
		if h.s.m.facts.Unverified || h.s.m.events.last <= restoredSeqs {
			t.Fatalf("unverified %v, last event %d", h.s.m.facts.Unverified, h.s.m.events.last)
		}
	}
}

// Only a mark may come without its number.
func TestRecordsWithoutANumber(t *testing.T) {
	h := paid(t)
	for _, r := range []*record.Record{
		{Updates: []facts.Update{facts.Verified{}}},
		{Updates: []facts.Update{facts.Restored{}, facts.Verified{}}},
		{Updates: []facts.Update{facts.Restored{}}, UpdateID: h.s.m.updateID + 1},
		{Updates: []facts.Update{facts.Restored{}}, Acked: []uint64{1}},
		{Updates: []facts.Update{facts.Restored{}}, Events: []facts.Event{{Seq: h.s.m.events.last + 1<<32 + 1, Kind: facts.ChannelPending{}}}},
		{},
	} {
		if _, err := Read(h.snapshot, append(slices.Clone(h.records), r.Write())); err == nil {
			t.Errorf("%+v", r)
		}
	}
}

// The coins of a funding transaction that may confirm are held, although it is not broadcast.
func TestUnverifiedHoldsTheFundingCoins(t *testing.T) {
	h := newHarness(t, true)
	h.create()
	o := h.restored()
	silent(t, "start", o)
	s, ok := told[messages.WalletSpends](o)
	if !ok || !s.Held || s.Tx.TxHash() != h.funding.TxHash() {
		t.Fatalf("%+v", s)
	}
	h.load()
	var cast *wire.MsgTx
	if b, ok := told[messages.Broadcast](h.update(facts.Verified{})); ok {
		cast = b.Tx
	}
	if cast == nil || cast.TxHash() != h.funding.TxHash() {
		t.Fatal("the funding transaction is not broadcast")
	}
}

// A log that does not hold together is not marked.
func TestMarkRestoredChecks(t *testing.T) {
	h := paid(t)
	for i := range h.records {
		records := append([][]byte(nil), h.records...)
		records[i] = append([]byte(nil), records[i][:len(records[i])-1]...)
		if _, err := MarkRestored(nil, records, restoredSeqs); err == nil {
			t.Errorf("record %d is cut", i)
		}
		if i > 0 {
			if _, err := MarkRestored(nil, h.records[i:], restoredSeqs); err == nil {
				t.Errorf("%d records are missing", i)
			}
		}
	}
	if _, err := MarkRestored(nil, nil, restoredSeqs); !errors.Is(err, ErrNoChannel) {
		t.Error(err)
	}
}
