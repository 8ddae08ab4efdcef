package rpc_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

func TestPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks, told, other atomic.Int64
		var height atomic.Int32
		var down atomic.Bool
		p := rpc.NewPoller(func(context.Context) (chain.BlockID, error) {
			looks.Add(1)
			if down.Load() {
				return chain.BlockID{}, chain.ErrUnreachable
			}
			h := height.Load()
			return chain.BlockID{Height: h, Hash: chainhash.Hash{byte(h), 1}}, nil
		}, time.Minute)
		defer p.Subscribe(func() { told.Add(1) })()
		cancel := p.Subscribe(func() { other.Add(1) })
		check := func(what string, wantLooks, wantTold int64) {
			t.Helper()
			synctest.Wait()
			if looks.Load() != wantLooks || told.Load() != wantTold {
				t.Errorf("%s: %d looks and %d notifications, want %d and %d",
					what, looks.Load(), told.Load(), wantLooks, wantTold)
			}
		}
		synctest.Wait()
		start := told.Load() // the first look may be earlier than the subscription

		time.Sleep(10 * time.Minute)
		check("nothing happens", 11, start)
		height.Store(1)
		check("not looked yet", 11, start)
		p.Poke()
		check("poked", 12, start+1)
		p.Poke()
		check("poked for nothing", 13, start+1)
		cancel()
		height.Store(2)
		time.Sleep(time.Minute)
		check("noticed by itself", 14, start+2)
		if got := other.Load(); got != start+1 {
			t.Errorf("the cancelled subscriber was told %d times, want %d", got, start+1)
		}

		down.Store(true)
		height.Store(3)
		time.Sleep(5 * time.Minute)
		check("away", 19, start+2)
		down.Store(false)
		time.Sleep(time.Minute)
		check("back", 20, start+3)

		p.Close()
		p.Close()
		height.Store(4)
		time.Sleep(time.Hour)
		check("closed", 20, start+3)
	})
}
