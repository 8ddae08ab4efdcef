package sim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/messages"
)

// TestWithheldRevocation: bob takes commitment_signed and answers nothing but pings, until alice connects again. A payment that waits for his revocation fails
// when its time is over, and not when bob likes; the one that is committed goes on with the next connection, for which alice does not wait for ever.
func TestWithheldRevocation(t *testing.T) {
	mute, again := false, false
	w := stage(t, opened(), plan{mute: func(n *node, raw []byte) bool {
		switch lnwire.MessageType(binary.BigEndian.Uint16(raw)) {
		case lnwire.MsgRevokeAndAck, lnwire.MsgCommitSig, lnwire.MsgUpdateFulfillHTLC:
			mute = mute || n.name == "bob"
		case lnwire.MsgChannelReestablish:
			again = again || mute
		default:
			return false
		}
		return mute && !again && n.name == "bob"
	}})
	one := w.pay(payGood)
	w.pass(time.Second)
	two := w.newPayment(0, 6_000_000, payGood)
	two.msg.Deadline = w.sim.Now().Add(20 * time.Second)
	two.ask()
	w.pass(15 * time.Second)
	if one.outcome() != nil || two.outcome() != nil || again {
		t.Fatalf("too early: %+v, %+v, connected again %v", one.outcome(), two.outcome(), again)
	}
	w.pass(8 * time.Second)
	if _, failed := two.outcome().(messages.PaymentFailed); !failed || one.outcome() != nil || again {
		t.Fatalf("its time is over: %+v; the other one: %+v, connected again %v", two.outcome(), one.outcome(), again)
	}
	w.pass(3 * time.Minute)
	if _, sent := one.outcome().(messages.PaymentSent); !sent || !again {
		t.Fatalf("connected again %v: %+v", again, one.outcome())
	}
	w.done(t)
}
