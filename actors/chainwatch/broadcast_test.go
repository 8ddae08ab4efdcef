package chainwatch

import (
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/messages"
)

func TestBroadcast(t *testing.T) {
	h := newHarness(t, 200)
	tx := spend(1, out(1))
	low := &chain.BroadcastError{Code: chain.BroadcastFeeTooLow, Reason: "low"}
	h.f.broadcast = func(*wire.MsgTx) error { return low }
	h.run(h.c.broadcast(messages.Broadcast{Tx: tx, ReplyTo: "owner"}))
	h.want("owner: reply " + low.Error())
	h.f.mine()
	h.sync()
	h.want() // tried again, nothing new to say
	h.f.broadcast = nil
	h.f.mine()
	h.sync()
	h.want("owner: reply <nil>")
	if len(h.f.taken) != 3 {
		t.Fatalf("offered %d times", len(h.f.taken))
	}

	// Another owner of the same transaction gets an answer of its own kind.
	known := &chain.BroadcastError{Code: chain.BroadcastInMempool}
	h.f.broadcast = func(*wire.MsgTx) error { return known }
	h.run(h.c.broadcast(messages.Broadcast{Tx: tx, ReplyTo: "other"}))
	h.want("owner: reply <nil>", "other: reply <nil>")

	// Confirmed: silence. Thrown out by a reorganisation: offered again.
	h.f.mine(tx)
	h.sync()
	h.f.taken = nil
	h.f.mineEmpty(2)
	h.sync()
	if len(h.f.taken) != 0 {
		t.Fatal("confirmed transaction offered again")
	}
	h.f.cut(3)
	h.f.mineEmpty(4)
	h.sync()
	if len(h.f.taken) != 1 {
		t.Fatalf("offered %d times after the reorganisation", len(h.f.taken))
	}
	h.f.mine(tx)
	h.f.mineEmpty(forgetDepth)
	h.sync()
	if len(h.c.casts.byID) != 0 || len(h.c.casts.order) != 0 {
		t.Fatal("buried transaction kept")
	}

	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(2)}))
	h.run(h.c.withdraw(messages.Withdraw{Txid: spend(2).TxHash()}))
	h.f.taken = nil
	h.f.mine()
	h.sync()
	if len(h.f.taken) != 0 {
		t.Fatal("withdrawn transaction offered again")
	}
	h.run(h.c.broadcast(messages.Broadcast{}))
	h.want()
}

func TestBroadcastSurvivesOutage(t *testing.T) {
	h := newHarness(t, 200)
	h.f.down = chain.ErrUnreachable
	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(1), ReplyTo: "owner"}))
	h.want("owner: reply " + chain.ErrUnreachable.Error())
	h.run(h.c.retry())
	h.want()
	h.f.down = nil
	h.run(h.c.retry())
	h.want("owner: reply <nil>")
}

func TestBroadcastOfConfirmedIsNotRepeated(t *testing.T) {
	h := newHarness(t, 200)
	h.f.broadcast = func(*wire.MsgTx) error { return &chain.BroadcastError{Code: chain.BroadcastConfirmed} }
	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(1), ReplyTo: "owner"}))
	h.want("owner: reply <nil>")
	h.f.mine()
	h.sync()
	if len(h.f.taken) != 1 {
		t.Fatalf("offered %d times", len(h.f.taken))
	}
	h.f.cut(2)
	h.f.mineEmpty(3)
	h.sync()
	if len(h.f.taken) != 2 {
		t.Fatalf("offered %d times after a reorganisation", len(h.f.taken))
	}
}
