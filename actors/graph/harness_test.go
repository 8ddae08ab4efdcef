package graph

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

var (
	testChain = chainhash.Hash{1, 2, 3}
	testStart = time.Unix(1_800_000_000, 0)
)

const self = 50 // number of this node's key

func key32(n int) *btcec.PrivateKey {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	k, _ := btcec.PrivKeyFromBytes(h[:])
	return k
}

// known keys, since deriving one costs more than most tests.
var known sync.Map // int -> ln.NodeID

func nodeID(n int) ln.NodeID {
	if id, ok := known.Load(n); ok {
		return id.(ln.NodeID)
	}
	id := ln.NodeID(key32(n).PubKey().SerializeCompressed())
	known.Store(n, id)
	return id
}

func sign(n int, digest [32]byte) lnwire.Sig {
	s, err := lnwire.NewSigFromSignature(ecdsa.Sign(key32(n), digest[:]))
	if err != nil {
		panic(err)
	}
	return s
}

// fundingKey is the bitcoin key of a node in tests.
func fundingKey(n int) int { return 1_000_000 + n }

func announcement(scid uint64, a, b int) *lnwire.ChannelAnnouncement1 {
	if x, y := nodeID(a), nodeID(b); bytes.Compare(x[:], y[:]) > 0 {
		a, b = b, a
	}
	m := &lnwire.ChannelAnnouncement1{
		Features: lnwire.NewRawFeatureVector(), ChainHash: testChain, ShortChannelID: lnwire.NewShortChanIDFromInt(scid),
		NodeID1: nodeID(a), NodeID2: nodeID(b), BitcoinKey1: nodeID(fundingKey(a)), BitcoinKey2: nodeID(fundingKey(b)),
	}
	d, _ := store.Sign(m)
	m.NodeSig1, m.NodeSig2, m.BitcoinSig1, m.BitcoinSig2 = sign(a, d), sign(b, d), sign(fundingKey(a), d), sign(fundingKey(b), d)
	return m
}

func update(scid uint64, a, b int, at time.Time, change func(*lnwire.ChannelUpdate1)) *lnwire.ChannelUpdate1 {
	m := &lnwire.ChannelUpdate1{
		ChainHash: testChain, ShortChannelID: lnwire.NewShortChanIDFromInt(scid), Timestamp: uint32(at.Unix()),
		MessageFlags: lnwire.ChanUpdateRequiredMaxHtlc, TimeLockDelta: 80, HtlcMinimumMsat: 1, HtlcMaximumMsat: 1_000_000_000, BaseFee: 1000,
	}
	if x, y := nodeID(a), nodeID(b); bytes.Compare(x[:], y[:]) > 0 {
		m.ChannelFlags |= lnwire.ChanUpdateDirection
	}
	if change != nil {
		change(m)
	}
	data, _ := m.DataToSign()
	m.Signature = sign(a, chainhash.DoubleHashH(data))
	return m
}

func nodeAnnouncement(n int, at time.Time) *lnwire.NodeAnnouncement1 {
	m := &lnwire.NodeAnnouncement1{Features: lnwire.NewRawFeatureVector(), Timestamp: uint32(at.Unix()), NodeID: nodeID(n)}
	data, _ := m.DataToSign()
	m.Signature = sign(n, chainhash.DoubleHashH(data))
	return m
}

func scid(height, tx, out uint64) uint64 { return height<<40 | tx<<16 | out }

// ledger is a chain with the funding outputs of tests.
type ledger struct {
	out   map[uint64]*wire.TxOut
	err   error
	asked int
	slow  bool
}

func (l *ledger) Local() bool { return !l.slow }

func (l *ledger) Output(_ context.Context, height, tx, output uint32) (*wire.TxOut, wire.OutPoint, error) {
	l.asked++
	id := scid(uint64(height), uint64(tx), uint64(output))
	if l.err != nil {
		return nil, wire.OutPoint{}, l.err
	}
	if o := l.out[id]; o != nil {
		return o, outpoint(id), nil
	}
	return nil, wire.OutPoint{}, ErrNoOutput
}

func outpoint(id uint64) wire.OutPoint {
	op := wire.OutPoint{Index: store.Output(id)}
	binary.BigEndian.PutUint64(op.Hash[:], id)
	return op
}

func (l *ledger) fund(id uint64, a, b int) {
	script, err := store.FundingScript([2][33]byte{nodeID(fundingKey(a)), nodeID(fundingKey(b))})
	if err != nil {
		panic(err)
	}
	l.out[id] = &wire.TxOut{Value: 1_000_000, PkScript: script}
}

// rig is a core with a clock, a chain and peers that only listen.
type rig struct {
	t      testing.TB
	core   *core
	cfg    Config
	chain  *ledger
	now    time.Time
	said   map[ln.NodeID][]lnwire.Message // to each peer
	others []messages.Delivery
	inc    uint64
}

func testConfig(l *ledger) Config {
	signer := chankeys.NewLocal(func(_ keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) { return key32(int(index)), nil })
	return Config{
		Self: nodeID(self), Chain: testChain, Outputs: l, Signer: signer,
		Sign: func(d [32]byte) (lnwire.Sig, error) { return sign(self, d), nil },
		Node: Node{Alias: "us"},
	}.withDefaults()
}

func newRig(t testing.TB) *rig {
	l := &ledger{out: map[uint64]*wire.TxOut{}}
	r := &rig{t: t, cfg: testConfig(l), chain: l, now: testStart, said: map[ln.NodeID][]lnwire.Message{}}
	r.start(store.New(store.Limits{}), 0)
	r.tell(messages.ChainTip{Height: 800})
	return r
}

func (r *rig) start(g *store.Graph, cursor uint32) {
	r.inc++
	r.core = newCore(r.cfg, slog.New(slog.DiscardHandler), r.inc, g, cursor, r.now)
	r.core.start()
	r.settle()
}

// tell hands messages to the core and has all that waits verified.
func (r *rig) tell(in ...any) {
	for _, m := range in {
		r.core.handle(m, r.now)
		r.settle()
	}
}

func (r *rig) settle() {
	for {
		for _, d := range r.core.flush() {
			if s, ok := d.Msg.(messages.PeerSend); ok {
				for id, p := range r.core.peers {
					if d.To == messages.PeerAddr(id) && s.Session == p.session {
						r.said[id] = append(r.said[id], s.Msgs...)
					}
				}
				continue
			}
			r.others = append(r.others, d)
		}
		b := r.core.next(r.now)
		if b == nil {
			return
		}
		verify(context.Background(), r.cfg.Outputs, b)
		r.core.apply(b, r.now)
	}
}

// wait lets time pass, tick by tick.
func (r *rig) wait(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(time.Second, end.Sub(r.now)))
		r.core.tick(r.now)
		r.settle()
	}
}

// up connects a peer; its session is its number.
func (r *rig) up(n int) {
	r.tell(messages.GossipUp{Peer: nodeID(n), Session: uint64(n), Queries: true})
}

func (r *rig) say(n int, msgs ...lnwire.Message) {
	r.tell(messages.Gossip{Peer: nodeID(n), Session: uint64(n), Msgs: msgs})
}

// listen has a peer ask for all gossip from now on.
func (r *rig) listen(n int) {
	r.say(n, &lnwire.GossipTimestampRange{ChainHash: testChain, FirstTimestamp: uint32(r.now.Add(-time.Hour).Unix()), TimestampRange: 1 << 31})
}

// heard takes what a peer was sent.
func (r *rig) heard(n int) []lnwire.Message {
	out := r.said[nodeID(n)]
	delete(r.said, nodeID(n))
	return out
}

// took takes what went elsewhere.
func (r *rig) took() []messages.Delivery {
	out := r.others
	r.others = nil
	return out
}

// kinds of messages, for comparing.
func kindsOf(msgs []lnwire.Message) (out []lnwire.MessageType) {
	for _, m := range msgs {
		out = append(out, m.MsgType())
	}
	return out
}

func of[T lnwire.Message](msgs []lnwire.Message) (out []T) {
	for _, m := range msgs {
		if x, ok := m.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

// channel is a funded channel between two strangers, with both updates, as messages.
func (r *rig) channel(id uint64, a, b int) []lnwire.Message {
	r.chain.fund(id, a, b)
	return []lnwire.Message{announcement(id, a, b), update(id, a, b, r.now, nil), update(id, b, a, r.now, nil)}
}

var errAway = errors.New("the chain is away")
