package channel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// world is two nodes with one channel, each with a monitor in memory, and a link that carries encoded messages. Every actor has a mailbox; run
// picks which one takes a turn, so that any interleaving can be had.
type world struct {
	t       testing.TB
	a, b    *node
	session uint64
	up      bool

	unprepared bool // Prepare is not called

	log func(format string, args ...any)
}

// node is one side. Its durable facts are all that outlives a crash.
type node struct {
	w    *world
	name string
	peer *node
	cfg  Config
	keys *chankeys.Local

	durable  *facts.Channel
	updateID uint64

	ch          *Channel
	incarnation uint64
	fence       uint64
	market      uint32 // what estimates say, 0 for nothing

	toChannel []any
	toMonitor []any
	toPeer    []any    // PeerSend, PeerReconnect
	wire      [][]byte // on its way to the other node

	sessionID uint64 // of this node's side, 0 if down

	accepted  []*facts.HTLC // irrevocably committed, not decided
	preimages map[ln.Hash]ln.Preimage
	amounts   map[uint64]uint64 // outbound htlc id -> amount
	outcome   map[uint64]string // outbound htlc id -> claimed or failed
	refused   []messages.NotCommitted
	linked    bool // what the manager was told last
	placed    int  // how often Peers was told that the peer has a channel
	replies   []messages.CloseReply
	forced    []messages.ForceCloseChannel
	fencedAt  []uint64
	broadcast []*wire.MsgTx
	said      []string
	attached  uint64 // incarnation of the channel that attached last, 0 for none
	told      uint64 // incarnation that was told of the session

	signed   map[uint64]string // counterparty commitment number -> its commitment_signed
	sentBack map[uint64]string // inbound htlc id -> its removal message
}

func source(name string) chankeys.Source {
	return func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		var b [8]byte
		binary.BigEndian.PutUint32(b[:4], uint32(family))
		binary.BigEndian.PutUint32(b[4:], index)
		sum := sha256.Sum256(append([]byte(name), b[:]...))
		key, _ := btcec.PrivKeyFromBytes(sum[:])
		return key, nil
	}
}

// terms are what a test may change about the channel.
type terms struct {
	capacity     int64
	pushMsat     uint64
	feePerKw     uint32
	alice, bob   facts.Params
	unready      bool // channel_ready was not exchanged
	unconfirmed  bool
	disconnected bool
	follow       bool // fees follow the estimates
}

func defaultTerms() terms {
	p := facts.Params{
		DustLimitSat: 354, MaxHTLCValueInFlightMsat: 1_000_000_000, ReserveSat: 10_000, HTLCMinimumMsat: 1000,
		ToSelfDelay: 144, MaxAcceptedHTLCs: 30,
	}
	t := terms{capacity: 1_000_000, pushMsat: 400_000_000, feePerKw: 2500, alice: p, bob: p}
	t.bob.DustLimitSat = 546
	return t
}

// newWorld makes alice, the funder, and bob.
func newWorld(t testing.TB, change ...func(*terms)) *world {
	t.Helper()
	tm := defaultTerms()
	for _, f := range change {
		f(&tm)
	}
	w := &world{t: t, log: func(string, ...any) {}}
	w.a, w.b = w.newNode("alice"), w.newNode("bob")
	w.a.cfg.FollowFees, w.b.cfg.FollowFees = tm.follow, tm.follow
	w.a.peer, w.b.peer = w.b, w.a

	op := wire.OutPoint{Hash: sha256.Sum256([]byte("funding")), Index: 1}
	base := func(n *node) commitment.Basepoints {
		b, err := n.keys.Basepoints(1)
		check(t, err)
		return b
	}
	sa := commitment.Static{
		Funding: op, Capacity: btcutil.Amount(tm.capacity), HolderIsFunder: true, Holder: base(w.a), Counterparty: base(w.b),
		HolderToSelfDelay: tm.bob.ToSelfDelay, CounterpartyToSelfDelay: tm.alice.ToSelfDelay,
	}
	sa.HolderDustLimit, sa.CounterpartyDustLimit = btcutil.Amount(tm.alice.DustLimitSat), btcutil.Amount(tm.bob.DustLimitSat)
	sb := sa
	sb.HolderIsFunder = false
	sb.Holder, sb.Counterparty = sa.Counterparty, sa.Holder
	sb.HolderDustLimit, sb.CounterpartyDustLimit = sa.CounterpartyDustLimit, sa.HolderDustLimit
	sb.HolderToSelfDelay, sb.CounterpartyToSelfDelay = sa.CounterpartyToSelfDelay, sa.HolderToSelfDelay

	id := ln.NewChannelID(op)
	make1 := func(n *node, s commitment.Static, holder, other facts.Params, mine, theirs uint64) {
		point, err := n.peer.keys.PerCommitmentPoint(1, 0)
		check(t, err)
		n.durable = facts.New(facts.Opened{
			Static: &facts.Static{
				ID: id, Peer: ln.NodeID{2, n.peer.name[0]}, KeyIndex: 1, Tx: s, Holder: holder, Counterparty: other, MinDepth: 3,
				Alias: uint64(n.name[0]),
			},
			HolderMsat: mine, CounterpartyMsat: theirs, FeePerKw: tm.feePerKw,
			CounterpartyPoint: [33]byte(point.SerializeCompressed()),
		})
	}
	total := uint64(tm.capacity) * 1000
	make1(w.a, sa, tm.alice, tm.bob, total-tm.pushMsat, tm.pushMsat)
	make1(w.b, sb, tm.bob, tm.alice, tm.pushMsat, total-tm.pushMsat)
	for _, n := range []*node{w.a, w.b} {
		v, err := n.durable.View(facts.Counterparty, nil)
		check(t, err)
		tx, err := commitment.Build(&n.durable.Tx, v)
		check(t, err)
		n.peer.durable.HolderSig, _, err = n.keys.SignCounterparty(1, &n.durable.Tx, tx)
		check(t, err)
		if !tm.unconfirmed {
			n.durable.Funding = &facts.FundingConfirmed{Height: 100, TxIndex: 1}
			n.durable.HolderReady = true
		}
	}
	for _, n := range []*node{w.a, w.b} {
		n.restart(true)
	}
	if !tm.disconnected {
		w.connect()
	}
	w.run()
	if !tm.unready && !tm.unconfirmed && !tm.disconnected {
		if !w.a.durable.Open() || !w.b.durable.Open() {
			t.Fatal("the channel did not open")
		}
	}
	return w
}

func (w *world) newNode(name string) *node {
	return &node{
		w: w, name: name, keys: chankeys.NewLocal(source(name)),
		cfg:       Config{Script: func(ln.ChannelID) ([]byte, error) { return script(name), nil }},
		preimages: map[ln.Hash]ln.Preimage{}, amounts: map[uint64]uint64{}, outcome: map[uint64]string{}, signed: map[uint64]string{}, sentBack: map[uint64]string{},
	}
}

// script is a P2WPKH script of a name.
func script(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return append([]byte{0, 20}, sum[:20]...)
}

// restart is a crash of the channel's actor, or with all of the whole process: then every mailbox is lost too.
func (n *node) restart(all bool) {
	if all {
		n.toChannel, n.toMonitor, n.toPeer, n.attached = nil, nil, nil, 0
	}
	n.incarnation++
	n.ch = New(n.id(), n.incarnation, n.keys, n.cfg)
	n.deliver(n.ch.Start())
}

func (n *node) id() ln.ChannelID { return n.durable.ID }

// connect makes a new session; both sides are told when they get to it.
func (w *world) connect() {
	w.disconnect()
	w.session++
	w.up = true
	for _, n := range []*node{w.a, w.b} {
		n.sessionID = w.session
		n.told = 0
		n.tellUp()
	}
}

// tellUp answers an attached channel, once in a session. A second incarnation within a session makes the peer connect again.
func (n *node) tellUp() {
	switch {
	case n.sessionID == 0 || n.attached == 0 || n.told == n.attached:
	case n.told != 0:
		n.w.connect()
	default:
		n.told = n.attached
		n.toChannel = append(n.toChannel, messages.PeerUp{Peer: n.durable.Peer, Session: n.sessionID})
	}
}

func (w *world) disconnect() {
	if !w.up {
		return
	}
	w.up = false
	for _, n := range []*node{w.a, w.b} {
		n.wire = nil
		n.toChannel = append(n.toChannel, messages.PeerDown{Session: n.sessionID})
		n.sessionID = 0
	}
}

// deliver puts messages into mailboxes.
func (n *node) deliver(out []messages.Delivery) {
	for _, d := range out {
		switch d.To {
		case messages.ChannelAddr(n.id()):
			n.toChannel = append(n.toChannel, d.Msg)
		case messages.MonitorAddr(n.id()):
			n.toMonitor = append(n.toMonitor, d.Msg)
		case messages.PeerAddr(n.durable.Peer):
			n.toPeer = append(n.toPeer, d.Msg)
		case messages.ManagerAddr:
			if link, ok := d.Msg.(messages.ChannelLink); ok {
				n.linked = link.Up
				continue
			}
			n.refused = append(n.refused, d.Msg.(messages.NotCommitted))
		case messages.ChainWatchAddr:
			n.broadcast = append(n.broadcast, d.Msg.(messages.Broadcast).Tx)
		case messages.FundsAddr:
			if n.market != 0 {
				n.toChannel = append(n.toChannel, messages.CommitmentFee{FeePerKw: n.market})
			}
		case messages.PeersAddr:
			if d.Msg != (messages.ChannelPeer{Channel: n.id(), Peer: n.durable.Peer}) {
				n.w.t.Fatalf("%s: %+v to Peers", n.name, d.Msg)
			}
			n.placed++
		case "test":
			n.replies = append(n.replies, d.Msg.(messages.CloseReply))
		default:
			n.w.t.Fatalf("%s: message %T to %s", n.name, d.Msg, d.To)
		}
	}
}

// turns of the actors of a node; each says whether there was anything to do.

func (n *node) turnChannel() bool {
	if len(n.toChannel) == 0 {
		return false
	}
	m := n.toChannel[0]
	n.toChannel = n.toChannel[1:]
	out, err := n.ch.Step(m)
	if err != nil {
		n.w.t.Fatalf("%s: %v", n.name, err)
	}
	n.deliver(out)
	if !n.w.unprepared {
		n.ch.Prepare()
	}
	return true
}

func (n *node) turnMonitor() bool {
	if len(n.toMonitor) == 0 {
		return false
	}
	m := n.toMonitor[0]
	n.toMonitor = n.toMonitor[1:]
	switch m := m.(type) {
	case messages.ChannelLoad:
		if m.Incarnation != n.incarnation {
			break
		}
		n.toChannel = append(n.toChannel, messages.ChannelLoaded{Incarnation: m.Incarnation, UpdateID: n.updateID, Facts: n.durable.Clone()})
		n.fence++
		n.toChannel = append(n.toChannel, messages.ChannelFence{Fence: n.fence})
	case messages.MonitorUpdate:
		n.monitorUpdate(m)
	case messages.ChannelFenced:
		n.fencedAt = append(n.fencedAt, m.Fence)
	case messages.ForceCloseChannel:
		n.forced = append(n.forced, m)
		if n.durable.ForceClose == nil && !n.durable.ProvenBehind {
			n.fact(facts.ForceClosed{Reason: m.Reason, Detail: m.Detail})
		}
	default:
		n.w.t.Fatalf("%s: monitor got %T", n.name, m)
	}
	return true
}

// fact is an update of the monitor's own.
func (n *node) fact(u facts.Update) {
	n.apply(u)
	n.toChannel = append(n.toChannel, messages.MonitorFact{Update: u})
}

func (n *node) apply(u facts.Update) {
	ch, err := n.durable.Apply(u)
	if err != nil {
		n.w.t.Fatalf("%s: %v", n.name, err)
	}
	if u, ok := u.(facts.CounterpartyCommitment); ok {
		for _, h := range u.Adds {
			n.amounts[h.ID] = h.AmountMsat
		}
	}
	for _, h := range ch.Claimed {
		n.settle(h.ID, "claimed")
	}
	for _, h := range ch.Failed {
		n.settle(h.ID, "failed")
	}
	n.accepted = append(n.accepted, ch.Accepted...)
	n.conserved()
}

func (n *node) settle(id uint64, how string) {
	if was, ok := n.outcome[id]; ok {
		n.w.t.Fatalf("%s: htlc %d %s after it was %s (S13)", n.name, id, how, was)
	}
	n.outcome[id] = how
}

func (n *node) monitorUpdate(m messages.MonitorUpdate) {
	if m.Incarnation != n.incarnation {
		return
	}
	if m.Update != nil {
		n.updateID++
		if m.UpdateID != n.updateID {
			n.w.t.Fatalf("%s: update %d after %d (S11)", n.name, m.UpdateID, n.updateID-1)
		}
		switch m.Update.(type) {
		case facts.CounterpartyCommitment, facts.HolderCommitment:
			if n.durable.Ended() {
				return // rule 18
			}
		}
		n.apply(m.Update)
	} else if m.Commits && n.durable.Ended() {
		return // rule 18
	}
	for _, d := range m.Then {
		if s, ok := d.Msg.(messages.PeerSend); ok {
			for _, msg := range s.Msgs {
				n.leaving(msg)
			}
		}
	}
	n.deliver(m.Then)
}

// leaving checks what is said against what is durable at that moment.
func (n *node) leaving(msg lnwire.Message) {
	t := n.w.t
	same := func(m map[uint64]string, key uint64, what string) {
		raw := string(encode(t, msg))
		if was, ok := m[key]; ok && was != raw {
			t.Fatalf("%s: %s %d differs when it is sent again", n.name, what, key)
		}
		m[key] = raw
	}
	switch msg := msg.(type) {
	case *lnwire.CommitSig:
		if !n.durable.Unrevoked {
			t.Fatalf("%s: commitment_signed before its record (rule 5)", n.name)
		}
		same(n.signed, n.durable.CounterpartyNumber+1, "commitment_signed")
	case *lnwire.RevokeAndAck:
		want, err := n.keys.ReleaseSecret(1, n.durable.HolderNumber-1)
		check(t, err)
		if msg.Revocation != want {
			t.Fatalf("%s: revoke_and_ack reveals another secret than the last (rule 6)", n.name)
		}
	case *lnwire.UpdateFulfillHTLC:
		same(n.sentBack, msg.ID, "removal of")
	case *lnwire.UpdateFailHTLC:
		same(n.sentBack, msg.ID, "removal of")
	case *lnwire.UpdateFailMalformedHTLC:
		same(n.sentBack, msg.ID, "removal of")
	}
}

func (n *node) turnPeer() bool {
	if len(n.toPeer) == 0 {
		return false
	}
	m := n.toPeer[0]
	n.toPeer = n.toPeer[1:]
	switch m := m.(type) {
	case messages.PeerAttach:
		n.attached = m.Incarnation
		n.tellUp()
	case messages.PeerSend:
		if m.Session == n.sessionID {
			for _, msg := range m.Msgs {
				n.wire = append(n.wire, encode(n.w.t, msg))
				n.said = append(n.said, describe(decode(n.w.t, encode(n.w.t, msg))))
			}
		}
	case messages.PeerReconnect:
		if m.Session == n.sessionID {
			n.w.connect()
		}
	}
	return true
}

// turnWire takes one message to the other node.
func (n *node) turnWire() bool {
	if len(n.wire) == 0 || n.peer.told == 0 {
		return false // a session keeps what comes for a channel that is not attached yet
	}
	raw := n.wire[0]
	n.wire = n.wire[1:]
	msg := decode(n.w.t, raw)
	n.w.log("%s -> %s: %s", n.name, n.peer.name, describe(msg))
	n.peer.toChannel = append(n.peer.toChannel, messages.PeerMsg{Session: n.peer.sessionID, Msg: msg})
	return true
}

// run lets all take turns until nothing is left.
func (w *world) run() {
	for i := 0; ; i++ {
		if i > 200_000 {
			w.t.Fatal("no end")
		}
		busy := false
		for _, n := range []*node{w.a, w.b} {
			for n.turnChannel() || n.turnMonitor() || n.turnPeer() {
				busy = true
			}
			busy = n.turnWire() || busy
		}
		if !busy {
			return
		}
	}
}

// add asks for an HTLC with the preimage of a number.
func (n *node) add(number uint64, amountMsat uint64) {
	p := preimage(number)
	h := ln.Hash(sha256.Sum256(p[:]))
	n.peer.preimages[h] = p
	onion := make([]byte, lnwire.OnionPacketSize)
	binary.BigEndian.PutUint64(onion, number)
	n.toChannel = append(n.toChannel, messages.AddHTLC{
		Fence: n.fence, AmountMsat: amountMsat, Hash: h, CLTVExpiry: 500, Onion: onion,
		Source: ln.Source{Payment: &ln.PaymentSource{PartID: number}},
	})
}

func preimage(number uint64) ln.Preimage {
	var p ln.Preimage
	binary.BigEndian.PutUint64(p[:], number)
	return p
}

// decide settles an inbound HTLC in the way asked for: durable first, then told to the channel.
func (n *node) decide(id uint64, how string) {
	h := n.durable.Inbound[id]
	if h == nil {
		n.w.t.Fatalf("%s: no inbound htlc %d", n.name, id)
	}
	var r facts.Resolution
	switch how {
	case "fulfill":
		p := n.preimages[h.Hash]
		r.Preimage = &p
	case "fail":
		r.Reason = bytes.Repeat([]byte{byte(id)}, 292)
	case "malformed":
		r.Malformed = &facts.Malformed{OnionSHA256: sha256.Sum256(h.Onion), Code: uint16(lnwire.CodeInvalidOnionKey)}
	}
	n.apply(facts.Decided{HTLCID: id, Resolution: r})
	n.toChannel = append(n.toChannel, messages.HTLCDecided{HTLCID: id, Resolution: r})
}

// conserved checks that no commitment loses or makes money (S13).
func (n *node) conserved() {
	f := n.durable
	total := uint64(f.Tx.Capacity) * 1000
	for _, w := range []facts.Which{facts.Holder, facts.Counterparty, facts.CounterpartyNext} {
		holder, counterparty := f.Balances(w)
		sum := holder + counterparty
		for _, m := range []map[uint64]*facts.HTLC{f.Outbound, f.Inbound} {
			for _, h := range m {
				if h.State.In(w) {
					sum += h.AmountMsat
				}
			}
		}
		if sum != total || holder > total || counterparty > total {
			n.w.t.Fatalf("%s: %d msat in commitment %d, capacity %d (S13)", n.name, sum, w, total)
		}
	}
}

// agree checks that both sides tell the same about a channel at rest.
func (w *world) agree() {
	w.t.Helper()
	a, b := w.a.durable, w.b.durable
	if a.HolderNumber != b.CounterpartyNumber || a.CounterpartyNumber != b.HolderNumber || a.Unrevoked || b.Unrevoked {
		w.t.Fatalf("commitments %d/%d and %d/%d, unrevoked %t/%t", a.HolderNumber, a.CounterpartyNumber, b.HolderNumber, b.CounterpartyNumber,
			a.Unrevoked, b.Unrevoked)
	}
	if a.HolderMsat != b.CounterpartyMsat || a.CounterpartyMsat != b.HolderMsat || a.FeePerKw != b.FeePerKw {
		w.t.Fatalf("balances %d/%d and %d/%d, fees %d/%d", a.HolderMsat, a.CounterpartyMsat, b.HolderMsat, b.CounterpartyMsat, a.FeePerKw, b.FeePerKw)
	}
	for _, n := range []*node{w.a, w.b} {
		f := n.durable
		point, err := n.keys.PerCommitmentPoint(1, f.HolderNumber)
		check(w.t, err)
		v, err := f.View(facts.Holder, point)
		check(w.t, err)
		tx, err := commitment.Build(&f.Tx, v)
		check(w.t, err)
		check(w.t, tx.Verify(f.HolderSig, f.HolderHTLCSigs))
		v, err = n.peer.durable.View(facts.Counterparty, nil)
		check(w.t, err)
		same, err := commitment.Build(&n.peer.durable.Tx, v)
		check(w.t, err)
		if same.Txid != tx.Txid {
			w.t.Fatalf("%s's commitment differs between the two sides", n.name)
		}
	}
}

func encode(t testing.TB, m lnwire.Message) []byte {
	var b bytes.Buffer
	if _, err := lnwire.WriteMessage(&b, m, 0); err != nil {
		t.Fatalf("encode %T: %v", m, err)
	}
	return b.Bytes()
}

func decode(t testing.TB, raw []byte) lnwire.Message {
	m, err := lnwire.ReadMessage(bytes.NewReader(raw), 0)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return m
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// describe is a message on one line, without what changes with the keys.
func describe(m lnwire.Message) string {
	switch m := m.(type) {
	case *lnwire.ChannelReestablish:
		return fmt.Sprintf("channel_reestablish next_commitment=%d next_revocation=%d", m.NextLocalCommitHeight, m.RemoteCommitTailHeight)
	case *lnwire.ChannelReady:
		return fmt.Sprintf("channel_ready alias=%d", m.AliasScid.ToUint64())
	case *lnwire.UpdateAddHTLC:
		return fmt.Sprintf("update_add_htlc id=%d amount=%d", m.ID, uint64(m.Amount))
	case *lnwire.UpdateFulfillHTLC:
		return fmt.Sprintf("update_fulfill_htlc id=%d", m.ID)
	case *lnwire.UpdateFailHTLC:
		return fmt.Sprintf("update_fail_htlc id=%d", m.ID)
	case *lnwire.UpdateFailMalformedHTLC:
		return fmt.Sprintf("update_fail_malformed_htlc id=%d", m.ID)
	case *lnwire.UpdateFee:
		return fmt.Sprintf("update_fee %d", m.FeePerKw)
	case *lnwire.CommitSig:
		return fmt.Sprintf("commitment_signed htlcs=%d", len(m.HtlcSigs))
	case *lnwire.RevokeAndAck:
		return "revoke_and_ack"
	case *lnwire.Shutdown:
		return "shutdown"
	case *lnwire.ClosingSigned:
		r, err := feeRangeOf(m)
		if err != nil || r == nil {
			return fmt.Sprintf("closing_signed fee=%d", int64(m.FeeSatoshis))
		}
		return fmt.Sprintf("closing_signed fee=%d range=%d..%d", int64(m.FeeSatoshis), r.Min, r.Max)
	case *lnwire.Error:
		return fmt.Sprintf("error %q", string(m.Data))
	case *lnwire.Warning:
		return fmt.Sprintf("warning %q", string(m.Data))
	}
	return fmt.Sprintf("%T", m)
}

// alone lets a node take its turns without the other one, which the test plays by signatures and messages of its own.
func (n *node) alone(msgs ...lnwire.Message) {
	for _, m := range msgs {
		n.toChannel = append(n.toChannel, messages.PeerMsg{Session: n.sessionID, Msg: m})
	}
	for n.turnChannel() || n.turnMonitor() || n.turnPeer() {
	}
	n.wire = nil
}

// signFor is the commitment_signed for a node's next commitment as its peer makes it, whatever the peer thinks of it.
func (n *node) signFor(u facts.HolderCommitment) *lnwire.CommitSig {
	t := n.w.t
	next := n.ch.facts.Clone()
	_, err := next.Apply(u)
	check(t, err)
	point, err := n.keys.PerCommitmentPoint(1, next.HolderNumber)
	check(t, err)
	v, err := next.View(facts.Holder, point)
	check(t, err)
	v.OwnerIsHolder = false // seen from the peer
	tx, err := commitment.Build(&n.peer.durable.Tx, v)
	check(t, err)
	sig, htlcSigs, err := n.peer.keys.SignCounterparty(1, &n.peer.durable.Tx, tx)
	check(t, err)
	return &lnwire.CommitSig{CommitSig: sig, HtlcSigs: htlcSigs}
}

// decideOne settles the oldest accepted HTLC at random.
func (n *node) decideOne(r *rand.Rand) {
	if len(n.accepted) == 0 {
		return
	}
	h := n.accepted[0]
	n.accepted = n.accepted[1:]
	n.decide(h.ID, []string{"fulfill", "fulfill", "fail", "malformed"}[r.IntN(4)])
}

func updateFee(feePerKw int) messages.UpdateFee {
	return messages.UpdateFee{FeePerKw: uint32(feePerKw)}
}

// failingSigner is a remote signer that is away for a while.
type failingSigner struct {
	chankeys.Signer
	fail bool
}

var errSigner = errors.New("the signer is away")

func (s *failingSigner) PerCommitmentPoint(index uint32, n uint64) (*btcec.PublicKey, error) {
	if s.fail {
		return nil, errSigner
	}
	return s.Signer.PerCommitmentPoint(index, n)
}
