package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

var (
	testChain = chainhash.Hash{1, 2, 3}
	testNow   = time.Unix(1_800_000_000, 0)
)

// key is the n-th private key of a test, with its node id.
func key(n int) (*btcec.PrivateKey, ln.NodeID) {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	k, p := btcec.PrivKeyFromBytes(h[:])
	return k, ln.NodeID(p.SerializeCompressed())
}

func sign(t testing.TB, k *btcec.PrivateKey, digest [32]byte) lnwire.Sig {
	t.Helper()
	s, err := lnwire.NewSigFromSignature(ecdsa.Sign(k, digest[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// announcement is a channel between two nodes, all signed.
func announcement(t testing.TB, scid uint64, a, b int) *lnwire.ChannelAnnouncement1 {
	t.Helper()
	ka, ida := key(a)
	kb, idb := key(b)
	if string(ida[:]) > string(idb[:]) {
		ka, kb, ida, idb = kb, ka, idb, ida
	}
	fa, fida := key(1_000_000 + a)
	fb, fidb := key(1_000_000 + b)
	m := &lnwire.ChannelAnnouncement1{
		Features: lnwire.NewRawFeatureVector(), ChainHash: testChain, ShortChannelID: lnwire.NewShortChanIDFromInt(scid),
		NodeID1: ida, NodeID2: idb, BitcoinKey1: fida, BitcoinKey2: fidb,
	}
	d, err := Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	m.NodeSig1, m.NodeSig2, m.BitcoinSig1, m.BitcoinSig2 = sign(t, ka, d), sign(t, kb, d), sign(t, fa, d), sign(t, fb, d)
	return m
}

// update is one of node a's, of its channel with b.
func update(t testing.TB, scid uint64, a, b int, at time.Time, change func(*lnwire.ChannelUpdate1)) *lnwire.ChannelUpdate1 {
	t.Helper()
	ka, ida := key(a)
	_, idb := key(b)
	m := &lnwire.ChannelUpdate1{
		ChainHash: testChain, ShortChannelID: lnwire.NewShortChanIDFromInt(scid), Timestamp: uint32(at.Unix()),
		MessageFlags: lnwire.ChanUpdateRequiredMaxHtlc, TimeLockDelta: 80, HtlcMinimumMsat: 1, HtlcMaximumMsat: 1_000_000_000,
		BaseFee: 1000, FeeRate: 100,
	}
	if string(ida[:]) > string(idb[:]) {
		m.ChannelFlags |= lnwire.ChanUpdateDirection
	}
	if change != nil {
		change(m)
	}
	data, err := m.DataToSign()
	if err != nil {
		t.Fatal(err)
	}
	m.Signature = sign(t, ka, chainhash.DoubleHashH(data))
	return m
}

func nodeAnnouncement(t testing.TB, n int, at time.Time) *lnwire.NodeAnnouncement1 {
	t.Helper()
	k, id := key(n)
	m := &lnwire.NodeAnnouncement1{Features: lnwire.NewRawFeatureVector(lnwire.GossipQueriesOptional), Timestamp: uint32(at.Unix()), NodeID: id}
	copy(m.Alias[:], "node \x07 name")
	data, err := m.DataToSign()
	if err != nil {
		t.Fatal(err)
	}
	m.Signature = sign(t, k, chainhash.DoubleHashH(data))
	return m
}

func funding(scid uint64) Funding {
	f := Funding{CapacitySat: 1_000_000, Outpoint: wire.OutPoint{Index: Output(scid)}}
	binary.BigEndian.PutUint64(f.Outpoint.Hash[:], scid)
	return f
}

func scid(height, tx, out uint64) uint64 { return height<<40 | tx<<16 | out }

// put announces a channel with both policies.
func put(t testing.TB, g *Graph, id uint64, a, b int, at time.Time) {
	t.Helper()
	m, err := ParseChannel(announcement(t, id, a, b), testChain)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AddChannel(m, funding(id), at); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]int{{a, b}, {b, a}} {
		u, err := ParseUpdate(update(t, id, pair[0], pair[1], at, nil), testChain)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.SetPolicy(u, at, false); err != nil {
			t.Fatal(err)
		}
	}
}
