package commitment_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
)

// party is one side of a test channel: its keys, and the channel as it sees it.
type party struct {
	keys   *chankeys.Local
	static *commitment.Static
}

// testIndex is the channel key index of every test channel.
const testIndex = 7

// source derives keys by hashing; good enough where only distinctness counts.
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

// mirror is the channel as the counterparty sees it.
func mirror(s *commitment.Static) *commitment.Static {
	m := *s
	m.HolderIsFunder = !s.HolderIsFunder
	m.Holder, m.Counterparty = s.Counterparty, s.Holder
	m.HolderDustLimit, m.CounterpartyDustLimit = s.CounterpartyDustLimit, s.HolderDustLimit
	m.HolderToSelfDelay, m.CounterpartyToSelfDelay = s.CounterpartyToSelfDelay, s.HolderToSelfDelay
	return &m
}

// other is the same commitment as its other side holds it.
func other(v *commitment.View) *commitment.View {
	o := *v
	o.OwnerIsHolder = !v.OwnerIsHolder
	return &o
}

// newParties makes both sides of a channel that alice opened.
func newParties(tb testing.TB, capacity btcutil.Amount) (alice, bob *party) {
	tb.Helper()
	alice = &party{keys: chankeys.NewLocal(source("alice"))}
	bob = &party{keys: chankeys.NewLocal(source("bob"))}
	a, err := alice.keys.Basepoints(testIndex)
	must(tb, err)
	b, err := bob.keys.Basepoints(testIndex)
	must(tb, err)
	alice.static = &commitment.Static{
		Funding:                 wire.OutPoint{Hash: chainhash.HashH([]byte("funding")), Index: 1},
		Capacity:                capacity,
		HolderIsFunder:          true,
		Holder:                  a,
		Counterparty:            b,
		HolderDustLimit:         354,
		CounterpartyDustLimit:   546,
		HolderToSelfDelay:       144,
		CounterpartyToSelfDelay: 288,
	}
	bob.static = mirror(alice.static)
	return alice, bob
}

// preimage of test HTLC i.
func preimage(i uint64) (p [32]byte) {
	binary.BigEndian.PutUint64(p[:], i+1)
	return p
}

// manyHTLCs is alice's commitment n with n HTLCs of both directions.
func manyHTLCs(tb testing.TB, alice *party, number uint64, n int) *commitment.View {
	tb.Helper()
	point, err := alice.keys.PerCommitmentPoint(testIndex, number)
	must(tb, err)
	v := &commitment.View{OwnerIsHolder: true, Number: number, PerCommitmentPoint: point, FeePerKw: chainfee.FeePerKwFloor}
	left := lnwire.NewMSatFromSatoshis(alice.static.Capacity)
	for i := range uint64(n) {
		p := preimage(i)
		h := commitment.HTLC{
			ID: i, Offered: i%2 == 0, Amount: lnwire.MilliSatoshi(2_000_000 + 1000*(i*7919%1000)),
			Hash: sha256.Sum256(p[:]), CLTVExpiry: 500 + uint32(i%40),
		}
		v.HTLCs = append(v.HTLCs, h)
		left -= h.Amount
	}
	v.OtherMsat = left / 3
	v.OwnerMsat = left - v.OtherMsat
	return v
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	must(tb, err)
	return b
}

// execute runs the script engine over input 0 of tx.
func execute(tx *wire.MsgTx, prev *wire.TxOut) error {
	fetcher := txscript.NewCannedPrevOutputFetcher(prev.PkScript, prev.Value)
	engine, err := txscript.NewEngine(prev.PkScript, tx, 0, txscript.StandardVerifyFlags, nil,
		txscript.NewTxSigHashes(tx, fetcher), prev.Value, fetcher)
	if err != nil {
		return err
	}
	return engine.Execute()
}
