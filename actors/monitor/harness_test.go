package monitor

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// keys is a deterministic key source of one side.
func keys(side byte) chankeys.Source {
	return func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		b := binary.BigEndian.AppendUint32([]byte{side}, uint32(family))
		h := sha256.Sum256(binary.BigEndian.AppendUint32(b, index))
		key, _ := btcec.PrivKeyFromBytes(h[:])
		return key, nil
	}
}

var (
	holderKeys = chankeys.NewLocal(keys('h'))
	peerKeys   = chankeys.NewLocal(keys('p'))
)

const capacity = 1_000_000

// fail ends a test; both testing.T and rapid.T have it.
type fail interface {
	Helper()
	Fatalf(format string, args ...any)
}

// harness is a monitor, its neighbours' view, and a disk that takes everything at once.
type harness struct {
	t       fail
	funding *wire.MsgTx
	opened  facts.Opened

	s           *Session
	incarnation uint64
	channel     uint64 // incarnation of the channel
	fence       uint64
	manager     uint64

	// The disk.
	snapshot []byte
	records  [][]byte // since the snapshot
	all      [][]byte // since the beginning
	rows     map[string][]byte

	// What left, over all incarnations.
	emitted map[uint64]facts.Event
	acked   map[uint64]bool
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newHarness(t fail, funder bool) *harness {
	h := &harness{t: t, rows: map[string][]byte{}, emitted: map[uint64]facts.Event{}, acked: map[uint64]bool{}}
	static := commitment.Static{
		Capacity: capacity, HolderIsFunder: funder, HolderDustLimit: 354, CounterpartyDustLimit: 400,
		HolderToSelfDelay: 144, CounterpartyToSelfDelay: 200,
		Holder: must(holderKeys.Basepoints(7)), Counterparty: must(peerKeys.Basepoints(7)),
	}
	_, script, err := commitment.FundingScript(static.Holder.Funding, static.Counterparty.Funding)
	if err != nil {
		panic(err)
	}
	h.funding = wire.NewMsgTx(2)
	h.funding.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{9}}, nil, wire.TxWitness{{1}}))
	h.funding.AddTxOut(wire.NewTxOut(5000, []byte{txscript.OP_TRUE}))
	h.funding.AddTxOut(wire.NewTxOut(capacity, script))
	static.Funding = wire.OutPoint{Hash: h.funding.TxHash(), Index: 1}
	st := &facts.Static{
		ID: ln.NewChannelID(static.Funding), TemporaryID: ln.ChannelID{1, 2}, Peer: ln.NodeID{2, 7}, KeyIndex: 7, Tx: static,
		Holder:       facts.Params{DustLimitSat: 354, MaxHTLCValueInFlightMsat: 9e8, ReserveSat: 10_000, HTLCMinimumMsat: 1, ToSelfDelay: 200, MaxAcceptedHTLCs: 30},
		Counterparty: facts.Params{DustLimitSat: 400, MaxHTLCValueInFlightMsat: 8e8, ReserveSat: 11_000, HTLCMinimumMsat: 1000, ToSelfDelay: 144, MaxAcceptedHTLCs: 20},
		MinDepth:     3, Alias: 0xa11a5, OpenedHeight: 100,
	}
	if funder {
		var b bytes.Buffer
		if err := h.funding.Serialize(&b); err != nil {
			panic(err)
		}
		st.FundingTx = b.Bytes()
	}
	h.opened = facts.Opened{
		Static: st, HolderMsat: capacity * 500, CounterpartyMsat: capacity * 500, FeePerKw: 1000,
		CounterpartyPoint: h.peerPoint(0), ChainHeight: 100, ChainHash: blockHash(100),
	}
	h.opened.HolderSig = h.peerSig(facts.New(h.opened))
	return h
}

// create starts the monitor of the new channel.
func (h *harness) create() Output {
	h.t.Helper()
	m, step, err := Create(holderKeys, h.opened)
	if err != nil {
		h.t.Fatalf("create: %v", err)
	}
	h.incarnation++
	h.s = NewSession(m, h.incarnation)
	o, err := h.s.Created(step, []messages.Delivery{{To: "opening", Msg: "then"}})
	if err != nil {
		h.t.Fatalf("create: %v", err)
	}
	h.durable(o)
	return o
}

// ready is a channel that is open on both sides and loaded.
func ready(t fail, funder bool) *harness {
	h := newHarness(t, funder)
	h.create()
	h.do(messages.ChainBlock{Incarnation: h.incarnation, Height: 103, Hash: blockHash(103), Tip: 103, Matches: []messages.ChainMatch{{Tx: h.funding, TxIndex: 1, Height: 101}}})
	h.load()
	h.update(facts.CounterpartyReady{NextPoint: h.peerPoint(1), Alias: 5})
	return h
}

// do hands a message to the monitor and makes the output durable.
func (h *harness) do(msg any) Output {
	h.t.Helper()
	o, err := h.s.Handle(msg)
	if err != nil {
		h.t.Fatalf("%T: %v", msg, err)
	}
	h.durable(o)
	return o
}

// durable writes an output and checks what must hold whatever it is.
func (h *harness) durable(o Output) {
	h.t.Helper()
	if o.Record != nil {
		b := o.Record.Write()
		if err := o.Record.Check(b); err != nil {
			h.t.Fatalf("S10: %v", err)
		}
		h.records, h.all = append(h.records, b), append(h.all, b)
		for _, seq := range o.Record.Acked {
			h.acked[seq] = true
		}
	}
	for _, r := range o.Rows {
		row := record.WriteRow(r)
		if err := record.CheckRow(r, row); err != nil {
			h.t.Fatalf("S10: %v", err)
		}
		h.rows[row.Bucket+string(row.Key)] = row.Value
	}
	for _, d := range o.Then {
		switch m := d.Msg.(type) {
		case messages.EmitEvents:
			h.emit(m.Events)
		case messages.MonitorReport:
			h.emit(m.Events)
		}
	}
}

// emit checks S8 and L8: an id names one event for ever, in order, and never one that was acknowledged.
func (h *harness) emit(events []facts.Event) {
	h.t.Helper()
	last := uint64(0)
	for _, e := range events {
		if e.Seq <= last {
			h.t.Fatalf("S8: event %d after %d", e.Seq, last)
		}
		last = e.Seq
		if h.acked[e.Seq] {
			h.t.Fatalf("L8: event %d was acknowledged", e.Seq)
		}
		if was, ok := h.emitted[e.Seq]; ok {
			if path := record.Differ(was, e); path != "" {
				h.t.Fatalf("S8: event %d named another one before: %s", e.Seq, path)
			}
		}
		h.emitted[e.Seq] = e
	}
}

// read is the monitor as the disk has it.
func (h *harness) read(snapshot []byte, records [][]byte) *Monitor {
	h.t.Helper()
	var s *record.Snapshot
	if snapshot != nil {
		s = must(record.ReadSnapshot(snapshot))
	}
	var rs []*record.Record
	for _, b := range records {
		rs = append(rs, must(record.Read(b)))
	}
	m, err := Restore(holderKeys, s, rs)
	if err != nil {
		h.t.Fatalf("restore: %v", err)
	}
	return m
}

// same checks that the disk gives the monitor that is in memory.
func (h *harness) same() {
	h.t.Helper()
	want := h.s.m.Snapshot()
	for name, m := range map[string]*Monitor{"snapshot and records": h.read(h.snapshot, h.records), "all records": h.read(nil, h.all)} {
		got := m.Snapshot()
		// A dropped update has an id in memory only.
		got.UpdateID = max(got.UpdateID, want.UpdateID)
		if path := record.Differ(want, got); path != "" {
			h.t.Fatalf("replay of %s differs%s", name, path)
		}
		if path := record.Differ(h.s.m.accepted, m.accepted); path != "" {
			h.t.Fatalf("replay of %s differs in accepted%s", name, path)
		}
	}
}

// takeSnapshot replaces the records on the disk.
func (h *harness) takeSnapshot() {
	h.t.Helper()
	s := h.s.m.Snapshot()
	b := s.Write()
	if err := s.Check(b); err != nil {
		h.t.Fatalf("S10: %v", err)
	}
	h.snapshot, h.records = b, nil
}

// restart is a crash: a new incarnation from the disk.
func (h *harness) restart() Output {
	h.t.Helper()
	h.incarnation++
	h.channel = 0
	h.s = NewSession(h.read(h.snapshot, h.records), h.incarnation)
	o, err := h.s.Start()
	if err != nil {
		h.t.Fatalf("start: %v", err)
	}
	h.durable(o)
	return o
}

func (h *harness) load() Output {
	h.t.Helper()
	h.incarnation++
	h.channel = h.incarnation
	return h.do(messages.ChannelLoad{Channel: h.s.id, Incarnation: h.channel})
}

// draw is a fence of the manager, answered by the channel if it is asked.
func (h *harness) draw() Output {
	h.t.Helper()
	h.fence++
	o := h.do(messages.Fence{Channel: h.s.id, ManagerIncarnation: max(h.manager, 1), Fence: h.fence})
	if _, asked := told[messages.ChannelFence](o); asked {
		o = h.do(messages.ChannelFenced{Incarnation: h.channel, Fence: h.fence})
	}
	return o
}

func (h *harness) next(u facts.Update, then ...messages.Delivery) messages.MonitorUpdate {
	return messages.MonitorUpdate{Channel: h.s.id, Incarnation: h.channel, UpdateID: h.s.m.updateID + 1, Update: u, Then: then}
}

func (h *harness) update(u facts.Update, then ...messages.Delivery) Output {
	h.t.Helper()
	return h.do(h.next(u, then...))
}

func told[T any](o Output) (msg T, ok bool) {
	for _, d := range o.Then {
		if m, is := d.Msg.(T); is {
			return m, true
		}
	}
	return msg, false
}

// Updates.

func preimage(id uint64) ln.Preimage { return ln.Preimage{byte(id), byte(id >> 8), 'p'} }

func hashOf(id uint64) ln.Hash {
	p := preimage(id)
	return sha256.Sum256(p[:])
}

func outbound(id, msat uint64, expiry uint32) facts.HTLC {
	payment := ln.PaymentID{'i', 'd', byte(id), byte(id >> 8)}
	return facts.HTLC{
		ID: id, AmountMsat: msat, Hash: hashOf(id), CLTVExpiry: expiry, Onion: bytes.Repeat([]byte{byte(id), 7}, 20),
		Source: &ln.Source{Payment: &ln.PaymentSource{PaymentID: payment, PartID: id, SessionKey: [32]byte{byte(id)}, Path: []ln.NodeID{{2, 9}}, TotalMsat: msat}},
	}
}

func inbound(id, msat uint64, expiry uint32) facts.HTLC {
	return facts.HTLC{ID: id, AmountMsat: msat, Hash: hashOf(id), CLTVExpiry: expiry, Onion: bytes.Repeat([]byte{byte(id), 8}, 20)}
}

func fulfilled(id uint64) facts.Resolution {
	p := preimage(id)
	return facts.Resolution{Preimage: &p}
}

func failed(reason string) facts.Resolution { return facts.Resolution{Reason: []byte(reason)} }

func (h *harness) peerPoint(n uint64) (p [33]byte) {
	return [33]byte(must(peerKeys.PerCommitmentPoint(7, n)).SerializeCompressed())
}

// revocation is the revoke_and_ack that is due.
func (h *harness) revocation() facts.Revocation {
	n := h.s.m.facts.CounterpartyNumber
	return facts.Revocation{Secret: must(peerKeys.ReleaseSecret(7, n)), NextPoint: h.peerPoint(n + 2)}
}

// holderCommitment is a valid commitment_signed of the peer.
func (h *harness) holderCommitment(adds []facts.HTLC, removes ...facts.Removal) facts.HolderCommitment {
	h.t.Helper()
	u := facts.HolderCommitment{Adds: adds, Removes: removes}
	c := h.s.m.facts.Clone()
	if _, err := c.Apply(u); err != nil {
		h.t.Fatalf("holder commitment: %v", err)
	}
	u.Sig = h.peerSig(c)
	return u
}

func (h *harness) peerSig(c *facts.Channel) lnwire.Sig {
	tx := build(c, facts.Holder)
	key := must(keys('p')(keychain.KeyFamilyMultiSig, 7))
	return must(commitment.Sign(key, must(tx.SigHash())))
}

func build(c *facts.Channel, w facts.Which) *commitment.Tx {
	var point *btcec.PublicKey
	if w == facts.Holder {
		point = must(holderKeys.PerCommitmentPoint(7, c.HolderNumber))
	}
	return must(commitment.Build(&c.Tx, must(c.View(w, point))))
}

// Chain.

func blockHash(height uint32) (h chainhash.Hash) {
	binary.BigEndian.PutUint32(h[:], height)
	return h
}

func (h *harness) block(height uint32, txs ...*wire.MsgTx) messages.ChainBlock {
	b := messages.ChainBlock{Incarnation: h.s.incarnation, Height: height, Hash: blockHash(height), Tip: height}
	for i, tx := range txs {
		b.Matches = append(b.Matches, messages.ChainMatch{Tx: tx, TxIndex: uint32(i + 1), Height: height})
	}
	return b
}

func kindsOf(events []facts.Event) (out []string) {
	for _, e := range events {
		out = append(out, fmt.Sprintf("%d %T", e.Seq, e.Kind))
	}
	return out
}

func wantErr[T error](t *testing.T, err error) T {
	t.Helper()
	var want T
	if !errors.As(err, &want) {
		t.Fatalf("got %v (%T), want a %T", err, err, want)
	}
	return want
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if path := record.Differ(want, got); path != "" {
		t.Fatalf("%s%s: got %+v, want %+v", what, path, got, want)
	}
}

func sortedRows(h *harness, bucket string) (keys []string) {
	for k := range h.rows {
		if len(k) > len(bucket) && k[:len(bucket)] == bucket {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
