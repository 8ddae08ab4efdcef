package chankeys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/shachain"

	"github.com/lnactor/lnactor/internal/commitment"
)

func testSource(name string) Source {
	return func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", name, family, index))
		key, _ := btcec.PrivKeyFromBytes(sum[:])
		return key, nil
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// channelOf is a channel between two signers, seen from the first, and the
// counterparty's commitment 5 with n HTLCs.
func channelOf(tb testing.TB, holder, counterparty *Local, index uint32, n int) (*commitment.Static, *commitment.View) {
	tb.Helper()
	h, err := holder.Basepoints(index)
	must(tb, err)
	c, err := counterparty.Basepoints(index)
	must(tb, err)
	point, err := counterparty.PerCommitmentPoint(index, 5)
	must(tb, err)
	s := &commitment.Static{
		Funding: wire.OutPoint{Hash: chainhash.HashH([]byte{byte(index)})}, Capacity: 10_000_000, HolderIsFunder: true,
		Holder: h, Counterparty: c, HolderDustLimit: 354, CounterpartyDustLimit: 354,
		HolderToSelfDelay: 144, CounterpartyToSelfDelay: 144,
	}
	v := &commitment.View{Number: 5, PerCommitmentPoint: point, FeePerKw: 253, OwnerMsat: 1_000_000_000, OtherMsat: 9_000_000_000}
	for i := range n {
		v.HTLCs = append(v.HTLCs, commitment.HTLC{ID: uint64(i), Offered: i%2 == 0, Amount: 1_000_000, Hash: [32]byte{byte(i)}, CLTVExpiry: 500})
		v.OtherMsat -= 1_000_000
	}
	return s, v
}

// TestPerCommitmentSecrets is BOLT 3, Appendix D (generation): I of the
// specification counts down from 2^48-1, commitment numbers count up from 0.
func TestPerCommitmentSecrets(t *testing.T) {
	for _, v := range []struct {
		name   string
		seed   byte
		i      uint64
		secret string
	}{
		{"0 final node", 0x00, 281474976710655, "02a40c85b6f28da08dfdbe0926c53fab2de6d28c10301f8f7c4073d5e42e3148"},
		{"FF final node", 0xff, 281474976710655, "7cc854b54e3e0dcdb010d7a3fee464a9687be6e8db3be6854c475621e007a5dc"},
		{"FF alternate bits 1", 0xff, 0xaaaaaaaaaaa, "56f4008fb007ca9acf0e15b054d5c9fd12ee06cea347914ddbaed70d1c13a528"},
		{"FF alternate bits 2", 0xff, 0x555555555555, "9015daaeb06dba4ccc05b91b2f73bd54405f2be9f217fbacd3c5ac2e62327d31"},
		{"01 last nontrivial node", 0x01, 1, "915c75942a26bb3a433a8ce2cb0427c29ec6c1775cfc78328b57f6ba7bfeaa9c"},
	} {
		t.Run(v.name, func(t *testing.T) {
			root := chainhash.Hash(bytes.Repeat([]byte{v.seed}, 32))
			l := NewLocal(testSource("x"))
			l.channels.Store(uint32(0), &channel{secrets: func() (*shachain.RevocationProducer, error) {
				return shachain.NewRevocationProducer(root), nil
			}})
			got, err := l.ReleaseSecret(0, commitment.MaxNumber-v.i)
			must(t, err)
			if hex.EncodeToString(got[:]) != v.secret {
				t.Fatalf("got %x, want %s", got, v.secret)
			}
		})
	}
}

// TestSecretsFitReceiver: the counterparty's store takes the secrets in order
// and gives each back, and each belongs to its point.
func TestSecretsFitReceiver(t *testing.T) {
	l := NewLocal(testSource("x"))
	store := shachain.NewRevocationStore()
	for n := range uint64(300) {
		secret, err := l.ReleaseSecret(3, n)
		must(t, err)
		hash := chainhash.Hash(secret)
		must(t, store.AddNextEntry(&hash))
		point, err := l.PerCommitmentPoint(3, n)
		must(t, err)
		if !input.ComputeCommitmentPoint(secret[:]).IsEqual(point) {
			t.Fatalf("point %d does not belong to its secret", n)
		}
		for _, m := range []uint64{0, n / 2, n} {
			want, err := l.ReleaseSecret(3, m)
			must(t, err)
			if got, err := store.LookUp(m); err != nil || *got != want {
				t.Fatalf("secret %d after %d: %v", m, n, err)
			}
		}
		ok, err := l.CheckSecret(3, n, secret)
		if must(t, err); !ok {
			t.Fatal("own secret is not recognised")
		}
		ok, err = l.CheckSecret(3, n+1, secret)
		if must(t, err); ok {
			t.Fatal("secret is taken for another commitment's")
		}
	}
}

// TestStableDerivation: these values must never change, or funds in open
// channels are lost.
func TestStableDerivation(t *testing.T) {
	l := NewLocal(testSource("stable"))
	b, err := l.Basepoints(9)
	must(t, err)
	secret, err := l.ReleaseSecret(9, 0)
	must(t, err)
	h := sha256.New()
	for _, k := range []*btcec.PublicKey{b.Funding, b.Revocation, b.Payment, b.DelayedPayment, b.HTLC} {
		h.Write(k.SerializeCompressed())
	}
	const wantKeys = "c54d41b9a0ca8650b8b13ea3c6c05330e45dd7103380b3c365c1ab7942ed0d2c"
	if got := hex.EncodeToString(h.Sum(nil)); got != wantKeys {
		t.Errorf("basepoints are %s, were %s", got, wantKeys)
	}
	const wantSecret = "56a481a0af504faea13b5cea21dc71c0c8127076152744aa898d9435589ab0e7"
	if got := hex.EncodeToString(secret[:]); got != wantSecret {
		t.Errorf("secret 0 is %s, was %s", got, wantSecret)
	}
}

// TestDistinctKeys: no two keys of two channels are the same.
func TestDistinctKeys(t *testing.T) {
	l := NewLocal(testSource("x"))
	seen := map[string]bool{}
	for index := range uint32(4) {
		b, err := l.Basepoints(index)
		must(t, err)
		point, err := l.PerCommitmentPoint(index, 0)
		must(t, err)
		for _, k := range []*btcec.PublicKey{b.Funding, b.Revocation, b.Payment, b.DelayedPayment, b.HTLC, point} {
			if s := string(k.SerializeCompressed()); seen[s] {
				t.Fatalf("a key of channel %d is used twice", index)
			} else {
				seen[s] = true
			}
		}
	}
}

// TestSigningIsRepeatable: a signer made anew, as after a crash, signs the same
// commitment with the same bytes.
func TestSigningIsRepeatable(t *testing.T) {
	sign := func() []byte {
		holder, counterparty := NewLocal(testSource("h")), NewLocal(testSource("c"))
		s, v := channelOf(t, holder, counterparty, 2, 20)
		tx, err := commitment.Build(s, v)
		must(t, err)
		sig, htlcSigs, err := holder.SignCounterparty(2, s, tx)
		must(t, err)
		must(t, tx.Verify(sig, htlcSigs))
		var b bytes.Buffer
		must(t, (&lnwire.CommitSig{CommitSig: sig, HtlcSigs: htlcSigs}).Encode(&b, 0))
		return b.Bytes()
	}
	if first := sign(); !bytes.Equal(first, sign()) {
		t.Fatal("commitment_signed differs after a restart")
	}
}

// TestConcurrentChannels signs for several channels at once, each key for the
// first time; run with -race.
func TestConcurrentChannels(t *testing.T) {
	const channels, each = 4, 3
	var statics [channels]*commitment.Static
	var txs [channels]*commitment.Tx
	for i := range statics {
		s, v := channelOf(t, NewLocal(testSource("h")), NewLocal(testSource("c")), uint32(i), 10)
		tx, err := commitment.Build(s, v)
		must(t, err)
		statics[i], txs[i] = s, tx
	}
	holder := NewLocal(testSource("h"))
	errs := make([]error, channels*each)
	var wg sync.WaitGroup
	for j := range errs {
		wg.Go(func() {
			i := j % channels
			sig, htlcSigs, err := holder.SignCounterparty(uint32(i), statics[i], txs[i])
			errs[j] = err
			if err == nil {
				errs[j] = txs[i].Verify(sig, htlcSigs)
			}
		})
	}
	wg.Wait()
	must(t, errors.Join(errs...))
}

// TestRefusals: what must never be signed.
func TestRefusals(t *testing.T) {
	holder, counterparty := NewLocal(testSource("h")), NewLocal(testSource("c"))
	s, v := channelOf(t, holder, counterparty, 2, 2)
	tx, err := commitment.Build(s, v)
	must(t, err)
	v.OwnerIsHolder = true
	own, err := commitment.Build(s, v)
	must(t, err)
	closing, err := commitment.MutualClose(s, &commitment.Close{
		HolderScript: []byte{0x51}, CounterpartyScript: []byte{0x51}, HolderMsat: 9_000_000_000, CounterpartyMsat: 1_000_000_000,
	})
	must(t, err)

	check := func(name string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	_, _, err = holder.SignCounterparty(3, s, tx)
	check("counterparty's commitment, wrong index", err, ErrWrongChannel)
	_, _, err = holder.SignCounterparty(2, nil, tx)
	check("no channel", err, ErrWrongChannel)
	_, _, err = holder.SignCounterparty(2, s, own)
	check("own commitment as the counterparty's", err, ErrWrongOwner)
	_, err = holder.SignHolder(2, s, tx)
	check("counterparty's commitment as own", err, ErrWrongOwner)
	_, err = holder.SignHolder(3, s, own)
	check("own commitment, wrong index", err, ErrWrongChannel)
	_, err = holder.SignHolderHTLC(2, s, tx, 0, nil)
	check("htlc of the counterparty's commitment", err, ErrWrongOwner)
	_, err = holder.SignHolderHTLC(3, s, own, 0, nil)
	check("htlc, wrong index", err, ErrWrongChannel)
	_, err = holder.SignHolderHTLC(2, s, own, 2, nil)
	check("htlc that is not there", err, commitment.ErrInvalid)
	_, err = holder.SignHolderHTLC(2, s, own, 0, wire.NewMsgTx(2))
	check("spend without the htlc", err, commitment.ErrWrongSpend)
	_, err = holder.SignMutualClose(3, s, closing)
	check("mutual close, wrong index", err, ErrWrongChannel)
	_, err = holder.ReleaseSecret(2, commitment.MaxNumber+1)
	check("number", err, ErrNumber)
	_, err = holder.PerCommitmentPoint(2, commitment.MaxNumber+1)
	check("number", err, ErrNumber)
}

// TestLockedSource: an error of the source is returned and not remembered.
func TestLockedSource(t *testing.T) {
	locked := errors.New("locked")
	open := false
	l := NewLocal(func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		if !open {
			return nil, locked
		}
		return testSource("x")(family, index)
	})
	if _, err := l.Basepoints(1); !errors.Is(err, locked) {
		t.Fatal(err)
	}
	if _, err := l.ReleaseSecret(1, 0); !errors.Is(err, locked) {
		t.Fatal(err)
	}
	open = true
	if _, err := l.Basepoints(1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ReleaseSecret(1, 0); err != nil {
		t.Fatal(err)
	}
}

// TestDerivesOnce: the source is asked once for each key, and again after Forget.
func TestDerivesOnce(t *testing.T) {
	asked := map[keychain.KeyFamily]int{}
	l := NewLocal(func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		asked[family]++
		return testSource("x")(family, index)
	})
	for range 3 {
		_, err := l.PerCommitmentPoint(1, 0)
		must(t, err)
	}
	if len(asked) != 1 || asked[keychain.KeyFamilyRevocationRoot] != 1 {
		t.Fatalf("a point took %v", asked)
	}
	for range 3 {
		_, err := l.Basepoints(1)
		must(t, err)
	}
	l.Forget(1)
	_, err := l.Basepoints(1)
	must(t, err)
	for family := range keychain.KeyFamilyRevocationRoot {
		if asked[family] != 2 {
			t.Fatalf("family %d was asked for %d times", family, asked[family])
		}
	}
}

// TestLogsNothing: no way of printing a Local shows what is in it.
func TestLogsNothing(t *testing.T) {
	l := NewLocal(testSource("x"))
	_, err := l.Basepoints(1)
	must(t, err)
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("signer", "local", l)
	fmt.Fprintf(&b, "%v %+v %#v %s", l, l, l, l)
	if strings.Contains(b.String(), "0x") || strings.Contains(b.String(), "{") {
		t.Fatal(b.String())
	}
}
