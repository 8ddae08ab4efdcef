package monitor

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// paid is a channel with one outbound HTLC that is irrevocably committed.
func paid(t *testing.T) *harness {
	h := ready(t, true)
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{1, 2}})
	h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(0, 1_000_000, 140)}})
	h.update(h.revocation())
	h.update(h.holderCommitment(nil))
	return h
}

func (h *harness) reportNow() messages.MonitorReport {
	h.t.Helper()
	r, ok := told[messages.MonitorReport](h.draw())
	if !ok {
		h.t.Fatalf("no report")
	}
	return r
}

// Scenario 2: the payer handled the fulfil and the commitment_signed only, then crashes with a manager that never knew the payment. Whatever the
// manager lost, the monitor says it: the event with its preimage, the live HTLC, and the row by which the payment id is known for ever.
func TestClaimSurvivesAManagerThatNeverKnew(t *testing.T) {
	h := paid(t)
	h.update(facts.PreimageLearned{HTLCID: 0, Preimage: preimage(0)})
	h.update(h.holderCommitment(nil, facts.Removal{HTLCID: 0, Resolution: fulfilled(0)}))
	for range 3 {
		h.restart()
		r := h.reportNow()
		equal(t, "events", kindsOf(r.Events), []string{"3 facts.Claimed"})
		claimed := r.Events[0].Kind.(facts.Claimed)
		equal(t, "preimage", claimed.Preimage, preimage(0))
		equal(t, "source", *claimed.Source.Payment, *outbound(0, 1_000_000, 140).Source.Payment)
		equal(t, "own", len(r.Own), 1)
	}
	equal(t, "rows", len(sortedRows(h, messages.BucketOutcomes)), 1)
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{3}})
	for range 3 {
		h.restart()
		r := h.reportNow()
		equal(t, "events after the ack", kindsOf(r.Events), []string(nil))
		equal(t, "preimage after the ack", *r.Own[0].Preimage, preimage(0)) // a manager without records still knows the outcome
	}
}

// Scenario 3: the dance is complete and the event unhandled: Claimed, never Failed, also after a long idle time.
func TestClaimOutlivesItsHTLC(t *testing.T) {
	h := paid(t)
	h.update(facts.PreimageLearned{HTLCID: 0, Preimage: preimage(0)})
	h.update(h.holderCommitment(nil, facts.Removal{HTLCID: 0, Resolution: fulfilled(0)}))
	h.update(facts.CounterpartyCommitment{})
	h.update(h.revocation())
	h.do(h.block(5000))
	h.takeSnapshot()
	h.restart()
	r := h.reportNow()
	equal(t, "events", kindsOf(r.Events), []string{"3 facts.Claimed"})
	equal(t, "own", len(r.Own), 0)
	if h.s.m.facts.ForceClose != nil {
		t.Fatal("L7: closed for an HTLC that is gone")
	}
}

// Scenario 7: a failure of a payment that the manager never stored carries all that is needed to insert it.
func TestFailureOfAnUnknownPayment(t *testing.T) {
	h := paid(t)
	h.update(h.holderCommitment(nil, facts.Removal{HTLCID: 0, Resolution: failed("reason")}))
	h.update(facts.CounterpartyCommitment{})
	h.update(h.revocation())
	h.restart()
	r := h.reportNow()
	equal(t, "events", kindsOf(r.Events), []string{"3 facts.Failed"})
	f := r.Events[0].Kind.(facts.Failed)
	equal(t, "reason", f.Resolution, failed("reason"))
	equal(t, "source", *f.Source.Payment, *outbound(0, 1_000_000, 140).Source.Payment)
	rows := sortedRows(h, messages.BucketOutcomes)
	row := must(record.ReadRow(messages.Row{Bucket: messages.BucketOutcomes, Value: h.rows[rows[0]]})).(*record.Outcome)
	if row.Preimage != nil || row.PaymentID != f.Source.Payment.PaymentID {
		t.Fatalf("row %+v", row)
	}
}

// Scenario 22, the monitor's part: an event that is not acknowledged comes again each time, with those after it, in order.
func TestEventsComeAgainUntilAcknowledged(t *testing.T) {
	h := ready(t, true)
	for range 4 {
		equal(t, "events", kindsOf(h.reportNow().Events), []string{"1 facts.ChannelPending", "2 facts.ChannelReady"})
	}
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{2}})
	for range 4 {
		h.restart()
		equal(t, "events", kindsOf(h.reportNow().Events), []string{"1 facts.ChannelPending"})
	}
}

// S8: seqs go on after the snapshot and after every event was acknowledged; none is used twice.
func TestSeqsAreNeverReused(t *testing.T) {
	h := ready(t, true)
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{1, 2}})
	h.takeSnapshot()
	h.restart()
	h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})
	equal(t, "events", kindsOf(h.reportNow().Events), []string{"3 facts.HolderForceClosed"})
}

// S9: acks in any order and any grouping leave the same monitor.
func TestAcksCommute(t *testing.T) {
	var want *record.Snapshot
	for seed := range uint64(20) {
		h := ready(t, true)
		for i := range uint64(6) {
			h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(i, 1_000_000, 300)}})
			h.update(h.revocation())
			h.update(facts.PreimageLearned{HTLCID: i, Preimage: preimage(i)})
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		seqs := []uint64{1, 3, 4, 6, 7}
		rnd.Shuffle(len(seqs), func(i, j int) { seqs[i], seqs[j] = seqs[j], seqs[i] })
		cut := rnd.IntN(len(seqs) + 1)
		h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: seqs[:cut]})
		h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: seqs})
		got := h.s.m.Snapshot()
		got.Index = 0 // the grouping
		if want == nil {
			want = got
		}
		if path := record.Differ(want, got); path != "" {
			t.Fatalf("seed %d differs%s", seed, path)
		}
	}
}

// Rule 18: what is broadcast is the newest commitment that the peer signed, valid by consensus, and the same bytes at every start.
func TestBroadcastIsValidAndTheSameAfterARestart(t *testing.T) {
	h := paid(t)
	first, ok := told[messages.Broadcast](h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser}))
	if !ok {
		t.Fatal("no broadcast")
	}
	out := h.funding.TxOut[1]
	prev := txscript.NewCannedPrevOutputFetcher(out.PkScript, out.Value)
	vm, err := txscript.NewEngine(out.PkScript, first.Tx, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(first.Tx, prev), out.Value, prev)
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Execute(); err != nil {
		t.Fatalf("the peer's signature and ours do not spend the funding output: %v", err)
	}
	again, _ := told[messages.Broadcast](h.restart())
	if !bytes.Equal(txBytes(t, first.Tx), txBytes(t, again.Tx)) {
		t.Fatal("another transaction after the restart")
	}
	equal(t, "htlc outputs", len(build(h.s.m.facts, facts.Holder).HTLCs), 1)
}

func txBytes(t *testing.T, tx *wire.MsgTx) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tx.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The peer announced one funding output and made another: the channel never becomes ready.
func TestWrongFundingOutput(t *testing.T) {
	for name, spoil := range map[string]func(*facts.Static){
		"amount": func(s *facts.Static) { s.Tx.Capacity++ },
		"script": func(s *facts.Static) { s.Tx.Counterparty.Funding = s.Tx.Counterparty.HTLC },
		"index":  func(s *facts.Static) { s.Tx.Funding.Index = 9 },
	} {
		h := newHarness(t, false)
		spoil(h.opened.Static)
		h.create()
		h.do(h.block(101, h.funding))
		h.do(h.block(110))
		if h.s.m.facts.Funding != nil || h.s.m.facts.HolderReady {
			t.Errorf("%s: taken for the funding transaction", name)
		}
	}
}

// A hole in the log is found although the records around it would fit together.
func TestReplayFindsHoles(t *testing.T) {
	h := ready(t, true)
	h.do(h.block(110))
	h.do(h.block(120))
	h.do(h.block(130))
	for i := range h.all {
		var rs []*record.Record
		for j, b := range h.all {
			if j != i {
				rs = append(rs, must(record.Read(b)))
			}
		}
		_, err := Restore(holderKeys, nil, rs)
		if i == len(h.all)-1 {
			if err != nil {
				t.Fatalf("a prefix: %v", err)
			}
			continue
		}
		wantErr[*ReplayError](t, err)
	}
	_, err := Restore(holderKeys, nil, nil)
	equal(t, "nothing", err, ErrNoChannel)
}

// Replay takes events from the records and derives none (hole 1 of the original): a record without its event restores without it.
func TestReplayDerivesNoEvents(t *testing.T) {
	h := paid(t)
	h.update(facts.PreimageLearned{HTLCID: 0, Preimage: preimage(0)})
	var rs []*record.Record
	for _, b := range h.all {
		rs = append(rs, must(record.Read(b)))
	}
	last := rs[len(rs)-1]
	last.Events[0].Kind = facts.ChannelReady{}
	m := must(Restore(holderKeys, nil, rs))
	equal(t, "event", m.events.get(3).Kind, facts.EventKind(facts.ChannelReady{}))
}

// forced is a channel with an HTLC that is being closed, while its channel does not know it yet.
func forced(t *testing.T) *harness {
	h := ready(t, true)
	h.draw()
	h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})
	return h
}

// L1: adds that were on their way when the channel ended are answered. No report will tell that they are in no commitment.
func TestAddsThatAreDroppedAreAnswered(t *testing.T) {
	h := forced(t)
	add := outbound(0, 1_000_000, 140)
	o := h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{add}}, messages.Delivery{To: "peer", Msg: "commitment_signed"})
	equal(t, "deliveries", len(o.Then), 1)
	no, _ := told[messages.NotCommitted](o)
	equal(t, "answer", no, messages.NotCommitted{Channel: h.s.id, Fence: h.fence, Source: *add.Source, Why: ErrEnded})
}

// Rule 18, S12: the channel took a new holder commitment in that is dropped here; after a new connection it would revoke the one that is
// broadcast.
func TestNothingIsRevokedAgainAfterTheEnd(t *testing.T) {
	h := forced(t)
	u := h.next(nil, messages.Delivery{To: "peer", Msg: "revoke_and_ack"})
	u.Commits = true
	equal(t, "deliveries", len(h.do(u).Then), 0)
	u.Commits = false
	equal(t, "deliveries", len(h.do(u).Then), 1) // what commits to nothing is said
}

// What follows from a dropped update is dropped too. A peer that reveals the secret of a commitment before it was replaced gets no channel into
// quarantine by it.
func TestUpdatesThatDoNotFitAfterTheEndAreDropped(t *testing.T) {
	h := forced(t)
	revocation := h.revocation()
	before := h.s.m.index
	for _, u := range []facts.Update{
		facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(0, 1_000_000, 140)}},
		revocation,
		facts.PreimageLearned{HTLCID: 0, Preimage: preimage(0)},
		facts.CounterpartyReady{NextPoint: h.peerPoint(1)},
	} {
		o := h.update(u, messages.Delivery{To: "peer", Msg: "then"})
		if o.Record != nil || o.Refused == nil {
			t.Fatalf("%T was recorded", u)
		}
	}
	equal(t, "index", h.s.m.index, before)
	h.update(facts.CounterpartyShutdown{Script: []byte{1}}) // what fits is recorded, with the next id
	h.same()
	h.restart()
	h.same()
}
