package supervisor

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// The waits double up to the bound; messages wait with the child and keep their order.
func TestRestartWithBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("a")
		spec.Backoff = Backoff{Min: time.Second, Max: 8 * time.Second, Decay: 1000 * time.Hour}
		w.start(Config{Children: []ChildSpec{spec}})
		w.take()
		for i, want := range []time.Duration{1, 2, 4, 8, 8, 8} {
			w.env.Tell("a", "die")
			w.env.Tell("a", "first")
			w.env.Tell("a", "second")
			time.Sleep(want*time.Second - 1)
			if log := w.take(); len(log) != 0 {
				t.Fatal(i, "too early", log)
			}
			if s := w.state("a"); s.State != Waiting {
				t.Fatal(s)
			}
			time.Sleep(time.Nanosecond)
			if log := w.take(); len(log) != 3 || log[1][4:] != "first" || log[2][4:] != "second" {
				t.Fatal(i, log)
			}
			if s := w.state("a"); s.State != Running || s.Restarts != i+1 {
				t.Fatal(s)
			}
		}
		e := eventsOf[ChildFailed](w)[0]
		var crash *kit.Crash
		if e.Child != "a" || e.Message != "string" || len(e.Stack) == 0 || !errors.Is(e.Reason, errDie) || !errors.As(e.Reason, &crash) {
			t.Fatalf("%+v", e)
		}
	})
}

func TestBackoffIsSpreadOverItsUpperHalf(t *testing.T) {
	b := Backoff{Min: time.Second, Max: time.Minute}.withDefaults()
	for _, c := range []struct {
		failures, jitter float64
		want             time.Duration
	}{{1, 0, 500 * time.Millisecond}, {1, 0.5, 750 * time.Millisecond}, {1.4, 1, time.Second}, {2, 1, 2 * time.Second}, {1000, 0, 30 * time.Second}, {1e9, 1, time.Minute}} {
		if got := b.wait(c.failures, c.jitter); got != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// Uptime heals, waiting does not.
func TestFailuresDecay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("a")
		spec.Limit, spec.GiveUp = 2.6, Quarantine
		w.start(Config{Children: []ChildSpec{spec}})
		for range 50 { // one an hour and half of it forgotten: 2 in the limit
			w.env.Tell("a", "die")
			time.Sleep(time.Hour + 2*time.Second)
		}
		if s := w.state("a"); s.State != Running || s.Failures > 2.01 || s.Failures < 1.9 {
			t.Fatal(s)
		}
		w.env.Tell("a", "die")
		time.Sleep(3 * time.Second)
		w.env.Tell("a", "die")
		synctest.Wait()
		if s := w.state("a"); s.State != Quarantined {
			t.Fatal(s)
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("a")
		spec.Backoff = Backoff{Min: 10 * time.Hour, Max: 10 * time.Hour, Decay: time.Hour}
		spec.Limit, spec.GiveUp = 3, Quarantine
		w.start(Config{Children: []ChildSpec{spec}})
		for range 4 {
			w.env.Tell("a", "die")
		}
		time.Sleep(40 * time.Hour)
		if s := w.state("a"); s.State != Quarantined {
			t.Fatal("waiting for hours healed:", s)
		}
	})
}

// A child that can never start is tried for ever, for a day here, and never more often than its bound says.
func TestADayOfBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		starts := 0
		spec := ChildSpec{Name: "a", Backoff: Backoff{Min: 250 * time.Millisecond, Max: time.Minute}, Producer: func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Started); ok {
					starts++
					panic("no chain")
				}
			})
		}}
		w.start(Config{Children: []ChildSpec{spec, w.spec("b")}})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if starts < 24*60 || starts > 24*60+10 {
			t.Fatal(starts)
		}
		if n, err := w.ask("b", "which"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// A poison message is lost when it crashes its reader; sent again and again it uses up the budget, but what is between them is handled.
func TestPoisonMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("a")
		spec.Limit, spec.GiveUp = 3, Quarantine
		w.start(Config{Children: []ChildSpec{spec}})
		for _, m := range []string{"one", "die", "two", "die", "three", "die", "four", "die", "five"} {
			w.env.Tell("a", m)
		}
		time.Sleep(time.Hour)
		want := []string{"a1: started", "a1: one", "a2: started", "a2: two", "a3: started", "a3: three", "a4: started", "a4: four"}
		if log := w.take(); !slices.Equal(log, want) {
			t.Fatal(log)
		}
		if s := w.state("a"); s.State != Quarantined || s.Dropped != 1 {
			t.Fatal(s)
		}
	})
}

// rest_for_one: what was added after the failed child is restarted with it, and finds the child's new instance.
func TestRestForOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var answered []any
		asking := w.spec("c") // asks b at every start, as actors load from the persister
		inner := asking.Producer
		asking.Producer = func() actor.Actor {
			a := inner()
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Started); ok {
					ctx.Request(w.env.PID("b"), "which")
				}
				if n, ok := ctx.Message().(int); ok {
					answered = append(answered, n)
				}
				a.Receive(ctx)
			})
		}
		w.start(Config{Strategy: RestForOne, Children: []ChildSpec{w.spec("a"), w.spec("b"), asking, w.spec("d")}})
		w.take()
		w.env.Tell("b", "die")
		synctest.Wait()
		w.env.Tell("c", "waits") // its memory may be wrong: it must not work before it is new
		w.env.Tell("a", "goes on")
		if log := w.take(); !slices.Equal(log, []string{"a1: goes on"}) {
			t.Fatal(log)
		}
		time.Sleep(time.Second)
		log := w.take()
		slices.Sort(log)
		if !slices.Equal(log, []string{"b2: started", "c2: started", "c2: waits", "d2: started"}) {
			t.Fatal(log)
		}
		if !slices.Equal(answered, []any{1, 2}) {
			t.Fatal(answered)
		}
		var order []messages.Addr
		for _, e := range eventsOf[ChildRestarted](w) {
			order = append(order, e.Child)
			if e.With != "b" {
				t.Fatal(e)
			}
		}
		if !slices.Equal(order, []messages.Addr{"b", "c", "d"}) {
			t.Fatal(order)
		}
	})
}

// A monitor takes its channel with it, not the other way round, and other pairs notice nothing.
func TestPairs(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var specs []ChildSpec
		for _, pair := range []string{"1", "2"} {
			for _, kind := range []messages.Addr{"monitor/", "channel/"} {
				s := w.spec(kind + messages.Addr(pair))
				s.Group = pair
				specs = append(specs, s)
			}
		}
		w.start(Config{Children: specs})
		w.env.Tell("channel/1", "die")
		time.Sleep(time.Minute)
		w.env.Tell("monitor/2", "die")
		time.Sleep(time.Minute)
		for name, want := range map[messages.Addr]int{"monitor/1": 0, "channel/1": 1, "monitor/2": 1, "channel/2": 1} {
			if n := w.restarts(name); n != want {
				t.Errorf("%s: %d restarts", name, n)
			}
		}
	})
}

// Two failures in one group are one restart, from the first of the two on, after the longer wait.
func TestFailuresOfAGroupAreMerged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		long := w.spec("b")
		long.Backoff.Min = 10 * time.Second
		w.start(Config{Strategy: RestForOne, Children: []ChildSpec{w.spec("a"), long, w.spec("c")}})
		w.env.Tell("b", "die")
		synctest.Wait()
		w.env.Tell("a", "die")
		w.take()
		time.Sleep(10*time.Second - 1)
		if log := w.take(); len(log) != 0 {
			t.Fatal(log)
		}
		time.Sleep(time.Hour)
		log := w.take()
		slices.Sort(log)
		if !slices.Equal(log, []string{"a2: started", "b2: started", "c2: started"}) {
			t.Fatal(log)
		}
	})
}

func TestEscalate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("persister")
		spec.GiveUp = Escalate // at the first failure
		w.start(Config{Strategy: RestForOne, Children: []ChildSpec{spec, w.spec("b")}})
		w.env.Tell("persister", "die")
		time.Sleep(time.Hour)
		synctest.Wait()
		var gaveUp *GaveUpError
		if !errors.As(w.stopped, &gaveUp) || gaveUp.Child != "persister" || !errors.Is(w.stopped, errDie) {
			t.Fatal(w.stopped)
		}
		if w.restarts("persister") != 0 || w.state("persister").State != Down {
			t.Fatal("restarted")
		}
	})
}

func TestRemove(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spec := w.spec("peer/1")
		spec.Limit, spec.GiveUp = 1, Remove
		w.start(Config{Children: []ChildSpec{spec}})
		w.env.Tell("peer/1", "die")
		w.env.Tell("peer/1", "die")
		time.Sleep(time.Minute)
		if _, err := w.ask("peer/1", "which"); !errors.Is(err, kit.ErrNoActor) {
			t.Fatal(err)
		}
		if got, _ := w.ask("sup", SpawnChildren{Children: []ChildSpec{w.spec("peer/1")}}); got.(ChildrenSpawned).Err != nil {
			t.Fatal(got)
		}
		if n, err := w.ask("peer/1", "which"); n != 3 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// A child that stops by itself has failed, unless it is transient.
func TestChildStopsItself(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		transient := w.spec("peer")
		transient.Transient = true
		w.start(Config{Children: []ChildSpec{w.spec("monitor"), transient}})
		w.env.Tell("monitor", "stop")
		w.env.Tell("peer", "stop")
		time.Sleep(time.Minute)
		if n, err := w.ask("monitor", "which"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := w.ask("peer", "which"); !errors.Is(err, kit.ErrNoActor) {
			t.Fatal(err)
		}
		if f := eventsOf[ChildFailed](w); len(f) != 1 || !errors.Is(f[0].Reason, ErrChildStopped) {
			t.Fatal(f)
		}
	})
}

func TestGoexitIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(Config{Children: []ChildSpec{w.spec("a")}})
		w.env.Tell("a", "exit")
		if n, err := w.ask("a", "which"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if f := eventsOf[ChildFailed](w); len(f) != 1 || !errors.Is(f[0].Reason, kit.ErrGoexit) {
			t.Fatal(f)
		}
	})
}

// Only the timer of the last decision, of this incarnation, restarts.
func TestStaleTimers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var incarnation uint64
		w.start(Config{Children: []ChildSpec{w.spec("a")}, Started: func(s *Supervisor, _ actor.Context) { incarnation = s.incarnation }})
		w.env.Tell("a", "die")
		synctest.Wait()
		for _, due := range []restartDue{{incarnation - 1, "child a", 1}, {incarnation, "child a", 0}, {incarnation, "child x", 1}} {
			w.env.Tell("sup", due)
			if w.restarts("a") != 0 {
				t.Fatal("restarted by", due)
			}
		}
		w.env.Tell("sup", restartDue{incarnation, "child a", 1})
		if w.restarts("a") != 1 {
			t.Fatal("the test does not know what a timer looks like")
		}
	})
}
