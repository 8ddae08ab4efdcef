package funds

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestCommitmentFee: channels are told when the estimates move by a tenth, within the bounds, and only of what is an estimate.
func TestCommitmentFee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		estimates := false
		w := newWorld(t, func(c *Config) { c.Estimates = func() bool { return estimates } })
		for _, step := range []struct {
			perKw     uint32
			err       error
			estimates bool
			told      uint32 // 0: nothing
		}{
			{1000, nil, false, 0},
			{1000, nil, true, 1000},
			{1099, nil, true, 0},
			{1100, nil, true, 1100},
			{991, nil, true, 0},
			{990, nil, true, 990},
			{5000, errors.New("down"), true, 0},
			{5000, nil, true, 2500},
			{9000, nil, true, 0},
			{100, nil, true, 253},
			{2000, nil, false, 0},
		} {
			estimates = step.estimates
			w.rates.set(step.perKw, step.err)
			w.got = nil
			w.mine(1)
			if got := told(w); got != step.told {
				t.Errorf("%+v: %d", step, got)
			}
		}
		id := ln.ChannelID{1}
		ask := func() uint32 {
			w.got = nil
			w.tell(messages.AskCommitmentFee{Channel: id})
			return told(w)
		}
		if _, err := w.env.Spawn(nil, messages.ChannelAddr(id), w.env.Props(w.record)); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != 253 {
			t.Errorf("a channel that starts is told %d", got)
		}
		w.kill()
		if _, err := w.env.Spawn(nil, messages.ChannelAddr(id), w.env.Props(w.record)); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != 0 {
			t.Errorf("without an estimate it is told %d", got)
		}
	})
}

// told is the rate that channels were told, 0 if none.
func told(w *world) (rate uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.got {
		if f, ok := m.(messages.CommitmentFee); ok {
			rate = f.FeePerKw
		}
	}
	return rate
}
