package monitor

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// broken is a peer that revoked commitment 1, which had an HTLC of each direction, and then broadcast it.
func broken(t *testing.T) (h *harness, old *wire.MsgTx) {
	t.Helper()
	h, _, old = brokenTwice(t)
	return h, old
}

// brokenTwice has commitment 0, without HTLCs, besides.
func brokenTwice(t *testing.T) (h *harness, first, old *wire.MsgTx) {
	t.Helper()
	h = ready(t, true)
	h.draw()
	first = build(h.s.m.facts, facts.Counterparty).Tx
	h.update(facts.HolderCommitment{Adds: []facts.HTLC{inbound(0, 50_000_000, 400)}, Sig: h.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 400)}).Sig})
	h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(0, 40_000_000, 300)}})
	h.update(h.revocation())
	old = build(h.s.m.facts, facts.Counterparty).Tx
	h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(1, 1_000_000, 300)}})
	h.update(h.revocation())
	return h, first, old
}

// answer gives the monitor what the store has for its question.
func (h *harness) answer(t *testing.T, o Output) Output {
	t.Helper()
	q, ok := told[messages.GetRows](o)
	if !ok {
		t.Fatal("nothing was asked of the store")
	}
	reply := messages.GotRows{Incarnation: q.Incarnation, Token: q.Token}
	if v := h.rows[q.Bucket+string(q.Key)]; v != nil {
		reply.Rows = []messages.Row{{Bucket: q.Bucket, Key: q.Key, Value: v}}
	}
	return h.do(reply)
}

func builds(o Output) (n int) {
	for _, d := range o.Then {
		if b, ok := d.Msg.(messages.BuildClaim); ok {
			n += len(b.Inputs)
		}
	}
	return n
}

// TestRevokedRowIsRead: the HTLCs of a revoked commitment are known from their row alone. It is asked for until it is there, also after a restart, and
// what it says is durable.
func TestRevokedRowIsRead(t *testing.T) {
	h, old := broken(t)
	o := h.do(h.block(104, old))
	if n := builds(o); n != 1 {
		t.Fatalf("claims of %d outputs without the row, only to_local is known", n)
	}
	h.restart()
	o = h.do(h.block(105))
	n := builds(o)
	o = h.answer(t, o)
	if n += builds(o); n != 3 {
		t.Fatalf("claims of %d outputs, want to_local and two HTLCs", n)
	}
	o = h.restart()
	if _, again := told[messages.GetRows](o); again || builds(o) != 3 {
		t.Fatalf("after a restart: asked again %v, claims of %d outputs", again, builds(o))
	}
	h.same()
}

// TestRevokedRowOfAnother: an answer about a revoked commitment that a reorganisation replaced by another one says nothing about that.
func TestRevokedRowOfAnother(t *testing.T) {
	h, first, old := brokenTwice(t)
	o := h.do(h.block(104, first))
	q, ok := told[messages.GetRows](o)
	if !ok {
		t.Fatal("nothing was asked of the store")
	}
	h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 103, Hash: blockHash(103)})
	o = h.do(h.block(104, old))
	n := builds(o)
	if o := h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token}); o.Record != nil {
		t.Fatal("it is taken for an answer about the other one")
	}
	if n += builds(h.answer(t, o)); n != 3 {
		t.Fatalf("claims of %d outputs, want to_local and two HTLCs", n)
	}
}

// TestRevokedRowUnreadable: what can be punished without the row is punished.
func TestRevokedRowUnreadable(t *testing.T) {
	h, old := broken(t)
	o := h.do(h.block(104, old))
	n := builds(o)
	q, _ := told[messages.GetRows](o)
	o = h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token, Rows: []messages.Row{{Bucket: q.Bucket, Key: q.Key, Value: []byte{1}}}})
	if o.Refused == nil || n != 1 || builds(o) != 0 {
		t.Fatalf("refused %v, claims of %d and %d outputs", o.Refused, n, builds(o))
	}
	if o = h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token, Err: errors.New("no answer")}); o.Record != nil {
		t.Fatal("an answer that came twice is recorded")
	}

	h, old = broken(t)
	q, _ = told[messages.GetRows](h.do(h.block(104, old)))
	other := record.WriteRow(&record.Revoked{Channel: h.s.id, Commitment: facts.Revoked{Number: 9}})
	if o = h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token, Rows: []messages.Row{other}}); !errors.Is(o.Refused, errOtherRow) {
		t.Fatalf("another commitment's row: %v", o.Refused)
	}
}

// closed is a channel whose cooperative close is deep enough, but for one block.
func closed(t *testing.T) *harness {
	t.Helper()
	h, _ := broken(t)
	h.draw()
	c := h.s.m.facts
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&c.Tx.Funding, nil, wire.TxWitness{{1}}))
	tx.AddTxOut(wire.NewTxOut(900_000, []byte{0x51}))
	h.do(h.block(200, tx))
	h.do(h.block(205)) // the HTLCs that it lacks have ended
	h.do(h.block(298))
	return h
}

func (h *harness) ackAll() {
	h.t.Helper()
	var seqs []uint64
	for _, e := range h.s.m.events.all() {
		seqs = append(seqs, e.Seq)
	}
	h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: seqs})
}

// TestArchive: not before the last block nor with an event that is not acknowledged (scenario 27, S17); the rows of revoked commitments go page by page,
// and a crash in between only repeats it; then the log ends with the row that takes its place.
func TestArchive(t *testing.T) {
	h := closed(t)
	if o := h.do(h.block(1000)); hasArchiveQuestion(o) {
		t.Fatal("archived with unacknowledged events")
	}
	h = closed(t)
	h.ackAll()
	if o := h.do(h.block(298)); hasArchiveQuestion(o) {
		t.Fatal("archived too early")
	}
	h.do(h.block(299))
	o := h.do(messages.ArchiveGranted{Channel: h.s.id, Incarnation: h.s.incarnation})
	q, ok := told[messages.GetRows](o)
	if !ok || !q.Prefix || q.Limit != archivePage {
		t.Fatalf("question: %+v", q)
	}
	if o := h.do(h.block(300)); hasArchiveQuestion(o) {
		t.Fatal("asked twice at a time")
	}
	page := h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token, Rows: []messages.Row{{Bucket: q.Bucket, Key: []byte("k"), Value: []byte("v")}}})
	if len(page.Delete) != 1 || page.Delete[0].Value != nil || page.Forget {
		t.Fatalf("first page: %+v", page)
	}
	if o = h.restart(); o.Forget {
		t.Fatal("forgotten without looking for more rows")
	}
	h.do(h.block(301))
	o = h.do(messages.ArchiveGranted{Channel: h.s.id, Incarnation: h.s.incarnation})
	q, _ = told[messages.GetRows](o)
	o = h.do(messages.GotRows{Incarnation: q.Incarnation, Token: q.Token})
	if !o.Forget || len(o.Rows) != 1 {
		t.Fatalf("last page: %+v", o)
	}
	row, ok := o.Rows[0].(*record.Closed)
	if !ok || row.Spend != facts.SpendMutualClose || row.Height != 200 || row.Channel != h.s.id {
		t.Fatalf("row: %+v", o.Rows[0])
	}
	var to []messages.Addr
	for _, d := range o.Then {
		if _, ok := d.Msg.(messages.ChannelArchived); ok {
			to = append(to, d.To)
		}
	}
	equal(t, "told", to, []messages.Addr{messages.ManagerAddr, messages.MonitorsAddr})
	if o := h.do(h.block(302)); !o.Nothing() {
		t.Fatalf("after its end: %+v", o)
	}
}

func hasArchiveQuestion(o Output) bool {
	q, ok := told[messages.GetRows](o)
	return ok && q.Token == tokenArchive
}

// TestQuestionsToTheWallet: one that is not answered is repeated with every block, in which the answer may have been lost, and not with every message,
// of which there are as many as answers.
func TestQuestionsToTheWallet(t *testing.T) {
	h, old := broken(t)
	o := h.do(h.block(104, old))
	if n := builds(o); n != 1 {
		t.Fatalf("claims of %d outputs", n)
	}
	if o = h.update(facts.PreimageLearned{HTLCID: 1, Preimage: preimage(1)}); o.Record == nil || builds(o) != 0 {
		t.Fatalf("record %v, asked again for claims of %d outputs", o.Record, builds(o))
	}
	if n := builds(h.do(h.block(105))); n != 1 {
		t.Fatalf("next block: claims of %d outputs", n)
	}
	if n := builds(h.do(messages.ChainStarted{})); n != 1 {
		t.Fatalf("all is asked for again: claims of %d outputs", n)
	}
}

// pointless is a signer that knows no points any more.
type pointless struct{ chankeys.Signer }

func (pointless) PerCommitmentPoint(uint32, uint64) (*btcec.PublicKey, error) {
	return nil, errors.New("no answer")
}

// TestClaimThatCannotBePlannedOn: once a claim is in the facts, a failure must not be taken for a claim that was not made. The next record would not
// follow from the last.
func TestClaimThatCannotBePlannedOn(t *testing.T) {
	h := ready(t, true)
	q, ok := told[messages.BuildClaim](h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser}))
	if !ok {
		t.Fatal("the anchor is not planned")
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: q.Inputs[0].OutPoint, Sequence: q.Inputs[0].Sequence})
	tx.AddTxIn(&wire.TxIn{Sequence: q.Inputs[0].Sequence, Witness: wire.TxWitness{{1}}})
	tx.AddTxOut(wire.NewTxOut(9000, []byte{0x51}))
	h.s.m.signer = pointless{h.s.m.signer}
	o, err := h.s.Handle(messages.ClaimBuilt{Channel: h.s.id, Incarnation: q.Incarnation, Claim: q.Claim, Tx: tx, FeeSat: 500, FeePerKw: 300})
	if err == nil || len(h.s.m.facts.OnChain.Claims) != 1 {
		t.Fatalf("the incarnation goes on with a record that is nowhere: %+v", o)
	}
}

// TestUnwantedCoinsAreGivenBack: an answer that comes when the claim is not wanted any more must not hold the wallet's coins.
func TestUnwantedCoinsAreGivenBack(t *testing.T) {
	h := ready(t, true)
	o := h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser})
	q, ok := told[messages.BuildClaim](o)
	if !ok {
		t.Fatal("the anchor is not planned")
	}
	o = h.do(h.block(104, build(h.s.m.facts, facts.Counterparty).Tx))
	if r, ok := told[messages.ReleaseClaim](o); !ok || r.Claim != q.Claim {
		t.Fatalf("released: %+v", r)
	}
	o = h.do(messages.ClaimBuilt{Channel: h.s.id, Incarnation: q.Incarnation, Claim: q.Claim, Tx: wire.NewMsgTx(2)})
	if r, ok := told[messages.ReleaseClaim](o); !ok || r.Claim != q.Claim || o.Record != nil {
		t.Fatalf("late answer: %+v", o)
	}
}

// TestDeepReorganisationAlarms: six blocks are the line.
func TestDeepReorganisationAlarms(t *testing.T) {
	for depth, alarm := range map[uint32]bool{5: false, 6: true} {
		h := ready(t, true)
		h.do(h.block(104, build(h.s.m.facts, facts.Counterparty).Tx))
		h.do(h.block(103 + depth))
		o := h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 103, Hash: blockHash(103)})
		if (o.Alarm != "") != alarm {
			t.Errorf("%d blocks deep: alarm %q", depth, o.Alarm)
		}
	}
}

// TestFundingLeavesTheChain: a channel in use whose funding transaction a reorganisation takes out is not open until that is as deep again. What the peer
// offers meanwhile is marked to be failed, since it may be worth nothing; what was accepted before is not.
func TestFundingLeavesTheChain(t *testing.T) {
	h := ready(t, false)
	h.draw()
	accept := func(id uint64) facts.HTLCAccepted {
		t.Helper()
		add := inbound(id, 50_000_000, 400)
		h.update(facts.HolderCommitment{Adds: []facts.HTLC{add}, Sig: h.holderCommitment([]facts.HTLC{add}).Sig})
		h.update(facts.CounterpartyCommitment{})
		o := h.update(h.revocation())
		e, ok := told[messages.EmitEvents](o)
		if !ok || len(e.Events) != 1 {
			t.Fatalf("events %+v", e)
		}
		return e.Events[0].Kind.(facts.HTLCAccepted)
	}
	phase := func(want messages.Phase) {
		t.Helper()
		if got := h.s.m.Summary().Phase; got != want {
			t.Fatalf("%s at height %d, want %s", got, h.s.m.facts.Height, want)
		}
	}
	if phase(messages.PhaseOpen); accept(0).Unburied {
		t.Fatal("an HTLC of an open channel is to be failed")
	}
	o := h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 100, Hash: blockHash(100)})
	if u, ok := told[messages.MonitorFact](o); !ok || u.Update != (facts.FundingUnconfirmed{}) || o.Alarm == "" {
		t.Fatalf("alarm %q, the channel is told %+v", o.Alarm, u)
	}
	if phase(messages.PhaseUnburied); !accept(1).Unburied {
		t.Fatal("an HTLC is accepted without a funding transaction")
	}
	h.do(h.block(104, h.funding))
	h.restart()
	h.load()
	h.draw()
	if phase(messages.PhaseUnburied); h.s.m.wakeHeight() != 106 {
		t.Fatalf("wakes at %d", h.s.m.wakeHeight())
	}
	h.do(h.block(105))
	if phase(messages.PhaseUnburied); !accept(2).Unburied {
		t.Fatal("an HTLC is accepted before the funding transaction is deep again")
	}
	o = h.do(h.block(106))
	if phase(messages.PhaseOpen); accept(3).Unburied || o.Record == nil {
		t.Fatal("the channel does not go on")
	}
	if _, again := told[messages.EmitEvents](o); again {
		t.Fatal("the channel is told to be ready twice")
	}
	if f := h.s.m.facts; f.ForceClose != nil || len(f.Inbound) != 4 {
		t.Fatalf("closed %v, %d HTLCs", f.ForceClose, len(f.Inbound))
	}
}

// TestWatcher: in quarantine the chain is watched by what can be read, a revoked commitment is punished, and nothing else is done.
func TestWatcher(t *testing.T) {
	h, old := broken(t)
	h.do(messages.ForceCloseChannel{Reason: facts.CloseByUser}) // a decision that may rest on an old state
	m, err := RestoreWatcher(holderKeys, nil, append(h.all[:len(h.all):len(h.all)], []byte("damaged")))
	if err == nil || m == nil {
		t.Fatalf("monitor %v, error %v", m, err)
	}
	h.incarnation++
	h.s = NewSession(m, h.incarnation)
	o, err := h.s.Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := told[messages.Broadcast](o); ok {
		t.Fatal("a commitment of unknown age is broadcast (S12)")
	}
	if _, ok := told[messages.ChainRegister](o); !ok {
		t.Fatal("nothing is watched")
	}
	for _, msg := range []any{
		messages.Fence{Channel: h.s.id, ManagerIncarnation: 1, Fence: 9},
		messages.ChannelLoad{Channel: h.s.id, Incarnation: 99},
		messages.ForceCloseChannel{Reason: facts.CloseByUser},
		messages.DecideHTLC{HTLCID: 0, Resolution: fulfilled(0)},
	} {
		o, err := h.s.Handle(msg)
		if err != nil || o.Record != nil || len(o.Then) > 0 {
			t.Fatalf("%T: %+v, %v", msg, o, err)
		}
	}
	o, err = h.s.Handle(h.block(104, old))
	if err != nil || o.Record != nil || len(o.Rows) > 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	n := builds(o)
	o, err = h.s.Handle(messages.GotRows{Incarnation: h.incarnation, Token: tokenRevoked + 1, Rows: []messages.Row{h.revokedRow(1)}})
	if n += builds(o); err != nil || n != 3 {
		t.Fatalf("claims of %d outputs: %v", n, err)
	}
	for _, d := range o.Then {
		if d.To == messages.ManagerAddr {
			t.Errorf("the manager is told %T", d.Msg)
		}
	}
}

func (h *harness) revokedRow(number uint64) messages.Row {
	key := record.RevokedKey(h.s.id, number)
	return messages.Row{Bucket: messages.BucketRevoked, Key: key, Value: h.rows[messages.BucketRevoked+string(key)]}
}

// TestWatcherOfNothing: without a record that can be read there is nobody to watch.
func TestWatcherOfNothing(t *testing.T) {
	if m, err := RestoreWatcher(chankeys.NewLocal(keys('x')), nil, [][]byte{{1}}); m != nil || !errors.Is(err, ErrNoChannel) {
		t.Fatalf("%v, %v", m, err)
	}
}

// TestOwnOldCommitment: our own revoked commitment is not taken for the peer's.
func TestOwnOldCommitment(t *testing.T) {
	h := ready(t, true)
	old := build(h.s.m.facts, facts.Holder).Tx
	h.update(h.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 400)}))
	h.update(facts.CounterpartyCommitment{})
	h.update(h.revocation())
	h.do(h.block(104, old))
	if s := h.s.m.facts.Spent; s == nil || s.Spend != facts.SpendUnknown {
		t.Fatalf("spent: %+v", s)
	}
}

// TestLostClose: what closed the channel is offered to the chain again when a reorganisation took it out, until something else closes it; and if nothing
// does within 6 blocks, we do (L5). A restart begins to count again.
func TestLostClose(t *testing.T) {
	h := ready(t, true)
	theirs := build(h.s.m.facts, facts.Counterparty).Tx
	h.do(h.block(104, theirs))
	o := h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 103, Hash: blockHash(103)})
	if b, ok := told[messages.Broadcast](o); !ok || b.Tx.TxHash() != theirs.TxHash() {
		t.Fatalf("broadcast: %+v", b)
	}
	if w, ok := told[messages.ChainWatch](o); !ok || w.WakeAt != 109 {
		t.Fatalf("wakes at %d", w.WakeAt)
	}
	h.do(h.block(108))
	h.restart()
	h.do(h.block(113))
	if f := h.s.m.facts.ForceClose; f != nil {
		t.Fatalf("closed too early: %+v", f)
	}
	o = h.do(h.block(114))
	if f := h.s.m.facts.ForceClose; f == nil || f.Reason != facts.CloseByReorganisation {
		t.Fatalf("force close: %+v", f)
	}
	if _, ok := told[messages.Broadcast](o); !ok {
		t.Fatal("our commitment is not broadcast")
	}
	h.same()

	h = ready(t, true)
	h.do(h.block(104, theirs))
	h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 103, Hash: blockHash(103)})
	o = h.do(h.block(105, build(h.s.m.facts, facts.Holder).Tx))
	if w, ok := told[messages.Withdraw](o); !ok || w.Txid != theirs.TxHash() {
		t.Fatal("the lost close is broadcast although another one confirmed")
	}
}

// TestClaimsHoldTheirCoins: at every start the wallet hears of all claims, also of those whose commitment a reorganisation took out: it may come back,
// and then their coins must not be in another transaction (rule 22, L4).
func TestClaimsHoldTheirCoins(t *testing.T) {
	h := ready(t, true)
	h.do(h.block(104, build(h.s.m.facts, facts.Counterparty).Tx))
	claim := wire.NewMsgTx(2)
	claim.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: 7}, nil, wire.TxWitness{{1}}))
	var step Step
	if err := h.s.m.extend(&step, facts.ClaimSigned{ID: 5, Tx: claim, Height: 104}); err != nil {
		t.Fatal(err)
	}
	h.durable(h.s.output(step))
	h.do(messages.ChainDisconnected{Incarnation: h.s.incarnation, Height: 103, Hash: blockHash(103)})
	o := h.restart()
	s, ok := told[messages.WalletSpends](o)
	for _, d := range o.Then {
		if m, is := d.Msg.(messages.WalletSpends); is && m.Claim == 5 {
			s = m
		}
	}
	if !ok || s.Claim != 5 || s.Tx.TxHash() != claim.TxHash() || !s.Held {
		t.Fatalf("the wallet heard %+v", s)
	}
}
