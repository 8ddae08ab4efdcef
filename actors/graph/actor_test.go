package graph

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// tap is an actor that keeps what it is sent.
type tap struct {
	mu  sync.Mutex
	got []any
}

func (p *tap) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
	default:
		p.mu.Lock()
		p.got = append(p.got, m)
		p.mu.Unlock()
	}
}

func (p *tap) take() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.got
	p.got = nil
	return out
}

func count[T any](in []any) (n int) {
	for _, m := range in {
		if _, ok := m.(T); ok {
			n++
		}
	}
	return n
}

// The actor itself: it learns, answers, is crashed by a message that makes no sense, comes back from its file and asks all to tell of themselves
// again. With a chain that answers aside, and with one in memory.
func TestActor(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			env, err := kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer env.Close()
			taps := map[messages.Addr]*tap{}
			for _, at := range []messages.Addr{messages.PeersAddr, messages.MonitorsAddr, messages.ChainWatchAddr, messages.PeerAddr(nodeID(1))} {
				taps[at] = &tap{}
				if _, err := env.Spawn(nil, at, env.Props(func() actor.Actor { return taps[at] })); err != nil {
					t.Fatal(err)
				}
			}
			l := &ledger{slow: slow}
			var file []byte
			cfg := testConfig(l)
			cfg.Load = func() ([]byte, error) { return file, nil }
			cfg.Save = func(raw []byte) error { file = raw; return nil }
			id := scid(700, 1, 0)
			r := &rig{t: t, chain: l, now: time.Now()}
			l.out = map[uint64]*wire.TxOut{}
			msgs := append(r.channel(id, 10, 11), nodeAnnouncement(10, r.now))
			pid, err := env.Spawn(nil, messages.GraphAddr, env.Props(Producer(env, cfg)))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			started := func(what string) {
				t.Helper()
				for at, kind := range map[messages.Addr]func([]any) int{
					messages.PeersAddr: count[messages.GraphStarted], messages.MonitorsAddr: count[messages.GraphStarted],
					messages.ChainWatchAddr: count[messages.ChainSubscribe],
				} {
					if n := kind(taps[at].take()); n != 1 {
						t.Fatal(what, at, n)
					}
				}
			}
			started("start")
			size := func() messages.GraphSummary {
				t.Helper()
				got, err := kit.AskFor(context.Background(), env, messages.GraphAddr, func(to messages.Addr) any { return messages.GetGraph{ReplyTo: to} })
				if err != nil {
					t.Fatal(err)
				}
				return got.(messages.GraphSummary)
			}
			env.Tell(messages.GraphAddr, messages.ChainTip{Height: 800})
			env.Tell(messages.GraphAddr, messages.GossipUp{Peer: nodeID(1), Session: 1, Queries: true})
			env.Tell(messages.GraphAddr, messages.Gossip{Peer: nodeID(1), Session: 1, Msgs: msgs})
			synctest.Wait()
			if s := size(); s.Channels != 1 || s.Policies != 2 || s.Announced != 1 || s.Syncing != 1 {
				t.Fatalf("%+v", s)
			}
			if n := count[messages.PeerSend](taps[messages.PeerAddr(nodeID(1))].take()); n != 1 {
				t.Fatal("sync", n)
			}
			time.Sleep(cfg.Times.Save + 2*cfg.Times.Tick)
			synctest.Wait()
			if len(file) == 0 {
				t.Fatal("nothing is written down")
			}
			for _, p := range taps {
				p.take()
			}
			env.Tell(messages.GraphAddr, messages.Gossip{Peer: nodeID(1), Session: 1, Msgs: []lnwire.Message{(*lnwire.ChannelUpdate1)(nil)}})
			synctest.Wait()
			started("crash")
			if s := size(); s.Channels != 1 || s.Policies != 2 || s.Announced != 1 || s.Syncing != 0 {
				t.Fatalf("%+v", s)
			}
			file = nil
			if err := env.System.Root.StopFuture(pid).Wait(); err != nil {
				t.Fatal(err)
			}
			if len(file) == 0 {
				t.Fatal("nothing is written down at an orderly stop")
			}
			file[20]++
			if _, err := env.Spawn(nil, messages.GraphAddr, env.Props(Producer(env, cfg))); err != nil {
				t.Fatal(err)
			}
			if s := size(); s.Channels != 0 {
				t.Fatal("a damaged file was used", s)
			}
		})
	}
}
