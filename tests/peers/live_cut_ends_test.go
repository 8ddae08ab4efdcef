package peers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
)

// TestLiveCutOpens loses the connection before and after each message with which a channel is opened. Either the channel comes to be used, or there is
// none, and the next one can be opened at once.
func TestLiveCutOpens(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			ours, theirs := aroundSending, aroundReceiving // the funder's messages, the other's
			if !weFund {
				ours, theirs = theirs, ours
			}
			faults := &cutter{}
			r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }})
			r.connect(true)
			for _, m := range join(
				ours(lnwire.MsgOpenChannel, 1), theirs(lnwire.MsgAcceptChannel, 1), ours(lnwire.MsgFundingCreated, 1),
				theirs(lnwire.MsgFundingSigned, 1), around(lnwire.MsgChannelReady, 1),
			) {
				t.Logf("cut %v", m)
				l, ok := r.openCut(faults, m, weFund)
				if !ok {
					t.Log("no channel")
					l = r.open(weFund, capacity/2, nil)
				}
				r.weMustSend(1_500_000)
				r.lndMustSend(1_500_000)
				r.balances(l)
				r.closeMutually(l, weFund)
			}
		})
	}
}

// openCut opens a channel during which the connection is lost; false if it came to nothing.
func (r *rig) openCut(faults *cutter, m cut, weFund bool) (link, bool) {
	r.t.Helper()
	opened := r.newChannel()
	faults.arm(m)
	done := make(chan error, 1)
	go func() {
		if weFund {
			_, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: r.lnd.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000})
			done <- err
			return
		}
		done <- r.lnd.openChannel(r.ctx, r.us.ID(), capacity, capacity/2, nil)
	}()
	ready := m.kind == lnwire.MsgChannelReady
	if !ready {
		await(r.t, r.ctx, "the cut "+m.String(), func() bool { return !faults.pending() })
		r.weDial()
	}
	var refused error
	await(r.t, r.ctx, "the end of the opening", func() bool {
		select {
		case refused = <-done:
			return true
		default:
			return false
		}
	})
	if refused != nil && !errors.Is(refused, lnactor.ErrOpeningLost) {
		if ready {
			r.t.Fatal(refused)
		}
		r.t.Log(refused)
		return link{}, false
	}
	var l link
	var err error
	await(r.t, r.ctx, "our channel", func() bool {
		l, err = opened()
		return err == nil && l.point != ""
	})
	l.ours = weFund
	r.chain.AwaitTx(r.t, txidOf(r.t, l.point))
	r.mine(3)
	if ready {
		await(r.t, r.ctx, "the cut "+m.String(), func() bool { return !faults.pending() })
		r.weDial()
	}
	r.awaitActive(l)
	return l, true
}

// TestLiveCutCloses loses the connection before and after each message with which a channel is closed. It is closed all the same, once, and every satoshi is
// where it belongs.
func TestLiveCutCloses(t *testing.T) {
	for _, weStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we start %v", weStart), func(t *testing.T) {
			faults := &cutter{}
			r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }})
			r.connect(true)
			for _, weFund := range []bool{true, false} {
				for _, m := range join(around(lnwire.MsgShutdown, 1), around(lnwire.MsgClosingSigned, 1)) {
					t.Logf("we fund %v, cut %v", weFund, m)
					l := r.open(weFund, capacity/2, nil)
					r.weMustSend(1_500_000)
					r.closeMutuallyBy(l, func() {
						r.cutNow(faults, m, func() {
							if weStart {
								must(t, r.us.CloseChannel(r.ctx, l.id))
								return
							}
							go func() { _ = r.lnd.closeChannel(r.ctx, l.point, false) }() // it may say that the connection is gone
						})
					})
				}
			}
		})
	}
}

// TestLiveCutAnnouncements loses the connection before and after each message with which a public channel is announced. Both have all of it in the end.
func TestLiveCutAnnouncements(t *testing.T) {
	faults := &cutter{}
	r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	r.connect(true)
	for _, m := range join(
		around(lnwire.MsgAnnounceSignatures, 1), around(lnwire.MsgChannelUpdate, 1), aroundSending(lnwire.MsgChannelAnnouncement, 1),
		around(lnwire.MsgNodeAnnouncement, 1),
	) {
		t.Logf("cut %v", m)
		l := r.openUnconfirmed(false, capacity/2, map[string]any{"private": false})
		faults.arm(m)
		r.mine(6)
		if m.kind == lnwire.MsgAnnounceSignatures || m.kind == lnwire.MsgChannelUpdate {
			await(t, r.ctx, "the cut "+m.String(), func() bool { return !faults.pending() })
			r.weDial()
		}
		r.awaitActive(l)
		r.lndKnows(r.lnd, 1)
		r.usKnows(r.us, 1)
		if faults.pending() { // announcements of nodes come when they come, and some have been told of before
			t.Log("no such message")
			faults.arm(cut{})
		}
		r.weDial()
		r.awaitActive(l)
		r.closeMutually(l, true)
	}
}
