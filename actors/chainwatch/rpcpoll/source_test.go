package rpcpoll_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/actors/chainwatch/rpcpoll"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestOpenErrors(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	good := rpc.Config{Params: &chaincfg.SimNetParams, URL: "http://127.0.0.1:1"}
	for _, test := range []struct {
		cfg  rpcpoll.Config
		want error
	}{
		{rpcpoll.Config{}, rpc.ErrConfig},
		{rpcpoll.Config{Config: good, Interval: -1}, rpc.ErrConfig},
		{rpcpoll.Config{Config: good}, chain.ErrUnreachable},
	} {
		if _, err := rpcpoll.Open(t.Context(), test.cfg); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.cfg, err, test.want)
		}
	}
}

// TestRegtest: the chain of tests is btcd's own regtest to a source; a shorter
// best chain is followed, too.
func TestRegtest(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	n := btcdtest.Start(t, btcdtest.Regtest())
	h := &chaintest.Harness{}
	src := open(t, config(n))
	if src.Local() {
		t.Error("a source behind a network calls itself local")
	}
	f := chaintest.Follow(t, src)
	tip := f.Tip()
	first := n.Mine(t, 2)[0]
	f.Await(t, h, n.Backend().Tip(t))
	n.InvalidateBlock(t, first)
	f.Await(t, h, tip)

	src.Close()
	src.Close()
	if _, err := src.Tip(t.Context()); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}
