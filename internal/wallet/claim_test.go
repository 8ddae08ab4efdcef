package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/wallet/txrules"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"pgregory.net/rapid"
)

// channelOutput is input number n of a claim.
func channelOutput(n int, value btcutil.Amount) ClaimInput {
	return ClaimInput{
		OutPoint: wire.OutPoint{Hash: chainhash.HashH([]byte("commitment")), Index: uint32(n)}, Value: value,
		PkScript: funding(1).PkScript, Sequence: 1, WitnessWeight: 200,
	}
}

// secondStage is an input that brings its own output and no fee.
func secondStage(n int, value btcutil.Amount) ClaimInput {
	x := channelOutput(n, value)
	x.Output = funding(int64(value))
	return x
}

func anchor(n int) ClaimInput {
	x := channelOutput(n, 330)
	x.Attach, x.WitnessWeight = true, 115
	return x
}

// checkClaim checks all that a claim promises but which coins it takes.
func checkClaim(t interface {
	Helper()
	Fatalf(string, ...any)
}, w *HD, c *ClaimSpec, b *BuiltClaim,
) {
	t.Helper()
	var in, out btcutil.Amount
	for i, x := range c.Inputs {
		got := b.Tx.TxIn[i]
		if got.PreviousOutPoint != x.OutPoint || got.Sequence != x.Sequence || len(got.Witness) != 0 {
			t.Fatalf("input %d is %+v", i, got)
		}
		if x.Output != nil && (b.Tx.TxOut[i].Value != x.Output.Value || !bytes.Equal(b.Tx.TxOut[i].PkScript, x.Output.PkScript)) {
			t.Fatalf("output %d is %+v", i, b.Tx.TxOut[i])
		}
		in += x.Value
	}
	for _, x := range b.Tx.TxIn[len(c.Inputs):] {
		coin, ok := w.ledger.coins[x.PreviousOutPoint]
		if !ok || coin.height == 0 || x.Sequence != replaceable || len(x.Witness) != 2 || w.ledger.locks[x.PreviousOutPoint] != c.Lock {
			t.Fatalf("coin %+v as input %+v", coin, x)
		}
		in += coin.value
	}
	for _, x := range b.Tx.TxOut {
		out += btcutil.Amount(x.Value)
	}
	own := c.ownOutputs()
	for _, x := range b.Tx.TxOut[own:] {
		if ref, ok := w.ledger.scripts.lookup(x.PkScript); !ok || ref.branch != branchReceive || x.Value < dustLimit {
			t.Fatalf("pays %+v", x)
		}
	}
	if n := len(b.Tx.TxOut); n == 0 || n > own+1 {
		t.Fatalf("%d outputs", n)
	}
	if in-out != b.Fee {
		t.Fatalf("in %v, out %v, fee %v", in, out, b.Fee)
	}
	if b.Tx.Version != 2 || b.Tx.LockTime != c.LockTime {
		t.Fatalf("version %d, lock time %d", b.Tx.Version, b.Tx.LockTime)
	}
	// The weight of the full transaction: witnesses as large as they may be.
	full := b.Tx.Copy()
	for i, x := range c.Inputs {
		full.TxIn[i].Witness = wire.TxWitness{make([]byte, x.WitnessWeight-2)}
		if x.WitnessWeight-2 > 252 {
			full.TxIn[i].Witness = wire.TxWitness{make([]byte, x.WitnessWeight-4)}
		}
	}
	weight := txWeight(full)
	if coins := int64(len(b.Tx.TxIn) - len(c.Inputs)); b.Weight < weight || b.Weight > weight+3*coins+2*int64(len(c.Inputs)) {
		t.Fatalf("weight %d, said to be at most %d", weight, b.Weight)
	}
	rate := int64(max(c.FeeRate, 253))
	least := (rate*b.Weight + 999) / 1000
	if p := c.Parent; p != nil {
		least = max(least, (rate*(b.Weight+p.Weight)+999)/1000-int64(p.Fee))
		if together := chainfee.SatPerKWeight(int64(b.Fee+p.Fee) * 1000 / (b.Weight + p.Weight)); together != b.FeeRate {
			t.Fatalf("rate %v with its parent, said to be %v", together, b.FeeRate)
		}
	}
	if c.MinFee > 0 {
		least = max(least, int64(c.MinFee)+vsize(b.Weight))
	}
	if r := int64(c.WantRate); r <= maxFeeRate {
		wanted := (r*b.Weight + 999) / 1000
		if p := c.Parent; p != nil {
			wanted = max(wanted, (r*(b.Weight+p.Weight)+999)/1000-int64(p.Fee))
		}
		least = max(least, min(wanted, int64(c.MaxFee)))
	}
	if int64(b.Fee) < least || b.Fee > c.MaxFee {
		t.Fatalf("fee %v, at least %d, at most %v", b.Fee, least, c.MaxFee)
	}
	for _, r := range w.ledger.rivals(c) { // BIP 125 as btcd has it: a higher rate, and more by the relay fee of the replacement
		if int64(b.Fee)*1000/vsize(b.Weight) <= int64(r.fee)*1000/vsize(r.weight) || int64(b.Fee) < int64(r.fee)+vsize(b.Weight) {
			t.Fatalf("fee %v for weight %d does not replace %v for %d", b.Fee, b.Weight, r.fee, r.weight)
		}
	}
	// Above the least only what would have been dust goes to the fee.
	burnt := int64(b.Fee) - least
	if len(b.Tx.TxOut) > own && burnt != 0 && len(w.ledger.rivals(c)) == 0 || burnt >= dustLimit+(rate*4*(outputSize+2)+999)/1000+outputSize+2 && len(w.ledger.rivals(c)) == 0 {
		t.Fatalf("fee %v, %d would do", b.Fee, least)
	}
}

func (c *chain) claim(spec *ClaimSpec) *BuiltClaim {
	c.t.Helper()
	b, err := c.w.BuildClaim(spec)
	if err != nil {
		c.t.Fatal(err)
	}
	checkClaim(c.t, c.w, spec, b)
	return b
}

func TestDustLimit(t *testing.T) {
	script, err := newWallet(t, Config{}).NewScript()
	if err != nil {
		t.Fatal(err)
	}
	for value, ok := range map[int64]bool{dustLimit - 1: false, dustLimit: true} {
		if err := txrules.CheckOutput(wire.NewTxOut(value, script), txrules.DefaultRelayFeePerKb); (err == nil) != ok {
			t.Errorf("%d: %v", value, err)
		}
	}
}

func TestClaimArithmetic(t *testing.T) {
	const lots = 1_000_000
	// Weights by hand: 4*(10+41+31)+2+200 = 530 with one input of a channel and one output of ours.
	for _, tc := range []struct {
		name  string
		coins []int64
		spec  ClaimSpec
		fee   btcutil.Amount
		coin  int // how many are taken
		outs  []int64
		err   error
	}{
		{"direct", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 530, 0, []int64{49_470}, nil},
		{"rounded up", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1001, MaxFee: lots}, 531, 0, []int64{49_469}, nil},
		{"relay floor", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1, MaxFee: lots}, 135, 0, []int64{49_865}, nil},
		{"replacement", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1000, MinFee: 1000, MaxFee: lots}, 1133, 0, []int64{48_867}, nil},
		{"at the limit", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1000, MaxFee: 530}, 530, 0, []int64{49_470}, nil},
		{"above the limit", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: 1000, MaxFee: 529}, 0, 0, nil, ErrClaimTooExpensive},
		{"just no dust", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 824)}, FeeRate: 1000, MaxFee: lots}, 530, 0, []int64{294}, nil},
		{"dust", []int64{lots}, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 823)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimTooExpensive},
		{
			"two, one of them too small for itself", nil,
			ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000), channelOutput(1, 10)}, FeeRate: 1000, MaxFee: lots},
			894, 0,
			[]int64{49_116},
			nil,
		},
		// 4*(10+41+41+43+31)+2+200+108 = 974 with a coin and change.
		{"second stage", []int64{100_000}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 974, 1, []int64{50_000, 99_026}, nil},
		{"change would be dust", []int64{1267}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 1267, 1, []int64{50_000}, nil},
		{"change is just no dust", []int64{1268}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 974, 1, []int64{50_000, 294}, nil},
		{"exactly", []int64{850}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 850, 1, []int64{50_000}, nil},
		{"one satoshi short", []int64{849}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, &InsufficientFundsError{}},
		{"no coins", nil, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, &InsufficientFundsError{}},
		{"no coins and too expensive", nil, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: 500}, 0, 0, nil, ErrClaimTooExpensive},
		{"too expensive with a coin", []int64{100_000}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: 900}, 0, 0, nil, ErrClaimTooExpensive},
		{"the smallest coin that does", []int64{100_000, 2000, 900, 30_000}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 900, 1, []int64{50_000}, nil},
		{"two coins", []int64{700, 800}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 1500, 2, []int64{50_000}, nil},
		{"a coin that costs more than it brings", []int64{272, 700}, ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, &InsufficientFundsError{}},
		{
			"a second stage beside a direct claim that pays for both",
			[]int64{100_000},
			ClaimSpec{Inputs: []ClaimInput{secondStage(0, 50_000), channelOutput(1, 10_000)}, FeeRate: 1000, MaxFee: lots},
			1066, 0,
			[]int64{50_000, 8934},
			nil,
		},
		// 4*(10+41+41+31)+2+115+108 = 717 for an anchor and a coin; the parent pays 253 of 1000.
		{
			"anchor",
			[]int64{100_000},
			ClaimSpec{Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: lots, Parent: &ClaimParent{Weight: 1000, Fee: 253}},
			717 + 747, 1,
			[]int64{100_330 - 717 - 747},
			nil,
		},
		{
			"a parent that pays almost enough",
			[]int64{100_000},
			ClaimSpec{Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: lots, Parent: &ClaimParent{Weight: 1000, Fee: 999}},
			718, 1,
			[]int64{100_330 - 718},
			nil,
		},
		{
			"a parent that pays enough",
			[]int64{100_000},
			ClaimSpec{Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: lots, Parent: &ClaimParent{Weight: 1000, Fee: 1000}},
			0, 0, nil, ErrClaimUnneeded,
		},
		{"wanted", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, WantRate: 1000, MaxFee: lots}, 530, 0, []int64{49_470}, nil},
		{"wanted, as far as the limit", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, WantRate: 1000, MaxFee: 529}, 529, 0, []int64{49_471}, nil},
		{"wanted, but needed above the limit", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, WantRate: 1000, MaxFee: 134}, 0, 0, nil, ErrClaimTooExpensive},
		{"absurdly wanted", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, WantRate: maxFeeRate + 1, MaxFee: lots}, 135, 0, []int64{49_865}, nil},
		{
			"parent, wanted as far as the limit",
			[]int64{100_000},
			ClaimSpec{Inputs: []ClaimInput{anchor(0)}, WantRate: 50_000, MaxFee: 5000, Parent: &ClaimParent{Weight: 1000, Fee: 253}},
			5000, 1,
			[]int64{95_330},
			nil,
		},
		{"absurd rate", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000)}, FeeRate: maxFeeRate + 1, MaxFee: lots}, 0, 0, nil, ErrClaimTooExpensive},
		{"nothing", nil, ClaimSpec{FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"twice", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000), channelOutput(0, 50_000)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"out of order", nil, ClaimSpec{Inputs: []ClaimInput{channelOutput(0, 50_000), secondStage(1, 50_000)}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"outputs worth more", nil, ClaimSpec{Inputs: []ClaimInput{{Value: 10, WitnessWeight: 100, Output: funding(1000)}}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"too large", nil, ClaimSpec{Inputs: []ClaimInput{{Value: lots, WitnessWeight: maxWeight}}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"no value", nil, ClaimSpec{Inputs: []ClaimInput{{WitnessWeight: 100}}, FeeRate: 1000, MaxFee: lots}, 0, 0, nil, ErrClaimInvalid},
		{"bad parent", nil, ClaimSpec{Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: lots, Parent: &ClaimParent{}}, 0, 0, nil, ErrClaimInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChain(t, newWallet(t, Config{}))
			c.mine(c.deposit(tc.coins...))
			before := c.w.Balance()
			tc.spec.Lock, tc.spec.LockTime = LockID{1}, 77
			b, err := c.w.BuildClaim(&tc.spec)
			var short *InsufficientFundsError
			if _, want := tc.err.(*InsufficientFundsError); want != errors.As(err, &short) || !want && !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if err != nil {
				if c.w.Balance() != before || len(c.w.ledger.locks) != 0 {
					t.Error("something is held")
				}
				return
			}
			checkClaim(t, c.w, &tc.spec, b)
			var outs []int64
			for _, o := range b.Tx.TxOut {
				outs = append(outs, o.Value)
			}
			if b.Fee != tc.fee || len(b.Tx.TxIn) != len(tc.spec.Inputs)+tc.coin || !slices.Equal(outs, tc.outs) {
				t.Errorf("fee %d, %d coins, outputs %v; want %d, %d, %v", b.Fee, len(b.Tx.TxIn)-len(tc.spec.Inputs), outs, tc.fee, tc.coin, tc.outs)
			}
		})
	}
}

// A replacement takes the same coins and pays to the same address, and more than what it replaces even where it is asked for less.
func TestClaimReplaced(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(10_000, 100_000, 100_000))
	spec := &ClaimSpec{Lock: LockID{1}, Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: 90_000}
	a := c.claim(spec)
	again := c.claim(spec)
	if again.Tx.TxHash() != a.Tx.TxHash() {
		t.Error("the same question, another transaction")
	}
	for _, restart := range []bool{false, true} {
		broadcast := a.Tx.Copy()
		broadcast.TxIn[0].Witness = wire.TxWitness{make([]byte, 198)}
		if err := c.w.ReserveClaim(LockID{1}, broadcast); err != nil {
			t.Fatal(err)
		}
		if err := c.w.AddUnconfirmed(broadcast); err != nil {
			t.Fatal(err)
		}
		if restart {
			c.w = restored(t, c.w)
			if err := c.w.ReserveClaim(LockID{1}, broadcast); err != nil {
				t.Fatal(err)
			}
		}
		b := c.claim(spec)
		if b.Tx.TxIn[1].PreviousOutPoint != a.Tx.TxIn[1].PreviousOutPoint || !bytes.Equal(b.Tx.TxOut[1].PkScript, a.Tx.TxOut[1].PkScript) {
			t.Error("another coin or address")
		}
		if want := a.Fee + btcutil.Amount(vsize(b.Weight)); b.Fee < want {
			t.Errorf("fee %v, nodes want %v", b.Fee, want)
		}
		a = b
	}
	bumped := *spec
	bumped.FeeRate = 20_000 // more than the small coin
	b := c.claim(&bumped)
	if len(b.Tx.TxIn) != 3 || b.Tx.TxIn[1].PreviousOutPoint != a.Tx.TxIn[1].PreviousOutPoint {
		t.Errorf("%d inputs", len(b.Tx.TxIn))
	}
	// Another claim gets none of these coins, and when the first is over, all of them.
	other := &ClaimSpec{Lock: LockID{2}, Inputs: []ClaimInput{secondStage(1, 50_000)}, FeeRate: 20_000, MaxFee: 90_000}
	o := c.claim(other)
	for _, in := range b.Tx.TxIn {
		if in.PreviousOutPoint == o.Tx.TxIn[1].PreviousOutPoint {
			t.Error("a coin in two claims")
		}
	}
	c.w.ReleaseClaim(LockID{1})
	c.w.ReleaseClaim(LockID{2})
	c.want(210_000, 0, 0)
}

// A replacement that needs another coin is larger: more fee is not enough, it takes a higher rate.
func TestReplacementThatGrew(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(44_000))
	spec := &ClaimSpec{Lock: LockID{1}, Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 45_000, MaxFee: 200_000}
	a := c.claim(spec)
	if err := c.w.AddUnconfirmed(a.Tx); err != nil {
		t.Fatal(err)
	}
	c.mine(c.deposit(60_000))
	spec.FeeRate = 253
	if b := c.claim(spec); len(b.Tx.TxIn) != 3 {
		t.Errorf("%d inputs", len(b.Tx.TxIn))
	}
}

func TestReserveClaim(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	deposit := c.deposit(100_000)
	c.mine(deposit)
	spec := &ClaimSpec{Lock: LockID{1}, Inputs: []ClaimInput{secondStage(0, 50_000)}, FeeRate: 1000, MaxFee: 90_000}
	a := c.claim(spec)

	c2 := newChain(t, newWallet(t, Config{})) // has seen nothing yet
	if err := c2.w.ReserveClaim(LockID{1}, a.Tx); err != nil {
		t.Fatal(err)
	}
	if err := c2.w.ReserveClaim(LockID{2}, a.Tx); err == nil {
		t.Error("one coin for two claims")
	}
	if _, held := c2.w.ledger.locks[a.Tx.TxIn[0].PreviousOutPoint]; held {
		t.Error("the channel's output is held")
	}
	c2.mine(deposit)
	c2.want(0, 0, 100_000)
	if _, err := c2.w.BuildClaim(&ClaimSpec{Lock: LockID{3}, Inputs: []ClaimInput{secondStage(1, 50_000)}, FeeRate: 1000, MaxFee: 90_000}); err == nil {
		t.Error("the coin was given out again")
	}
	if b := c2.claim(spec); b.Tx.TxIn[1].PreviousOutPoint != a.Tx.TxIn[1].PreviousOutPoint {
		t.Error("another coin")
	}
}

// Nothing is built on the change of a claim before it confirms, for the claim may be replaced.
func TestClaimChangeIsNotChained(t *testing.T) {
	c := newChain(t, newWallet(t, Config{SpendUnconfirmedChange: true}))
	c.mine(c.deposit(1_000_000))
	a := c.claim(&ClaimSpec{Lock: LockID{1}, Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: 90_000})
	if err := c.w.AddUnconfirmed(a.Tx); err != nil {
		t.Fatal(err)
	}
	if f, err := c.w.FundTx([]*wire.TxOut{funding(100_000)}, rate, LockID{2}); err == nil {
		t.Errorf("made %v", f.Tx.TxHash())
	}
}

// Any sequence of claims, replacements, broadcasts, confirmations and releases keeps the sums, the limits, and every coin in one live claim.
func TestClaimsModel(t *testing.T) {
	keys := cachedKeys{testSeed(t), make(map[keyRef]*btcec.PrivateKey)}
	rapid.Check(t, func(rt *rapid.T) {
		c := newChain(t, newWallet(t, Config{Keys: keys, Lookahead: 3, SpendUnconfirmedChange: true}))
		live := map[byte]*wire.MsgTx{}
		claimInput := func(rt *rapid.T, lock byte, i int) ClaimInput {
			n := int(lock)*10 + i
			x := channelOutput(n, btcutil.Amount(rapid.Int64Range(1, 200_000).Draw(rt, "value")))
			x.WitnessWeight = rapid.Int64Range(2, 500).Draw(rt, "witness")
			x.Attach = rapid.Bool().Draw(rt, "attach")
			return x
		}
		specs := map[byte]*ClaimSpec{}
		rt.Repeat(map[string]func(*rapid.T){
			"deposit": func(rt *rapid.T) {
				c.mine(c.deposit(rapid.SliceOfN(rapid.Int64Range(300, 50_000), 1, 4).Draw(rt, "coins")...))
			},
			"claim": func(rt *rapid.T) {
				lock := byte(rapid.IntRange(1, 3).Draw(rt, "lock"))
				s := specs[lock]
				if s == nil || len(c.w.ledger.rivalIDs(s)) == 0 {
					s = &ClaimSpec{Lock: LockID{lock}, LockTime: rapid.Uint32().Draw(rt, "locktime")}
					own := rapid.IntRange(0, 3).Draw(rt, "own")
					for i := range own + rapid.IntRange(0, 3).Draw(rt, "plain") {
						x := claimInput(rt, lock, i)
						if i < own {
							x.Output = funding(rapid.Int64Range(0, int64(x.Value)).Draw(rt, "output"))
						}
						s.Inputs = append(s.Inputs, x)
					}
					if rapid.Bool().Draw(rt, "child") {
						s.Parent = &ClaimParent{Weight: rapid.Int64Range(500, 5000).Draw(rt, "parent"), Fee: btcutil.Amount(rapid.Int64Range(0, 5000).Draw(rt, "parent fee"))}
					}
				}
				s.FeeRate = chainfee.SatPerKWeight(rapid.Int64Range(0, 10_000).Draw(rt, "rate"))
				s.MinFee = btcutil.Amount(rapid.SampledFrom([]int64{0, 0, 1000, 3000}).Draw(rt, "min"))
				s.MaxFee = btcutil.Amount(rapid.Int64Range(0, 100_000).Draw(rt, "max"))
				specs[lock] = s
				locked := fmt.Sprint(c.w.ledger.byLock)
				b, err := c.w.BuildClaim(s)
				if err != nil {
					if fmt.Sprint(c.w.ledger.byLock) != locked {
						rt.Fatal("an error changed what is held")
					}
					return
				}
				checkClaim(rt, c.w, s, b)
				if rapid.Bool().Draw(rt, "broadcast") {
					if err := c.w.ReserveClaim(s.Lock, b.Tx); err != nil {
						rt.Fatal(err)
					}
					mustAdd(rt, c.w, b.Tx)
				}
				live[lock] = b.Tx
			},
			"confirm": func(rt *rapid.T) {
				lock := byte(rapid.IntRange(1, 3).Draw(rt, "lock"))
				if tx := live[lock]; tx != nil && c.w.ledger.pending[tx.TxHash()] != nil {
					c.mine(tx)
					c.w.ReleaseClaim(LockID{lock})
					delete(live, lock)
					delete(specs, lock)
				}
			},
			"release": func(rt *rapid.T) {
				lock := byte(rapid.IntRange(1, 3).Draw(rt, "lock"))
				c.w.ReleaseClaim(LockID{lock})
				delete(live, lock)
				delete(specs, lock)
			},
			"": func(rt *rapid.T) {
				holder := map[wire.OutPoint]byte{}
				for lock := byte(1); lock <= 3; lock++ {
					if live[lock] == nil {
						continue
					}
					for _, in := range live[lock].TxIn {
						if other, ok := holder[in.PreviousOutPoint]; ok {
							rt.Fatalf("%v is in claims %d and %d", in.PreviousOutPoint, other, lock)
						}
						holder[in.PreviousOutPoint] = lock
					}
				}
			},
		})
	})
}
