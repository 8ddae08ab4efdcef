package lnactor

import (
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// A restored wallet reads the chain from the last block before its birthday on.
func TestHeightAt(t *testing.T) {
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	times := []time.Time{}
	for h := int32(0); h <= c.Height(); h++ {
		b, err := c.Block(h)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, b.Header.Timestamp)
	}
	for _, at := range []int{1, 2, 50, len(times) - 1} {
		want := 0
		for h, x := range times {
			if x.Before(times[at]) {
				want = h
			}
		}
		if got, err := heightAt(t.Context(), c.Source(), times[at]); err != nil || got != uint32(want) {
			t.Errorf("time of block %d: %d, %v, want %d", at, got, err, want)
		}
	}
	if got, err := heightAt(t.Context(), c.Source(), times[0].Add(-time.Hour)); err != nil || got != 0 {
		t.Errorf("before the chain: %d, %v", got, err)
	}
	if got, err := heightAt(t.Context(), c.Source(), times[len(times)-1].Add(time.Hour)); err != nil || got != uint32(len(times)-1) {
		t.Errorf("after the tip: %d, %v", got, err)
	}
	down := c.Source()
	down.SetDown(true)
	if _, err := heightAt(t.Context(), down, times[1]); err == nil {
		t.Errorf("no error though the source is down, %v wanted", chain.ErrUnreachable)
	}
}
