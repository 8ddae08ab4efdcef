package peers

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
)

var (
	flagSeed  = flag.Uint64("seed", 0, "replay the random case of this seed only")
	flagCases = flag.Int("cases", 2000, "how many random channels to compare")
)

// eachSeed runs a random case for -cases fresh seeds, or the one of -seed, until one
// fails. The failing seed is printed with the command that replays it.
func eachSeed(t *testing.T, n int, run func(t *testing.T, rng *rand.Rand)) {
	t.Helper()
	first := uint64(time.Now().UnixNano())
	if *flagSeed != 0 {
		first, n = *flagSeed, 1
	}
	for i := range uint64(n) {
		seed := first + i
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("replay: cd tests/peers && go test -run '^%s$' -seed %d .", rootName(t), seed)
				}
			})
			run(t, rand.New(rand.NewPCG(seed, 0)))
		})
		if !ok {
			return
		}
	}
	t.Logf("%d cases from seed %d", n, first)
}

// rootName is the name of the test function without its subtest.
func rootName(t *testing.T) string {
	var name string
	for _, r := range t.Name() {
		if r == '/' {
			break
		}
		name += string(r)
	}
	return name
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// randomBytes gives n random bytes.
func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// randomKey gives a random public key.
func randomKey(rng *rand.Rand) *btcec.PublicKey {
	_, pub := btcec.PrivKeyFromBytes(randomBytes(rng, 32))
	return pub
}

// pick gives one of the values.
func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }
