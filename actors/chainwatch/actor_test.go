package chainwatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// node is a chainwatch actor over the embedded chain, with recorders in place of its partners. It runs in a synctest bubble: synctest.Wait
// is exact quiescence.
type node struct {
	t     *testing.T
	env   *kit.Env
	chain *regtest.Chain
	src   *regtest.Source
	pid   *actor.PID

	mu  sync.Mutex
	got []messages.Delivery
	err error
}

// remote makes a source answer over goroutines, as one behind a network does.
type remote struct{ *regtest.Source }

func (remote) Local() bool { return false }

func newNode(t *testing.T, wrap func(*regtest.Source) chain.Source, opts ...Option) *node {
	t.Helper()
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, chain: c, src: c.Source()}
	n.env, err = kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{Stop: func(err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err = err
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []messages.Addr{messages.MonitorsAddr, messages.ManagerAddr, "w", "wallet"} {
		props := n.env.Props(func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
				default:
					n.mu.Lock()
					n.got = append(n.got, messages.Delivery{To: at, Msg: ctx.Message()})
					n.mu.Unlock()
				}
			})
		})
		if _, err := n.env.Spawn(nil, at, props); err != nil {
			t.Fatal(err)
		}
	}
	var src chain.Source = n.src
	if wrap != nil {
		src = wrap(n.src)
	}
	if n.pid, err = n.env.Spawn(nil, messages.ChainWatchAddr, New(n.env, src, opts...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.env.System.Root.StopFuture(n.pid).Wait()
		n.env.Close()
		_ = c.Close()
	})
	return n
}

// take returns what an address got since the last call.
func (n *node) take(at messages.Addr) []any {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	var msgs []any
	rest := n.got[:0]
	for _, d := range n.got {
		if d.To == at {
			msgs = append(msgs, d.Msg)
		} else {
			rest = append(rest, d)
		}
	}
	n.got = rest
	return msgs
}

func (n *node) mine(blocks int) {
	n.t.Helper()
	if _, err := n.chain.Mine(blocks); err != nil {
		n.t.Fatal(err)
	}
}

// fund makes a confirmed output and a transaction that spends it.
func (n *node) fund() (wire.OutPoint, *wire.MsgTx) {
	n.t.Helper()
	script, witness := regtest.FaucetScript()
	op, err := n.chain.Fund(script, 1e6)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mine(1)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&op, nil, witness))
	tx.AddTxOut(wire.NewTxOut(1e6-1000, script))
	return op, tx
}

func (n *node) registration(op wire.OutPoint) messages.ChainRegister {
	hash, height := n.chain.Tip()
	return messages.ChainRegister{
		Channel: chanID(1), Incarnation: 1, Height: uint32(height), Hash: hash, Outpoints: []wire.OutPoint{op}, To: "w",
	}
}

func TestActor(t *testing.T) {
	for name, wrap := range map[string]func(*regtest.Source) chain.Source{
		"local": nil, "remote": func(s *regtest.Source) chain.Source { return remote{s} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, wrap, WithAnnounce("wallet"), WithGenesis(*regtest.Params().GenesisHash))
				for _, at := range []messages.Addr{messages.MonitorsAddr, messages.ManagerAddr, "wallet"} {
					got := n.take(at)
					if len(got) != 1 || got[0].(messages.ChainStarted).Incarnation == 0 {
						t.Fatalf("%s got %v", at, got)
					}
				}
				op, tx := n.fund()
				synctest.Wait()
				n.env.Tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: "wallet"})
				n.env.Tell(messages.ChainWatchAddr, n.registration(op))
				if got := n.take("w"); len(got) != 1 || got[0].(messages.ChainBlock).Height != 121 {
					t.Fatalf("%v", got)
				}
				if got := n.take("wallet"); len(got) != 1 || got[0].(messages.ChainTip).Height != 121 {
					t.Fatalf("%v", got)
				}

				n.env.Tell(messages.ChainWatchAddr, messages.Broadcast{Tx: tx, ReplyTo: "w"})
				if got := n.take("w"); len(got) != 1 || got[0].(messages.BroadcastReply).Err != nil {
					t.Fatalf("%v", got)
				}
				n.mine(3)
				got := n.take("w")
				if len(got) != 1 || got[0].(messages.ChainBlock).Matches[0].Tx.TxHash() != tx.TxHash() {
					t.Fatalf("%v", got)
				}
				if got := n.take("wallet"); len(got) != 3 {
					t.Fatalf("wallet got %d", len(got))
				}

				// Thrown out, evicted, broadcast again by itself, confirmed again.
				if err := n.chain.Reorg(3, 4, regtest.DropAllTxs()); err != nil {
					t.Fatal(err)
				}
				if got := n.take("w"); len(got) != 1 || got[0].(messages.ChainDisconnected).Height != 121 {
					t.Fatalf("%v", got)
				}
				n.mine(1)
				if got := n.take("w"); len(got) != 1 || got[0].(messages.ChainBlock).Height != 126 {
					t.Fatalf("%v", got)
				}
			})
		})
	}
}

func TestActorRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		op, tx := n.fund()
		r := n.registration(op)
		n.env.Tell(messages.ChainWatchAddr, r)
		first := n.take(messages.MonitorsAddr)[0].(messages.ChainStarted)
		n.take("w")

		// A message that crashes it: the next incarnation knows nothing and says so.
		n.env.Tell(messages.ChainWatchAddr, messages.Broadcast{Tx: &wire.MsgTx{TxIn: []*wire.TxIn{nil}}})
		second := n.take(messages.MonitorsAddr)
		if len(second) != 1 || second[0].(messages.ChainStarted).Incarnation == first.Incarnation {
			t.Fatalf("%v", second)
		}
		if err := n.chain.Broadcast(tx); err != nil {
			t.Fatal(err)
		}
		n.mine(1)
		if got := n.take("w"); len(got) != 0 {
			t.Fatalf("%v", got)
		}
		r.Incarnation++
		n.env.Tell(messages.ChainWatchAddr, r)
		if got := n.take("w"); len(got) != 2 || len(got[0].(messages.ChainBlock).Matches) != 1 {
			t.Fatalf("%v", got)
		}
	})
}

func TestActorOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		op, tx := n.fund()
		n.env.Tell(messages.ChainWatchAddr, n.registration(op))
		n.take("w")
		n.src.SetDown(true)
		if err := n.chain.Broadcast(tx); err != nil {
			t.Fatal(err)
		}
		n.mine(1)
		n.env.Tell(messages.ChainWatchAddr, messages.Broadcast{Tx: tx, ReplyTo: "w"})
		time.Sleep(time.Hour)
		if got := n.take("w"); len(got) != 1 || !errors.Is(got[0].(messages.BroadcastReply).Err, chain.ErrUnreachable) {
			t.Fatalf("%v", got)
		}
		n.src.SetDown(false)
		time.Sleep(lastBackOff)
		reply, block := 0, 0
		for _, msg := range n.take("w") {
			switch m := msg.(type) {
			case messages.BroadcastReply:
				if reply++; m.Err != nil {
					t.Fatal(m.Err)
				}
			case messages.ChainBlock:
				if block++; len(m.Matches) != 1 {
					t.Fatalf("%+v", m)
				}
			}
		}
		if reply != 1 || block != 1 {
			t.Fatalf("%d replies, %d blocks", reply, block)
		}
	})
}

func TestActorWrongChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil, WithGenesis(chainhash.Hash{1}))
		synctest.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if !errors.Is(n.err, chain.ErrWrongChain) {
			t.Fatalf("stopped with %v", n.err)
		}
	})
}

func TestBackOffGrowsAndIsBounded(t *testing.T) {
	if backOff(1) != firstBackOff || backOff(2) != 2*firstBackOff || backOff(1000) != lastBackOff {
		t.Fatal(backOff(1), backOff(2), backOff(1000))
	}
}

func TestQueryRefusesAnotherBlock(t *testing.T) {
	f := newFakeChain(3)
	asked, other := f.at(1).hash, f.at(2).hash
	f.blocks[asked] = f.blocks[other]
	if a := query(context.Background(), f, ask{block: &asked}); !errors.Is(a.err, chain.ErrUnreachable) {
		t.Fatal(a.err)
	}
}
