package channel

import (
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// The actor loads its facts first, drops what an earlier incarnation asked for, and comes back with nothing but the durable facts after a crash.
func TestActor(t *testing.T) {
	w := newWorld(t)
	n := w.a
	synctest.Test(t, func(t *testing.T) {
		env, err := kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		var loads []messages.ChannelLoad
		var fenced []messages.ChannelFenced
		var attached []messages.PeerAttach
		var updates []messages.MonitorUpdate
		spawn := func(at messages.Addr, props *actor.Props) *actor.PID {
			pid, err := env.Spawn(nil, at, props)
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		take := func(at messages.Addr, f func(any)) *actor.PID {
			return spawn(at, env.Props(func() actor.Actor { return actor.ReceiveFunc(func(ctx actor.Context) { f(ctx.Message()) }) }))
		}
		monitor := take(messages.MonitorAddr(n.id()), func(m any) {
			switch m := m.(type) {
			case messages.ChannelLoad:
				loads = append(loads, m)
			case messages.ChannelFenced:
				fenced = append(fenced, m)
			case messages.MonitorUpdate:
				updates = append(updates, m)
			}
		})
		peer := take(messages.PeerAddr(n.durable.Peer), func(m any) {
			if m, ok := m.(messages.PeerAttach); ok {
				attached = append(attached, m)
			}
		})
		failing := &failingSigner{Signer: n.keys}
		ch := spawn(messages.ChannelAddr(n.id()), Props(env, failing, n.id(), Config{}))
		synctest.Wait()
		if len(loads) != 1 {
			t.Fatalf("%d loads", len(loads))
		}
		loaded := func(incarnation uint64) {
			env.Tell(messages.ChannelAddr(n.id()), messages.ChannelLoaded{Incarnation: incarnation, Facts: n.durable.Clone()})
			synctest.Wait()
		}
		env.Tell(messages.ChannelAddr(n.id()), messages.ChannelFence{Fence: 5})
		loaded(loads[0].Incarnation - 1)
		if len(attached)+len(fenced) != 0 {
			t.Fatal("took the facts of another incarnation")
		}
		loaded(loads[0].Incarnation)
		if len(attached) != 1 || len(fenced) != 1 || fenced[0].Fence != 5 {
			t.Fatalf("attached %v, fenced %v", attached, fenced)
		}

		// A signer that fails ends the incarnation; nothing of the step that failed is said.
		failing.fail = true
		env.Tell(messages.ChannelAddr(n.id()), messages.PeerUp{Session: 1})
		synctest.Wait()
		failing.fail = false
		if len(loads) != 2 || loads[1].Incarnation <= loads[0].Incarnation || len(updates) != 0 {
			t.Fatalf("loads %v, %d updates", loads, len(updates))
		}
		loaded(loads[0].Incarnation)
		loaded(loads[1].Incarnation)
		if len(attached) != 2 || attached[1].Incarnation != loads[1].Incarnation {
			t.Fatalf("attached %v", attached)
		}
		env.Tell(messages.ChannelAddr(n.id()), messages.PeerUp{Session: 2})
		synctest.Wait()
		if len(updates) != 1 || updates[0].Update != nil || updates[0].Incarnation != loads[1].Incarnation {
			t.Fatalf("updates %v", updates)
		}
		for _, pid := range []*actor.PID{ch, monitor, peer} {
			env.System.Root.Poison(pid)
		}
		synctest.Wait()
	})
}
