package fees

import (
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

func TestParse(t *testing.T) {
	tab, err := parse([]byte(`{"fee_by_block_target": {"144": 1100, "2": 25001, "6": 12000}, "min_relay_feerate": 1000, "more": [1]}`), DefaultCeiling)
	if err != nil {
		t.Fatal(err)
	}
	for blocks, want := range map[int32]chain.FeePerKW{
		-1: 6251, 0: 6251, 1: 6251, 2: 6251, // 25001/4 rounded up; nothing sooner than 2 is known
		3: 6251, 5: 6251, 6: 3000, 143: 3000, 144: 275, 1008: 275,
	} {
		if got := tab.rate(blocks); got != want {
			t.Errorf("%d blocks: %d sat/kw, want %d", blocks, got, want)
		}
	}
}

func TestParseBounds(t *testing.T) {
	tab, err := parse([]byte(`{"fee_by_block_target": {"1": 4294967295, "3": 90000, "10": 1, "20": 0}, "min_relay_feerate": 4000}`), 20_000)
	if err != nil {
		t.Fatal(err)
	}
	if got := tab.rate(1); got != 20_000 {
		t.Errorf("above the ceiling: %d", got)
	}
	if got := tab.rate(1000); got != 1000 {
		t.Errorf("below the relay fee of the answer: %d", got)
	}
	tab, err = parse([]byte(`{"fee_by_block_target": {"1": 1}}`), DefaultCeiling)
	if err != nil || tab.rate(1) != Floor {
		t.Errorf("below the floor: %v %v", tab, err)
	}
}

func TestParseGarbage(t *testing.T) {
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `<html>busy</html>`, `{"fee_by_block_target": {}}`, `{"fee_by_block_target": {"0": 5000, "3": 0}}`,
		`{"fee_by_block_target": {"2": -5}}`, `{"fee_by_block_target": {"2": 1.5}}`, `{"fee_by_block_target": {"two": 5000}}`,
		`{"fee_by_block_target": {"2": 99999999999}}`, `{"fee_by_block_target": {"2": 5000}} trailing`, `{"fee_by_block_target": {"2": 5000}`,
		`{"fee_by_block_target": ` + strings.Repeat(`[`, 20_000),
	} {
		if _, err := parse([]byte(body), DefaultCeiling); !errors.Is(err, ErrBadEstimate) {
			t.Errorf("%.40q: %v", body, err)
		}
	}
}

// Whatever an estimator says: rates are in the bounds, and who wants it sooner never pays less.
func TestTableIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quotes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quote {
			return quote{rapid.Uint32Range(0, 2000).Draw(t, "blocks"), chain.FeePerKW(rapid.Uint64().Draw(t, "rate"))}
		}), 1, 20).Draw(t, "quotes")
		tab := newTable(quotes, Floor, DefaultCeiling)
		if len(tab) == 0 {
			return
		}
		a, b := rapid.Int32().Draw(t, "a"), rapid.Int32().Draw(t, "b")
		sooner, later := tab.rate(min(a, b)), tab.rate(max(a, b))
		if sooner < later || later < Floor || sooner > DefaultCeiling {
			t.Fatalf("%d blocks: %d, %d blocks: %d of %v", min(a, b), sooner, max(a, b), later, tab)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"fee_by_block_target": {"144": 1100, "2": 25001}, "min_relay_feerate": 1000}`))
	f.Add([]byte(`{"fee_by_block_target": {"4294967295": 4294967295}, "min_relay_feerate": -1}`))
	f.Add([]byte(`{"min_relay_feerate": 9223372036854775807, "fee_by_block_target": {"1": 1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		tab, err := parse(body, DefaultCeiling)
		if (err == nil) != (len(tab) > 0) {
			t.Fatalf("%v %v", tab, err)
		}
		for i, q := range tab {
			if q.rate < Floor || q.rate > DefaultCeiling || i > 0 && q.rate > tab[i-1].rate {
				t.Fatalf("%v", tab)
			}
		}
	})
}

func TestDefaultFixed(t *testing.T) {
	for params, want := range map[*chaincfg.Params]chain.FeePerKW{
		&chaincfg.RegressionNetParams: Floor, &chaincfg.SimNetParams: Floor, &chaincfg.MainNetParams: 0, &chaincfg.TestNet3Params: 0,
		&chaincfg.SigNetParams: 0,
	} {
		if got := DefaultFixed(params); got != want {
			t.Errorf("%s: %d, want %d", params.Name, got, want)
		}
	}
}
