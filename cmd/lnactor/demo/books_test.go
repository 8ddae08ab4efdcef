package demo

import (
	"strings"
	"testing"

	"github.com/lnactor/lnactor"
)

// The audit is worth what it finds: each number of a close is changed by one satoshi.
func TestAuditFinds(t *testing.T) {
	sides := [2]string{"alice", "bob"}
	force := func() (*OnChain, map[string]int64) {
		return &OnChain{
			Kind: CloseForce, ClosingTxid: "c", UnclaimedSat: 0,
			Transactions: []ChainTx{
				{Txid: "c", By: "alice", FeeSat: 500}, {Txid: "a", By: "alice", FeeSat: 100}, {Txid: "b", By: "bob", FeeSat: 40},
			},
			Sides: map[string]Closed{
				"alice": {WalletBeforeSat: 1_000, SweptSat: 6_000_000, CommitFeesSat: 830, WalletAfterSat: 6_000_900},
				"bob":   {WalletBeforeSat: 2_000, SweptSat: 3_999_500, WalletAfterSat: 4_001_460},
			},
		}, map[string]int64{"alice": 6_000_830_400, "bob": 3_999_170_600}
	}
	revoked := func() (*OnChain, map[string]int64) {
		return &OnChain{
			Kind: CloseRevoked, ClosingTxid: "c", UnclaimedSat: 330,
			Transactions: []ChainTx{{Txid: "c", By: "bob", FeeSat: 500}, {Txid: "a", By: "alice", FeeSat: 100}},
			Sides: map[string]Closed{
				"alice": {WalletBeforeSat: 1_000, SweptSat: 9_999_170, CommitFeesSat: 830, WalletAfterSat: 10_000_070},
				"bob":   {WalletBeforeSat: 2_000, LostSat: 4_000_000, WalletAfterSat: 2_000},
			},
		}, map[string]int64{"alice": 6_000_000_000, "bob": 4_000_000_000}
	}
	change := func(name string, f func(*Closed)) func(*OnChain, map[string]int64) {
		return func(o *OnChain, _ map[string]int64) {
			side := o.Sides[name]
			f(&side)
			o.Sides[name] = side
		}
	}
	for _, test := range []struct {
		name   string
		book   func() (*OnChain, map[string]int64)
		change func(*OnChain, map[string]int64)
		want   []string
	}{
		{"nothing wrong", force, func(*OnChain, map[string]int64) {}, nil},
		{"nothing wrong with a punishment", revoked, func(*OnChain, map[string]int64) {}, nil},
		{"a satoshi less in a wallet", force, change("bob", func(c *Closed) { c.WalletAfterSat-- }), []string{"bob: has", "went in"}},
		{"one more", force, change("alice", func(c *Closed) { c.WalletAfterSat++ }), []string{"alice: has", "went in"}},
		{"a sweep that no wallet got", force, change("bob", func(c *Closed) { c.SweptSat++ }), []string{"bob: has", "bob: got"}},
		{"more than the payments say", force, func(_ *OnChain, s map[string]int64) { s["alice"] -= 1_000 }, []string{"alice: got"}},
		{"fees of nobody", force, change("alice", func(c *Closed) { c.CommitFeesSat++ }), []string{"alice: got"}},
		{"a transaction that is not known", force, func(o *OnChain, _ map[string]int64) { o.Transactions = o.Transactions[:2] }, []string{"bob: has", "went in"}},
		{"an output that nobody knows", force, func(o *OnChain, _ map[string]int64) { o.UnclaimedSat++ }, []string{"went in"}},
		{"an output that the cheater keeps", revoked, func(o *OnChain, _ map[string]int64) {
			side := o.Sides["alice"]
			side.SweptSat, side.WalletAfterSat = side.SweptSat-400, side.WalletAfterSat-400
			o.Sides["alice"], o.UnclaimedSat = side, o.UnclaimedSat+400
		}, []string{"kept something"}},
	} {
		o, shares := test.book()
		test.change(o, shares)
		faults := o.audit(sides, shares)
		if len(faults) != len(test.want) {
			t.Errorf("%s: %q, want %q", test.name, faults, test.want)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(faults[i], want) {
				t.Errorf("%s: %q, want %q", test.name, faults, test.want)
			}
		}
	}
	o, shares := force()
	o.audit(sides, shares)
	if o.FeesSat != 640 || o.Sides["alice"].TxFeesSat != 100 || o.Sides["bob"].TxFeesSat != 40 {
		t.Errorf("fees: %+v", o)
	}
}

// A side's total stays, but for payments that it claims, whose money it gets.
func TestJudge(t *testing.T) {
	balance := func(total uint64) lnactor.ChannelBalance {
		return lnactor.ChannelBalance{Awaiting: total, Total: total}
	}
	for _, test := range []struct {
		name   string
		kind   CloseKind
		node   string
		claims uint64
		totals []uint64 // block by block; the side begins with 1000
		wrong  bool
	}{
		{"stays", CloseForce, "alice", 0, []uint64{1000, 1000}, false},
		{"a claim", CloseForce, "alice", 50, []uint64{1000, 1050}, false},
		{"more than the claim", CloseForce, "alice", 50, []uint64{1000, 1051}, true},
		{"a claim that vanishes", CloseForce, "alice", 50, []uint64{1050, 1000}, true},
		{"money that vanishes at once", CloseCooperative, "alice", 0, []uint64{999}, true},
		{"bob's anchor", CloseForce, "bob", 0, []uint64{1330, 1330}, false},
		{"two of them", CloseForce, "bob", 0, []uint64{1331}, true},
		{"a punishment", CloseRevoked, "alice", 0, []uint64{1000, capacitySat, capacitySat}, false},
		{"that is taken back", CloseRevoked, "alice", 0, []uint64{capacitySat, 5000}, true},
	} {
		w := &world{sides: []*side{{name: "alice"}, {name: "bob"}}}
		c := &course{run: &run{world: w, opts: Options{Close: test.kind}}, stood: map[string]Stand{}, least: map[string]uint64{test.node: 1000}}
		payee := w.sides[0]
		if test.node == "bob" {
			payee = w.sides[1]
		}
		c.held = []*held{{purchase: purchase{payee: payee, msat: test.claims * 1000}, claimed: true}}
		for i, total := range test.totals {
			now := Stand{Node: test.node, Balance: balance(total)}
			c.judge(now, BlockMined{Height: int32(i)})
			c.stood[test.node] = now
		}
		if wrong := len(c.report.Faults) > 0; wrong != test.wrong {
			t.Errorf("%s: %q", test.name, c.report.Faults)
		}
	}
	c := &course{run: &run{world: &world{sides: []*side{{name: "alice"}, {name: "bob"}}}}, stood: map[string]Stand{}, least: map[string]uint64{"alice": 10}}
	c.judge(Stand{Node: "alice", Balance: lnactor.ChannelBalance{Awaiting: 9, Total: 10}}, BlockMined{})
	if len(c.report.Faults) != 1 || !strings.Contains(c.report.Faults[0], "add up to 9") {
		t.Errorf("%q", c.report.Faults)
	}
}
