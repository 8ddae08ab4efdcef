package sim

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// The model: counters that pass a token round, forget at every crash, and write what they saw to a "disk" of the node.
type token struct{ hops int }

type wake struct{}

type counter struct {
	env  *kit.Env
	next messages.Addr
	disk map[messages.Addr]int
	self messages.Addr
}

func (c *counter) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.env.Clock.After(time.Duration(1+c.env.Jitter()*1000)*time.Millisecond, ctx.Self(), wake{})
	case wake:
		c.env.Tell(c.next, token{3})
		if c.disk[c.self] < 20 {
			c.env.Clock.After(time.Second, ctx.Self(), wake{})
		}
	case token:
		c.disk[c.self]++
		if m.hops > 0 {
			c.env.Tell(c.next, token{m.hops - 1})
		}
	}
}

var ring = []messages.Addr{"monitor/0", "monitor/1", "manager", "peer/0"}

func boot(s *Sim, name string, disk map[messages.Addr]int) *kit.Env {
	env := s.Env(name)
	for i, at := range ring {
		s.Spawn(name, at, func() actor.Actor {
			return &counter{env: env, next: ring[(i+1)%len(ring)], disk: disk, self: at}
		})
	}
	return env
}

func play(seed uint64) (*Sim, map[messages.Addr]int) {
	s := New(seed)
	disk := map[messages.Addr]int{}
	s.Faults.Before = s.CrashRate(CrashActor, map[string]float64{"monitor": 0.05, "peer": 0.02})
	s.Faults.After = s.CrashRate(CrashActor, map[string]float64{"manager": 0.05})
	boot(s, "alice", disk)
	boot(s, "bob", map[messages.Addr]int{})
	s.After(3*time.Second, "cut", func() { s.Crash("alice"); boot(s, "alice", disk) })
	s.Run(20_000)
	return s, disk
}

func TestSameSeedSameTrace(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(50) {
		a, da := play(seed)
		b, db := play(seed)
		if a.TraceHash() != b.TraceHash() || a.Last(100) != b.Last(100) || fmt.Sprint(da) != fmt.Sprint(db) {
			t.Fatalf("seed %d differs from itself\n%s\n%s", seed, a, b)
		}
		if len(a.Crashes()) != 0 {
			t.Fatal(a.Crashes())
		}
		seen[a.TraceHash()] = true
	}
	if len(seen) != 50 {
		t.Fatal("only", len(seen), "traces for 50 seeds")
	}
}

// recorder keeps what it gets; a new instance starts empty.
func recorder(got *[]any, started *int) actor.Producer {
	return func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				*started++
			case *actor.Stopping, *actor.Stopped:
				*got = append(*got, "stopped")
			case *actor.Restarting:
			default:
				*got = append(*got, m)
				if m == "ask" {
					ctx.Respond("answer")
				}
			}
		})
	}
}

func TestCrashBeforeAndAfter(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		s := New(1)
		var got []any
		var started int
		s.Spawn("alice", "a", recorder(&got, &started))
		env := s.Env("alice")
		s.Settle(100)
		crash := func(p Point) Fault {
			if p.Msg == "two" {
				if p.Actor != "a" || p.Node != "alice" {
					t.Error(p)
				}
				return Fault{Kind: CrashActor}
			}
			return Fault{}
		}
		want := []any{"one", "two", "three"}
		if when == "before" {
			s.Faults.Before = crash
			want = []any{"one", "three"}
		} else {
			s.Faults.After = crash
		}
		for _, m := range []string{"one", "two", "three"} {
			env.Tell("a", m)
		}
		if !s.Run(100) || !slices.Equal(got, want) || started != 2 || len(s.Crashes()) != 0 {
			t.Fatal(when, got, started, s)
		}
	}
}

// A sweep over all points ends, and each number up to the end crashes one actor.
func TestSweepEnds(t *testing.T) {
	for k := uint64(0); ; k++ {
		s := New(7)
		var got []any
		var started int
		s.Faults.Before = s.CrashAt(k, CrashActor)
		s.Spawn("alice", "a", recorder(&got, &started))
		for _, m := range []string{"one", "two", "three"} {
			s.Env("alice").Tell("a", m)
		}
		s.Run(1000)
		if s.Points() <= k {
			if k != 4 || started != 1 {
				t.Fatal(k, started)
			}
			break
		}
		wantStarts, wantMsgs := 2, 2
		if k == 0 { // before Started, which is tried again; no message is lost
			wantStarts, wantMsgs = 1, 3
		}
		if started != wantStarts || len(got) != wantMsgs {
			t.Fatal(k, started, got, s)
		}
	}
}

func TestNodeCrashIsSilentAndNamesAreFree(t *testing.T) {
	s := New(3)
	var got []any
	var started int
	s.Spawn("alice", "a", recorder(&got, &started))
	old := s.Env("alice")
	s.Settle(100)
	old.Tell("a", "lost")
	old.Clock.After(time.Second, old.PID("a"), "lost too")
	first := old.NextIncarnation()
	s.Crash("alice")
	if s.Alive("alice") {
		t.Fatal("still alive")
	}
	old.Tell("a", "to nobody")
	if !s.Settle(100) || len(got) != 0 {
		t.Fatal(got, s)
	}
	s.Spawn("alice", "a", recorder(&got, &started))
	if s.Env("alice") == old || s.Env("alice").NextIncarnation() == first {
		t.Fatal("the next life is the old one")
	}
	old.Clock.After(time.Second, old.PID("a"), "of the old life")
	if a, err := s.Ask("alice", "a", "ask", 100); a != "answer" || err != nil {
		t.Fatal(a, err)
	}
	s.Run(100)
	if started != 2 || !slices.Equal(got, []any{"ask"}) {
		t.Fatal(started, got)
	}
}

// A node that dies in the middle of a message (from within its store, for instance) does not finish it, and nothing more leaves it.
func TestNodeCrashWithinMessage(t *testing.T) {
	s := New(3)
	p := s.Probe("outside")
	after := false
	s.Spawn("alice", "a", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if ctx.Message() == "cut" {
				defer s.system.Root.Send(p.PID(), "from the dead")
				s.system.Root.Send(p.PID(), "before the cut")
				s.Crash("alice")
				after = true
			}
		})
	})
	s.Env("alice").Tell("a", "cut")
	s.Run(100)
	if after || !slices.Equal(p.Take(), []any{"before the cut"}) || s.Alive("alice") || len(s.Crashes()) != 0 {
		t.Fatal(after, s)
	}
}

func TestCrashNodeFault(t *testing.T) {
	s := New(3)
	var got []any
	var started int
	s.Faults.Before = s.CrashAt(2, CrashNode)
	s.Spawn("alice", "a", recorder(&got, &started))
	for _, m := range []string{"one", "two", "three"} {
		s.Env("alice").Tell("a", m)
	}
	if !s.Run(100) || s.Alive("alice") || !slices.Equal(got, []any{"one"}) {
		t.Fatal(got, s)
	}
}

// A message that is dropped leaves the actor as it is.
func TestDrop(t *testing.T) {
	s := New(3)
	var got []any
	var started int
	s.Faults.Before = s.CrashAt(2, Drop)
	s.Spawn("alice", "a", recorder(&got, &started))
	for _, m := range []string{"one", "two", "three"} {
		s.Env("alice").Tell("a", m)
	}
	if !s.Run(100) || !s.Alive("alice") || started != 1 || !slices.Equal(got, []any{"one", "three"}) {
		t.Fatal(got, s)
	}
}

// Stop drops the node after the message during which it was called.
func TestStop(t *testing.T) {
	s := New(3)
	reason := errors.New("disk full")
	var told error
	s.OnStop = func(_ string, err error) { told = err }
	env := s.Env("alice")
	s.Spawn("alice", "a", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if ctx.Message() == "go" {
				env.Stop(reason)
				env.Stop(errors.New("second"))
				env.Tell("a", "more")
			}
		})
	})
	env.Tell("a", "go")
	if !s.Run(100) || s.Alive("alice") || s.StopReason("alice") != reason || told != reason {
		t.Fatal(s)
	}
}

func TestDelayKeepsOrderAndLosesNothing(t *testing.T) {
	s := New(5)
	var got []any
	var started, delays int
	s.Faults.Before = func(p Point) Fault {
		if s.Rand().IntN(2) == 0 {
			delays++
			return Fault{Kind: Delay, Delay: time.Duration(s.Rand().IntN(1000)) * time.Millisecond}
		}
		return Fault{}
	}
	s.Spawn("alice", "a", recorder(&got, &started))
	var want []any
	for i := range 50 {
		want = append(want, i)
		s.Env("alice").Tell("a", i)
	}
	if !s.Run(1000) || !slices.Equal(got, want) || delays == 0 || s.Points() != 51 {
		t.Fatal(got, delays, s.Points())
	}
}

func TestTimers(t *testing.T) {
	s := New(9)
	p := s.Probe("p")
	env := s.Env("alice")
	for i := range 5 { // all at one instant
		env.Clock.After(time.Second, p.PID(), i)
	}
	cancel := env.Clock.After(time.Second, p.PID(), "cancelled")
	cancel()
	cancel()
	env.Clock.After(time.Hour, p.PID(), "late")
	if !s.Settle(10) || len(p.Take()) != 0 {
		t.Fatal("fired early")
	}
	begin := s.Now()
	if !s.Advance(2*time.Second, 100) || s.Now().Sub(begin) != 2*time.Second {
		t.Fatal(s.Now().Sub(begin))
	}
	if got := p.Take(); !slices.Equal(got, []any{0, 1, 2, 3, 4}) {
		t.Fatal(got)
	}
	if !s.RunUntil(func() bool { return len(p.got) > 0 }, 10) || s.Now().Sub(begin) < time.Hour {
		t.Fatal(s)
	}
}

// Panics nobody asked for are kept for the test to see.
func TestCrashesAreKept(t *testing.T) {
	s := New(1)
	s.Spawn("alice", "a", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if ctx.Message() == "go" {
				panic("a bug")
			}
		})
	})
	var fault messages.Fault
	if _, err := s.Ask("alice", "a", "go", 100); !errors.As(err, &fault) {
		t.Fatal(err)
	}
	s.Run(100)
	if c := s.Crashes(); len(c) != 1 || c[0].Value != "a bug" || len(c[0].Stack) == 0 {
		t.Fatal(c)
	}
}

func TestAskNobody(t *testing.T) {
	s := New(1)
	s.Env("alice")
	if _, err := s.Ask("alice", "nobody", "?", 100); !errors.Is(err, kit.ErrNoActor) {
		t.Fatal(err)
	}
	s.Spawn("alice", "mute", func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) })
	if _, err := s.Ask("alice", "mute", "?", 100); !errors.Is(err, ErrNoAnswer) {
		t.Fatal(err)
	}
}

func BenchmarkStep(b *testing.B) {
	s := New(1)
	env := s.Env("alice")
	for i, at := range ring {
		s.Spawn("alice", at, func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(token); ok {
					env.Tell(ring[(i+1)%len(ring)], m)
				}
			})
		})
		env.Tell(at, token{})
	}
	b.ResetTimer()
	for range b.N {
		s.Step()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		New(1).Env("alice")
	}
}
