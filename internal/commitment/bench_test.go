package commitment_test

import (
	"fmt"
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

// The sizes of a commitment: no HTLC, the usual one, a batch, and all that fit
// of one side.
var benchSizes = []int{0, 1, 30, 483}

func benchCommitment(b *testing.B, n int) (alice, bob *party, v *commitment.View) {
	b.Helper()
	alice, bob = newParties(b, 100_000_000)
	return alice, bob, manyHTLCs(b, alice, 1, n)
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("htlcs=%d", n), func(b *testing.B) {
			alice, _, v := benchCommitment(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_, err := commitment.Build(alice.static, v)
				must(b, err)
			}
			perHTLC(b, n)
		})
	}
}

// BenchmarkBuildKeysAhead is what is left of Build when the keys were derived
// while there was nothing else to do.
func BenchmarkBuildKeysAhead(b *testing.B) {
	alice, _, v := benchCommitment(b, 1)
	keys, err := commitment.DeriveKeys(alice.static, v.OwnerIsHolder, v.PerCommitmentPoint)
	must(b, err)
	v.Keys = keys
	b.ReportAllocs()
	for b.Loop() {
		_, err := commitment.Build(alice.static, v)
		must(b, err)
	}
}

func BenchmarkSign(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("htlcs=%d", n), func(b *testing.B) {
			_, bob, v := benchCommitment(b, n)
			tx, err := commitment.Build(bob.static, other(v))
			must(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, _, err := bob.keys.SignCounterparty(testIndex, bob.static, tx)
				must(b, err)
			}
			perHTLC(b, n)
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("htlcs=%d", n), func(b *testing.B) {
			alice, bob, v := benchCommitment(b, n)
			tx, sig, htlcSigs := signed(b, alice, bob, v)
			b.ReportAllocs()
			for b.Loop() {
				must(b, tx.Verify(sig, htlcSigs))
			}
			perHTLC(b, n)
		})
	}
}

// signed is alice's commitment with bob's signatures.
func signed(tb testing.TB, alice, bob *party, v *commitment.View) (*commitment.Tx, lnwire.Sig, []lnwire.Sig) {
	tb.Helper()
	theirs, err := commitment.Build(bob.static, other(v))
	must(tb, err)
	sig, htlcSigs, err := bob.keys.SignCounterparty(testIndex, bob.static, theirs)
	must(tb, err)
	tx, err := commitment.Build(alice.static, v)
	must(tb, err)
	return tx, sig, htlcSigs
}

func perHTLC(b *testing.B, n int) {
	if n > 1 {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/htlc")
	}
}
