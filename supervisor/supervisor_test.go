package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// In quarantine nothing is handled, everything is counted, askers are told, dependents share it, and the others go on.
func TestQuarantine(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		monitor, channel := w.spec("monitor"), w.spec("channel")
		monitor.Group, channel.Group = "pair", "pair"
		monitor.GiveUp = Quarantine
		w.start(Config{Children: []ChildSpec{monitor, channel, w.spec("other")}})
		w.env.Tell("monitor", "die")
		w.take()
		for range 10 {
			w.env.Tell("monitor", "secret")
		}
		var fault messages.Fault
		if _, err := w.ask("channel", "which"); !errors.As(err, &fault) || fault.Reason != "quarantined" {
			t.Fatal(err)
		}
		if n, err := w.ask("other", "which"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Hour)
		if log := w.take(); len(log) != 0 {
			t.Fatal(log)
		}
		if s := w.state("monitor"); s.State != Quarantined || s.Dropped != 10 || !strings.Contains(s.LastFailure, "told to die") {
			t.Fatal(s)
		}
		q := eventsOf[ChildQuarantined](w)
		if len(q) != 2 || q[0].Child != "monitor" || q[1].Child != "channel" || q[1].With != "monitor" || !errors.Is(q[1].Reason, errDie) {
			t.Fatal(q)
		}

		if got, _ := w.ask("sup", Retry{Name: "other"}); !errors.Is(got.(Retried).Err, ErrNotQuarantined) {
			t.Fatal(got)
		}
		if got, _ := w.ask("sup", Retry{Name: "monitor"}); got.(Retried).Err != nil {
			t.Fatal(got)
		}
		for _, name := range []messages.Addr{"monitor", "channel"} {
			if n, err := w.ask(name, "which"); n != 2 || err != nil {
				t.Fatal(name, n, err)
			}
		}
	})
}

// A stand-in takes the place; when it crashes too, messages are only dropped.
func TestStandIn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("monitor")
		spec.GiveUp, spec.StandIn = Quarantine, w.worker("watcher")
		w.start(Config{Children: []ChildSpec{spec}})
		w.env.Tell("monitor", "die")
		w.env.Tell("monitor", "block")
		if log := w.take(); !slices.Equal(log, []string{"monitor1: started", "watcher1: started", "watcher1: block"}) {
			t.Fatal(log)
		}
		w.env.Tell("monitor", "die")
		w.env.Tell("monitor", "block")
		if log := w.take(); len(log) != 0 || w.state("monitor").Dropped != 1 {
			t.Fatal(log)
		}
		w.env.Tell("monitor", "stop") // dropped as well
		w.take()
		if s := w.state("monitor"); s.State != Quarantined || s.Dropped != 2 {
			t.Fatal(s)
		}
	})
}

func TestSpawnAndStopChildren(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{})
		got, err := w.ask("sup", SpawnChildren{Children: []ChildSpec{w.spec("b"), w.spec("a")}})
		if err != nil || got.(ChildrenSpawned).Err != nil || !slices.Equal(got.(ChildrenSpawned).Names, []messages.Addr{"b", "a"}) {
			t.Fatal(got, err)
		}
		for _, c := range []struct {
			specs []ChildSpec
			want  error
		}{
			{[]ChildSpec{w.spec("c"), w.spec("a")}, ErrExists},
			{[]ChildSpec{w.spec("c"), w.spec("c")}, ErrExists},
			{[]ChildSpec{w.spec("c"), {Name: "d"}}, ErrSpec},
			{[]ChildSpec{w.spec("c"), {Producer: w.worker("d")}}, ErrSpec},
		} {
			if got, _ := w.ask("sup", SpawnChildren{Children: c.specs}); !errors.Is(got.(ChildrenSpawned).Err, c.want) {
				t.Fatal(got)
			}
		}
		if _, err := w.ask("c", "which"); !errors.Is(err, kit.ErrNoActor) {
			t.Fatal("half of a refused request was done")
		}
		w.env.Tell("b", "die")
		synctest.Wait()
		if got, err := w.ask("sup", StopChild{Name: "b"}); err != nil || got.(ChildGone).Err != nil {
			t.Fatal(got, err)
		}
		if got, _ := w.ask("sup", StopChild{Name: "b"}); !errors.Is(got.(ChildGone).Err, ErrUnknown) {
			t.Fatal(got)
		}
		time.Sleep(time.Hour) // the restart that was due must not hit a new child of this name
		w.ask("sup", SpawnChildren{Children: []ChildSpec{w.spec("b")}})
		time.Sleep(time.Hour)
		if n, err := w.ask("b", "which"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		list, _ := w.ask("sup", ListChildren{})
		if l := list.(ChildList).Children; len(l) != 2 || l[0].Name != "a" || l[1].Name != "b" {
			t.Fatal(l)
		}
	})
}

// A drain stops the last first, each behind its own work.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		inner := New(w.env, Config{Events: w.event, Children: []ChildSpec{w.spec("monitor"), w.spec("failing")}})
		closed := false
		w.start(Config{Strategy: RestForOne, Draining: func() { closed = true }, Children: []ChildSpec{
			w.spec("persister"), w.spec("manager"), {Name: "monitors", Producer: inner, Drains: true},
		}})
		w.env.Tell("failing", "die")
		w.take()
		for _, name := range []messages.Addr{"persister", "manager", "monitor"} {
			w.env.Tell(name, time.Second)
			w.env.Tell(name, "last")
		}
		if err := DrainTree(t.Context(), w.env, "sup", time.Minute); err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, line := range w.take() {
			if strings.HasSuffix(line, "last") || strings.HasSuffix(line, "stopped") {
				order = append(order, line)
			}
		}
		if i := slices.Index(order, "failing1: stopped"); i < 0 || i > slices.Index(order, "manager1: stopped") {
			t.Fatal(order)
		}
		order = slices.DeleteFunc(order, func(s string) bool { return strings.HasPrefix(s, "failing") || strings.HasSuffix(s, "last") })
		if !slices.Equal(order, []string{"monitor1: stopped", "manager1: stopped", "persister1: stopped"}) || !closed {
			t.Fatal(order)
		}
		if _, err := w.ask("sup", ListChildren{}); !errors.Is(err, kit.ErrNoActor) {
			t.Fatal("the supervisor is still there")
		}
	})
}

func TestDrainFinishesQueuedWork(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Children: []ChildSpec{w.spec("a")}})
		w.take()
		for i := range 5 {
			w.env.Tell("a", fmt.Sprint(i))
		}
		if err := DrainTree(t.Context(), w.env, "sup", 0); err != nil {
			t.Fatal(err)
		}
		if log := w.take(); !slices.Equal(log, []string{"a1: 0", "a1: 1", "a1: 2", "a1: 3", "a1: 4", "a1: stopped"}) {
			t.Fatal(log)
		}
	})
}

// What hangs does not hang the drain; what crashes in it is not restarted.
func TestDrainIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Strategy: RestForOne, Children: []ChildSpec{w.spec("a"), w.spec("hangs"), w.spec("crashes")}})
		w.env.Tell("hangs", 10*time.Minute)
		w.env.Tell("crashes", time.Second)
		w.env.Tell("crashes", "die")
		begin := time.Now()
		err := DrainTree(t.Context(), w.env, "sup", time.Minute)
		var late *DrainError
		if !errors.As(err, &late) || !slices.Equal(late.Remaining, []messages.Addr{"a", "hangs"}) || time.Since(begin) != time.Minute {
			t.Fatal(err, time.Since(begin))
		}
		time.Sleep(time.Hour)
		if w.instances["crashes"] != 1 {
			t.Fatal("restarted during a drain")
		}
		if _, err := w.ask("sup", ListChildren{}); !errors.Is(err, kit.ErrNoActor) {
			t.Fatal("the supervisor is still there")
		}
	})
}

// A supervisor that is restarted by its own supervisor starts its children anew, and messages to it survive.
func TestSupervisorUnderSupervisor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var started int
		inner := New(w.env, Config{
			Events: w.event, Children: []ChildSpec{w.spec("m")},
			Started: func(s *Supervisor, ctx actor.Context) {
				started++
				if err := s.Add(ctx, w.spec("dynamic")); err != nil {
					t.Error(err)
				}
			},
			Receive: func(s *Supervisor, ctx actor.Context) {
				if ctx.Message() == "count" {
					ctx.Respond(len(s.List()))
				}
			},
		})
		w.start(Config{Strategy: RestForOne, Children: []ChildSpec{w.spec("manager"), {Name: "monitors", Producer: inner, Drains: true}}})
		w.env.Tell("m", "die") // its restart is due when the supervisor itself goes
		w.env.Tell("manager", "die")
		synctest.Wait()
		if n, err := w.ask("monitors", "count"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := w.ask("m", "which"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Hour)
		if n, err := w.ask("m", "which"); n != 2 || err != nil || started != 2 {
			t.Fatal("a timer of the old incarnation restarted a child of the new one", n, err, started)
		}
	})
}

// The outermost supervisor that crashes takes the node with it.
func TestOutermostSupervisorCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Receive: func(_ *Supervisor, ctx actor.Context) {
			if ctx.Message() == "bug" {
				panic("bug")
			}
		}})
		w.env.Tell("sup", "bug")
		synctest.Wait()
		if !errors.Is(w.stopped, ErrRestarted) {
			t.Fatal(w.stopped)
		}
	})
}

// Order per sender holds over restarts with their waits.
func TestOrderPerSender(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Children: []ChildSpec{w.spec("a")}})
		w.take()
		const senders, each = 4, 200
		for s := range senders {
			go func() {
				for n := range each {
					w.env.Tell("a", fmt.Sprintf("%d/%04d", s, n))
					if n%20 == s {
						w.env.Tell("a", "die")
					}
					time.Sleep(time.Second)
				}
			}()
		}
		time.Sleep(10 * time.Hour)
		var got [senders][]string
		for _, line := range w.take() {
			_, msg, _ := strings.Cut(line, ": ")
			if msg != "started" {
				got[msg[0]-'0'] = append(got[msg[0]-'0'], msg)
			}
		}
		for s := range senders {
			if len(got[s]) != each || !slices.IsSorted(got[s]) {
				t.Fatal(s, len(got[s]))
			}
		}
	})
}

func TestQuarantineByDecision(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Children: []ChildSpec{w.spec("a")}, Receive: func(s *Supervisor, ctx actor.Context) {
			if ctx.Message() == "corrupt" {
				ctx.Respond(s.Quarantine("a", errors.New("does not decode")) == nil && s.Quarantine("x", nil) != nil)
			}
		}})
		if ok, err := w.ask("sup", "corrupt"); ok != true || err != nil {
			t.Fatal(ok, err)
		}
		if s := w.state("a"); s.State != Quarantined || s.LastFailure != "does not decode" {
			t.Fatal(s)
		}
	})
}

func TestAskTimesOutWhileChildWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Children: []ChildSpec{w.spec("a")}})
		w.env.Tell("a", "die")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := kit.Ask(ctx, w.env, "a", "which"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}
