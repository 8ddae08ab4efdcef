package supervisor

import (
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// A manager that waits for the list must learn of the crash of Monitors, which forgets that it owes one: nothing else would make it ask again,
// and it decides nothing before it has the list.
func TestMonitorsCrashBeforeTheList(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var manager, persister []any
		for at, got := range map[messages.Addr]*[]any{messages.ManagerAddr: &manager, messages.PersisterAddr: &persister} {
			if _, err := w.env.Spawn(nil, at, w.env.Props(func() actor.Actor {
				return actor.ReceiveFunc(func(ctx actor.Context) {
					if _, system := ctx.Message().(actor.SystemMessage); !system {
						*got = append(*got, ctx.Message())
					}
				})
			})); err != nil {
				t.Fatal(err)
			}
		}
		w.start(Config{Children: []ChildSpec{{Name: messages.MonitorsAddr, Producer: newMonitors(w.env, Parts{}), GiveUp: Never}}})
		w.env.Tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: 7})
		w.env.Tell(messages.MonitorsAddr, messages.CreateChannel{}) // a bug of somebody: Monitors dies of it
		time.Sleep(time.Minute)
		synctest.Wait()

		started := 0
		for _, m := range manager {
			if _, ok := m.(messages.MonitorsStarted); ok {
				started++
			}
		}
		if started != 2 {
			t.Fatalf("the manager was told of %d starts, want 2: %v", started, manager)
		}
		list := persister[len(persister)-1].(messages.ListOwners) //nolint:forcetypeassert // all that Monitors asks
		w.env.Tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: 7})
		w.env.Tell(messages.MonitorsAddr, messages.OwnersLoaded{Incarnation: list.Incarnation})
		synctest.Wait()
		if l, ok := manager[len(manager)-1].(messages.MonitorList); !ok || l.ManagerIncarnation != 7 || l.Incarnation == 0 {
			t.Fatalf("no list: %v", manager[len(manager)-1])
		}
	})
}

// A channel that was archived answers no fence, and its end is told to one manager only: a list for the next one must not name it, also while its
// actors are still stopping.
func TestArchivedIsNotListed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var manager, persister, peers []any
		for at, got := range map[messages.Addr]*[]any{
			messages.ManagerAddr: &manager, messages.PersisterAddr: &persister, messages.PeersAddr: &peers,
		} {
			if _, err := w.env.Spawn(nil, at, w.env.Props(func() actor.Actor {
				return actor.ReceiveFunc(func(ctx actor.Context) {
					if _, system := ctx.Message().(actor.SystemMessage); !system {
						*got = append(*got, ctx.Message())
					}
				})
			})); err != nil {
				t.Fatal(err)
			}
		}
		w.start(Config{Children: []ChildSpec{{Name: messages.MonitorsAddr, Producer: newMonitors(w.env, Parts{}), GiveUp: Never}}})
		synctest.Wait()
		list := persister[0].(messages.ListOwners) //nolint:forcetypeassert // all that Monitors asks
		ended, lives := ln.ChannelID{1}, ln.ChannelID{2}
		w.env.Tell(messages.MonitorsAddr, messages.OwnersLoaded{
			Incarnation: list.Incarnation, Owners: []messages.Owner{messages.Owner(ended[:]), messages.Owner(lives[:])},
		})
		w.env.Tell(messages.MonitorsAddr, messages.ChannelArchived{Channel: ended})
		w.env.Tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: 7})
		synctest.Wait()
		l, ok := manager[len(manager)-1].(messages.MonitorList)
		if !ok || len(l.Channels) != 1 || l.Channels[0] != lives {
			t.Fatalf("list: %+v", manager[len(manager)-1])
		}
		if want := []any{messages.ChannelArchived{Channel: ended}}; !reflect.DeepEqual(peers, want) {
			t.Fatalf("peers learned %+v, want %+v", peers, want)
		}
	})
}

// releases is a wallet that notes which coins are given back.
type releases struct {
	wallet.Wallet
	locks []wallet.LockID
}

func (r *releases) Release(lock wallet.LockID) { r.locks = append(r.locks, lock) }

// TestOutpointTaken: a second channel with one funding outpoint is not made. What waits for it is told so, nothing of it is said, and the coins that
// its opening has reserved are free.
func TestOutpointTaken(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		got := map[messages.Addr][]any{}
		for _, at := range []messages.Addr{messages.ManagerAddr, messages.PersisterAddr, "peer", "user"} {
			if _, err := w.env.Spawn(nil, at, w.env.Props(func() actor.Actor {
				return actor.ReceiveFunc(func(ctx actor.Context) {
					if _, system := ctx.Message().(actor.SystemMessage); !system {
						mu.Lock()
						defer mu.Unlock()
						got[at] = append(got[at], ctx.Message())
					}
				})
			})); err != nil {
				t.Fatal(err)
			}
		}
		coins := &releases{}
		w.start(Config{Children: []ChildSpec{{Name: messages.MonitorsAddr, Producer: newMonitors(w.env, Parts{Wallet: coins}), GiveUp: Never}}})
		id, temporary := ln.ChannelID{1}, ln.ChannelID{2}
		list := got[messages.PersisterAddr][0].(messages.ListOwners) //nolint:forcetypeassert // all that Monitors asks
		w.env.Tell(messages.MonitorsAddr, messages.OwnersLoaded{Incarnation: list.Incarnation, Owners: []messages.Owner{messages.Owner(id[:])}})
		synctest.Wait()
		st := facts.Static{ID: id, TemporaryID: temporary}
		st.Tx.HolderIsFunder = true
		w.env.Tell(messages.MonitorsAddr, messages.CreateChannel{
			Opened: facts.Opened{Static: &st},
			Then:   []messages.Delivery{{To: "peer", Msg: "funding_signed"}},
			Else:   []messages.Delivery{{To: "user", Msg: "not opened"}},
		})
		synctest.Wait()
		if len(got["peer"]) != 0 || len(got["user"]) != 1 || len(coins.locks) != 1 || coins.locks[0] != wallet.LockID(temporary) {
			t.Fatalf("said %v, answered %v, released %v", got["peer"], got["user"], coins.locks)
		}
	})
}
