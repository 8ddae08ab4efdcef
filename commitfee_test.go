package lnactor_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// TestCommitmentFeesFollowEstimates: the funder's channels go to the estimate, those of a node that keeps its fees do not.
func TestCommitmentFeesFollowEstimates(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"fee_by_block_target": {"2": 8000, "6": 4000}}`)) // satoshis per 1,000 virtual bytes
	}))
	t.Cleanup(web.Close)
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	nodes := make([]*lnactor.Node, 2)
	for i, keep := range []bool{false, true} {
		nodes[i], err = lnactor.Open(ctx, lnactor.Config{
			Chain: chain.Source(), Params: chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1, FeeURL: web.URL, KeepCommitmentFees: keep,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close() })
		fund(t, ctx, chain, nodes[i], 10_000_000)
	}
	if err := nodes[0].Connect(ctx, nodes[1].ID(), nodes[1].ListenAddress()); err != nil {
		t.Fatal(err)
	}
	follows, err := nodes[0].OpenChannel(ctx, lnactor.OpenParams{Peer: nodes[1].ID(), CapacitySat: 1_000_000, FeePerKw: 500})
	if err != nil {
		t.Fatal(err)
	}
	keeps, err := nodes[1].OpenChannel(ctx, lnactor.OpenParams{Peer: nodes[0].ID(), CapacitySat: 1_000_000, FeePerKw: 500})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "the fee of the estimate", func() (bool, any) {
		if _, err := chain.Mine(1); err != nil { // rates are asked for with every block
			t.Fatal(err)
		}
		fees := map[string]uint32{}
		for i, n := range nodes {
			list, err := n.Channels(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				fees[fmt.Sprint(i, c.Channel == follows, c.Channel == keeps)] = c.FeePerKw
			}
		}
		want := map[string]uint32{"0 true false": 1000, "0 false true": 500, "1 true false": 1000, "1 false true": 500}
		return maps.Equal(fees, want), fees
	})
}
