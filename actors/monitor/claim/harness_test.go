package claim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// The harness: one channel of two sides with real keys, opened on the embedded chain. What the sides say to each other is exchanged one message at
// a time, so that each HTLC state can be had on either side, and every commitment that a side was ever able to broadcast is kept, fully signed.

const (
	capacity   = 4_000_000
	keyIndex   = 7
	walletCoin = 60_000 // each of the coins that a side's wallet starts with
	coins      = 30
	commitRate = 1000 // sat per 1000 weight units, of the commitments
)

// fail ends a test; testing.T and rapid.T have it.
type fail interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// must is for what only the harness itself can get wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// held is a commitment as its owner has it: what it takes to broadcast it, and its second stages.
type held struct {
	owner    string
	tx       *commitment.Tx
	sig      lnwire.Sig // of the other side
	htlcSigs []lnwire.Sig
	signed   *wire.MsgTx
}

// signature is a commitment_signed with the updates before it.
type signature struct {
	sig      lnwire.Sig
	htlcSigs []lnwire.Sig
	adds     []facts.HTLC
	removes  []facts.Removal
}

// side is one end of the channel: its durable facts, and what its monitor reported.
type side struct {
	w    *world
	name string
	keys *chankeys.Local
	peer *side

	f       *facts.Channel
	held    []*held // by number
	rows    map[uint64]facts.Revoked
	decided map[uint64]uint32 // inbound HTLC -> height
	sent    *signature        // commitment_signed on its way to the peer
	revoke  *facts.Revocation // revoke_and_ack on its way to the peer

	sentFirst bool // sent is before revoke on the wire

	reports
	*monitor
}

// reports are what left a monitor.
type reports struct {
	claimed  map[uint64]int // outbound HTLC -> times
	failed   map[uint64]int
	ended    map[uint64]int
	resolved map[uint64]int // inbound
}

func newReports() reports {
	return reports{claimed: map[uint64]int{}, failed: map[uint64]int{}, ended: map[uint64]int{}, resolved: map[uint64]int{}}
}

func (r *reports) clone() reports {
	return reports{maps.Clone(r.claimed), maps.Clone(r.failed), maps.Clone(r.ended), maps.Clone(r.resolved)}
}

// world is the channel with both sides and the chain.
type world struct {
	fail
	chain   *regtest.Chain
	a, b    *side
	funding wire.OutPoint
	secrets map[ln.Hash]ln.Preimage
	deep    bool   // a reorganisation of 6 or more blocks was seen
	stuck   bool   // fees may become large
	shaken  uint32 // height after the last reorganisation
	hasty   bool   // HTLCs may expire before a claim of them had time
}

func source(name string) chankeys.Source {
	return func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		b := binary.BigEndian.AppendUint32([]byte(name), uint32(family))
		h := sha256.Sum256(binary.BigEndian.AppendUint32(b, index))
		key, _ := btcec.PrivKeyFromBytes(h[:])
		return key, nil
	}
}

var (
	keysA = chankeys.NewLocal(source("a"))
	keysB = chankeys.NewLocal(source("b"))
)

// walletScript is a wallet's only script. Its coins need no key, as the faucet's, but each wallet has its own.
func walletScript(name string) (witness, pkScript []byte) {
	witness = must(txscript.NewScriptBuilder().AddData([]byte("wallet " + name)).AddOp(txscript.OP_DROP).AddOp(txscript.OP_TRUE).Script())
	sum := sha256.Sum256(witness)
	return witness, append([]byte{txscript.OP_0, txscript.OP_DATA_32}, sum[:]...)
}

// base is the chain on which every test starts: the funding output and the coins of both wallets are confirmed.
var base = sync.OnceValues(func() (*regtest.Snapshot, wire.OutPoint) {
	c := must(regtest.New(""))
	_, script, err := commitment.FundingScript(must(keysA.Basepoints(keyIndex)).Funding, must(keysB.Basepoints(keyIndex)).Funding)
	if err != nil {
		panic(err)
	}
	outs := []*wire.TxOut{{Value: capacity, PkScript: script}}
	for _, name := range []string{"a", "b"} {
		_, pk := walletScript(name)
		for range coins {
			outs = append(outs, &wire.TxOut{Value: walletCoin, PkScript: pk})
		}
	}
	tx := must(c.Pay(outs...))
	must(c.Mine(1))
	return must(c.Snapshot()), wire.OutPoint{Hash: tx.TxHash()}
})

// newWorld opens the channel. The delays and dust limits of the sides differ.
func newWorld(t fail, aFunds bool) *world { return newWorldWith(t, aFunds, 400, 12_000) }

func newWorldWith(t fail, aFunds bool, dustA, dustB btcutil.Amount) *world {
	snap, funding := base()
	w := &world{fail: t, chain: must(snap.Open()), funding: funding, secrets: map[ln.Hash]ln.Preimage{}}
	sa := commitment.Static{
		Funding: funding, Capacity: capacity, HolderIsFunder: aFunds, HolderDustLimit: dustA, CounterpartyDustLimit: dustB,
		HolderToSelfDelay: 9, CounterpartyToSelfDelay: 12,
		Holder: must(keysA.Basepoints(keyIndex)), Counterparty: must(keysB.Basepoints(keyIndex)),
	}
	sb := sa
	sb.HolderIsFunder, sb.Holder, sb.Counterparty = !aFunds, sa.Counterparty, sa.Holder
	sb.HolderDustLimit, sb.CounterpartyDustLimit = sa.CounterpartyDustLimit, sa.HolderDustLimit
	sb.HolderToSelfDelay, sb.CounterpartyToSelfDelay = sa.CounterpartyToSelfDelay, sa.HolderToSelfDelay
	w.a, w.b = w.newSide("a", keysA), w.newSide("b", keysB)
	w.a.peer, w.b.peer = w.b, w.a
	w.a.open(sa, 9, 12)
	w.b.open(sb, 12, 9)
	for _, s := range w.sides() {
		s.hold(s.peer.signNext(facts.Counterparty))
		s.f.HolderSig = s.held[0].sig
		s.apply(facts.FundingConfirmed{Height: w.height(), TxIndex: 1})
		s.apply(facts.HolderReady{})
		s.apply(facts.CounterpartyReady{NextPoint: s.peer.point(1)})
	}
	return w
}

func (w *world) sides() []*side { return []*side{w.a, w.b} }

func (w *world) height() uint32 { return uint32(w.chain.Height()) }

func (w *world) newSide(name string, keys *chankeys.Local) *side {
	s := &side{w: w, name: name, keys: keys, rows: map[uint64]facts.Revoked{}, decided: map[uint64]uint32{}, reports: newReports()}
	s.monitor = newMonitor(s)
	return s
}

func (s *side) open(tx commitment.Static, delay, peerDelay uint16) {
	hash, height := s.w.chain.Tip()
	params := func(dust btcutil.Amount, delay uint16) facts.Params {
		return facts.Params{DustLimitSat: uint64(dust), MaxHTLCValueInFlightMsat: capacity * 1000, HTLCMinimumMsat: 1, ToSelfDelay: delay, MaxAcceptedHTLCs: 30}
	}
	s.f = facts.New(facts.Opened{
		Static: &facts.Static{
			ID: ln.NewChannelID(tx.Funding), Peer: ln.NodeID{2, s.name[0]}, KeyIndex: keyIndex, Tx: tx,
			Holder: params(tx.HolderDustLimit, peerDelay), Counterparty: params(tx.CounterpartyDustLimit, delay), MinDepth: 1, OpenedHeight: uint32(height),
		},
		HolderMsat: capacity * 500, CounterpartyMsat: capacity * 500, FeePerKw: commitRate, CounterpartyPoint: s.peer.point(0),
		ChainHeight: uint32(height), ChainHash: hash,
	})
}

// clone is the same world on a chain of its own, for another test.
func (w *world) clone(t fail) *world {
	snap, _ := base()
	v := &world{fail: t, chain: must(snap.Open()), funding: w.funding, secrets: maps.Clone(w.secrets)}
	if w.height() != v.height() {
		panic("a world is cloned before its first block")
	}
	v.a, v.b = w.a.clone(v), w.b.clone(v)
	v.a.peer, v.b.peer = v.b, v.a
	return v
}

func (s *side) clone(w *world) *side {
	d := &side{
		w: w, name: s.name, keys: s.keys, f: s.f.Clone(), held: slices.Clone(s.held), rows: maps.Clone(s.rows), sent: s.sent, revoke: s.revoke,
		sentFirst: s.sentFirst, decided: maps.Clone(s.decided), reports: s.reports.clone(),
	}
	d.monitor = newMonitor(d)
	return d
}

// apply changes the facts and takes note of what that reports.
func (s *side) apply(u facts.Update) {
	s.w.Helper()
	ch, err := s.f.Apply(u)
	if err != nil {
		s.w.Fatalf("%s: %v: %+v", s.name, err, u)
	}
	s.r = nil
	if _, ok := u.(facts.BlockSeen); !ok {
		s.dirty = true
	}
	for _, h := range ch.Claimed {
		s.claimed[h.ID]++
	}
	for _, h := range ch.Failed {
		s.failed[h.ID]++
	}
	for _, h := range ch.OutboundEnd {
		s.ended[h.ID]++
	}
	for _, h := range ch.Resolved {
		s.resolved[h.ID]++
	}
	if ch.Revoked != nil {
		s.rows[ch.Revoked.Number] = *ch.Revoked
	}
}

func (s *side) point(n uint64) [33]byte {
	return [33]byte(must(s.keys.PerCommitmentPoint(keyIndex, n)).SerializeCompressed())
}

func (s *side) build(which facts.Which) *commitment.Tx {
	var point *btcec.PublicKey
	if which == facts.Holder {
		point = must(s.keys.PerCommitmentPoint(keyIndex, s.f.HolderNumber))
	}
	return must(commitment.Build(&s.f.Tx, must(s.f.View(which, point))))
}

func (s *side) signNext(which facts.Which) (lnwire.Sig, []lnwire.Sig) {
	sig, htlcSigs, err := s.keys.SignCounterparty(keyIndex, &s.f.Tx, s.build(which))
	if err != nil {
		panic(err)
	}
	return sig, htlcSigs
}

// hold keeps the holder commitment of the facts with the peer's signatures.
func (s *side) hold(sig lnwire.Sig, htlcSigs []lnwire.Sig) {
	h := &held{owner: s.name, tx: s.build(facts.Holder), sig: sig, htlcSigs: htlcSigs}
	if err := h.tx.Verify(sig, htlcSigs); err != nil {
		panic(err)
	}
	h.signed = must(h.tx.Complete(must(s.keys.SignHolder(keyIndex, &s.f.Tx, h.tx)), sig))
	s.held = append(s.held, h)
}

// current is the commitment that the side would broadcast.
func (s *side) current() *held { return s.held[len(s.held)-1] }

// sign sends commitment_signed with new HTLCs and the removal of decided ones.
func (s *side) sign(adds []facts.HTLC, removes ...uint64) {
	s.w.Helper()
	m := &signature{}
	for _, id := range removes {
		m.removes = append(m.removes, facts.Removal{HTLCID: id, Resolution: *s.f.Inbound[id].Resolution})
	}
	s.apply(facts.CounterpartyCommitment{Adds: adds, Removes: removes})
	for _, h := range adds {
		h.Source = nil
		m.adds = append(m.adds, h)
	}
	m.sig, m.htlcSigs = s.signNext(facts.CounterpartyNext)
	s.sent, s.sentFirst = m, s.revoke == nil
}

// receive takes the peer's commitment_signed, and answers with revoke_and_ack.
func (s *side) receive() {
	s.w.Helper()
	m := s.peer.sent
	s.peer.sent = nil
	s.apply(facts.HolderCommitment{Sig: m.sig, HTLCSigs: m.htlcSigs, Adds: m.adds, Removes: m.removes})
	s.hold(m.sig, m.htlcSigs)
	n := s.f.HolderNumber
	s.sentFirst = s.sent != nil
	s.revoke = &facts.Revocation{Secret: must(s.keys.ReleaseSecret(keyIndex, n-1)), NextPoint: s.point(n + 1)}
}

// acked takes the peer's revoke_and_ack.
func (s *side) acked() {
	s.w.Helper()
	s.apply(*s.peer.revoke)
	s.peer.revoke = nil
}

// round is one commitment_signed with its answer.
func (s *side) round(adds []facts.HTLC, removes ...uint64) {
	s.w.Helper()
	s.sign(adds, removes...)
	s.peer.receive()
	s.acked()
}

// settle exchanges signatures until each side's updates are in both commitments.
func (w *world) settle() {
	w.Helper()
	for range 2 {
		w.a.round(nil)
		w.b.round(nil)
	}
}

// htlc makes the i-th new HTLC of a side, counted from its next id.
func (s *side) htlc(i int, sat uint64, expiry, secret uint32) facts.HTLC {
	preimage := ln.Preimage{'s', 31: 1}
	binary.BigEndian.PutUint32(preimage[1:], secret)
	hash := ln.Hash(sha256.Sum256(preimage[:]))
	s.w.secrets[hash] = preimage
	id := s.f.NextOutboundHTLCID + uint64(i)
	return facts.HTLC{
		ID: id, AmountMsat: sat * 1000, Hash: hash, CLTVExpiry: expiry, Onion: bytes.Repeat([]byte{byte(id), s.name[0]}, 10),
		Source: &ln.Source{Payment: &ln.PaymentSource{PaymentID: ln.PaymentID{s.name[0], byte(id)}, Path: []ln.NodeID{{2, 9}}, TotalMsat: sat * 1000}},
	}
}

// decide settles an inbound HTLC with its preimage, or fails it.
func (s *side) decide(id uint64, fulfil bool) {
	s.w.Helper()
	r := facts.Resolution{Reason: []byte("no")}
	if fulfil {
		p := s.w.secrets[s.f.Inbound[id].Hash]
		r = facts.Resolution{Preimage: &p}
	}
	s.apply(facts.Decided{HTLCID: id, Resolution: r})
	s.decided[id] = s.w.height()
}

// find is the commitment with this txid, nil for none.
func (w *world) find(txid chainhash.Hash) *held {
	for _, s := range w.sides() {
		for _, h := range s.held {
			if h.tx.Txid == txid {
				return h
			}
		}
	}
	return nil
}

func (h *held) String() string { return fmt.Sprintf("commitment %d of %s", h.tx.Number, h.owner) }
