package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/peer"
)

// Messages that change no state of a channel, and update_fail_malformed_htlc, which nobody sends by a call of his interface. lnd is made to send the
// first by --protocol.custom-message, which lets its API send messages of any type, and so that we send the last by a route that names the right
// channel and another node's key.

// TestLiveCutLndTalks loses the connection before and after ping, pong, warning and error, which lnd sends, with a payment of ours held by lnd.
func TestLiveCutLndTalks(t *testing.T) {
	faults := &cutter{}
	r := &cutRig{faults: faults, msat: 5_000_000}
	lnd := []string{
		fmt.Sprintf("--protocol.custom-message=%d", lnwire.MsgPing), fmt.Sprintf("--protocol.custom-message=%d", lnwire.MsgWarning),
		fmt.Sprintf("--protocol.custom-message=%d", lnwire.MsgError),
	}
	r.rig = newRig(t, setup{extra: true, lnd: lnd, limit: 5 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }})
	r.connect(true)
	r.link = r.open(true, capacity/2, nil)
	before, _ := r.balances(r.link)
	says := func(kind lnwire.MessageType, data []byte) func(*cutRig, cut) {
		return func(r *cutRig, m cut) {
			r.t.Helper()
			r.heldOver(m, func() { r.lndSays(kind, data) })
		}
	}
	text := func(of lnactor.ChannelID, s string) []byte {
		return append(binary.BigEndian.AppendUint16(of[:], uint16(len(s))), s...)
	}
	ping := []byte{0, 10, 0, 3, 1, 2, 3}
	r.all([]course{
		{"lnd pings", says(lnwire.MsgPing, ping), join(aroundReceiving(lnwire.MsgPing, 1), aroundSending(lnwire.MsgPong, 1))},
		{"lnd warns of the channel", says(lnwire.MsgWarning, text(r.link.id, "beware")), aroundReceiving(lnwire.MsgWarning, 1)},
		{"lnd warns", says(lnwire.MsgWarning, text(lnactor.ChannelID{}, "beware")), aroundReceiving(lnwire.MsgWarning, 1)},
		{"lnd has an internal error", says(lnwire.MsgError, text(r.link.id, "internal error")), aroundReceiving(lnwire.MsgError, 1)},
	})
	r.audit(r.link, before, func() (uint64, int) { return r.sent, r.n })
}

// heldOver loses the connection while lnd holds a payment of ours, which it settles when the connection is there again.
func (r *cutRig) heldOver(m cut, start func()) {
	r.t.Helper()
	r.heldAcross(func() {
		r.cutNow(r.faults, m, start)
		r.awaitActive(r.link)
	})
}

// TestLiveCutWeTalk loses the connection before and after what we send: ping and lnd's pong, a warning, the error that refuses a channel, and lnd's, and
// update_fail_malformed_htlc.
func TestLiveCutWeTalk(t *testing.T) {
	faults := &cutter{}
	r := &cutRig{faults: faults, msat: 5_000_000}
	r.rig = newRig(t, setup{extra: true, lnd: []string{"--minchansize=100000"}, limit: 15 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }})
	r.connect(true)
	r.link = r.open(true, capacity/2, nil)
	before, _ := r.balances(r.link)
	r.all([]course{
		{"we warn", (*cutRig).weWarnCut, aroundSending(lnwire.MsgWarning, 1)},
		{"lnd refuses a channel", (*cutRig).lndRefusesChannelCut, aroundReceiving(lnwire.MsgError, 1)},
		{"we refuse a channel", (*cutRig).weRefuseChannelCut, aroundSending(lnwire.MsgError, 1)},
		{"we can't read an onion", (*cutRig).weCannotReadCut, aroundSending(lnwire.MsgUpdateFailMalformedHTLC, 1)},
		{"we ping", (*cutRig).wePingCut, join(aroundSending(lnwire.MsgPing, 1), aroundReceiving(lnwire.MsgPong, 1))},
	})
	r.audit(r.link, before, func() (uint64, int) { return r.sent, r.n })
}

// weWarnCut: lnd says something that we do not know and may not ignore.
func (r *cutRig) weWarnCut(m cut) {
	r.t.Helper()
	r.heldOver(m, func() { r.lndSays(lnwire.CustomTypeStart, []byte("what?")) })
}

// wePingCut: lnd stands still for so long that we ask.
func (r *cutRig) wePingCut(m cut) {
	r.t.Helper()
	r.heldOver(m, func() {
		r.lnd.life.signal(syscall.SIGSTOP)
		defer r.lnd.life.signal(syscall.SIGCONT)
		pinged := r.faults.count(lnwire.MsgPing, peer.BeforeSend)
		// After one to two minutes of silence, which may be longer than await waits.
		for deadline := time.Now().Add(2 * patience); r.faults.count(lnwire.MsgPing, peer.BeforeSend) == pinged && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// lndRefusesChannelCut: no coin is bound by what lnd does not want, and we know that there is no channel, by lnd's word or without.
func (r *cutRig) lndRefusesChannelCut(m cut) {
	r.t.Helper()
	coins, err := r.us.Balance(r.ctx)
	must(r.t, err)
	done := make(chan error, 1)
	r.heldOver(m, func() {
		go func() {
			_, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: r.lnd.ID, CapacitySat: 50_000})
			done <- err
		}()
	})
	if err := <-done; err == nil || errors.Is(err, lnactor.ErrOpeningLost) {
		r.t.Fatalf("a channel that lnd does not want: %v", err)
	} else {
		r.t.Log(err)
	}
	if now, err := r.us.Balance(r.ctx); err != nil || now.ConfirmedSat != coins.ConfirmedSat || now.UnconfirmedSat+now.ReservedSat > 0 {
		r.t.Fatalf("coins %+v (%v), before %+v", now, err, coins)
	}
}

// weRefuseChannelCut: lnd learns that there is no channel, by our word or without.
func (r *cutRig) weRefuseChannelCut(m cut) {
	r.t.Helper()
	done := make(chan error, 1)
	r.heldOver(m, func() {
		go func() {
			done <- r.lnd.openChannel(r.ctx, r.us.ID(), 200_000, 0, map[string]any{"min_htlc_msat": "5000000"})
		}()
	})
	if err := <-done; err == nil {
		r.t.Fatal("lnd opened a channel whose terms we refuse")
	} else {
		r.t.Log(err)
	}
	if p := r.lnd.pending(r.t, r.ctx); len(p.Opens) > 0 {
		r.t.Fatalf("lnd waits for %+v", p.Opens)
	}
}

// weCannotReadCut: lnd pays us with an onion for another node.
func (r *cutRig) weCannotReadCut(m cut) {
	r.t.Helper()
	var failure lndFailure
	done := make(chan error, 1)
	r.heldOver(m, func() {
		go func() {
			f, err := r.misroutes(r.scid(r.lnd, r.link.point), 1_000_000, hopKey(1).PubKey().SerializeCompressed())
			failure = f
			done <- err
		}()
	})
	must(r.t, <-done)
	if failure.Code != "INVALID_ONION_HMAC" {
		r.t.Fatalf("%+v", failure)
	}
}

// lndSays has lnd send us something. It can't over a connection that is just being replaced by another.
func (r *rig) lndSays(kind lnwire.MessageType, data []byte) {
	r.t.Helper()
	var err error
	if !within(r.ctx, patience, func() bool {
		err = r.lnd.say(r.ctx, r.us.ID(), kind, data)
		return err == nil
	}) {
		r.t.Fatal(err)
	}
}

// say sends a message of any type that lnd was told to let pass.
func (l *lndNode) say(ctx context.Context, to lnactor.NodeID, kind lnwire.MessageType, data []byte) error {
	return l.post(ctx, "/v1/custommessage", map[string]any{"peer": b64(to[:]), "type": uint32(kind), "data": b64(data)}, nil)
}
