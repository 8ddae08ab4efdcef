package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// tree is the shape of a node: rest_for_one outside, pairs inside, all crashing at random, supervisors excepted.
type tree struct {
	s        *sim.Sim
	handled  map[messages.Addr][]int // by instance order; what each child saw
	failures int
	restarts map[messages.Addr]int
	started  map[messages.Addr]int
}

func (tr *tree) child(name messages.Addr, group string) ChildSpec {
	return ChildSpec{Name: name, Group: group, Backoff: Backoff{Min: 10 * time.Millisecond, Max: time.Second}, Producer: func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				tr.started[name]++
			case int:
				tr.handled[name] = append(tr.handled[name], m)
			}
		})
	}}
}

func (tr *tree) event(e Event) {
	switch e := e.(type) {
	case ChildFailed:
		tr.failures++
		if !errors.Is(e.Reason, sim.ErrInjected) {
			panic(e.Reason)
		}
	case ChildRestarted:
		tr.restarts[e.Child]++
	}
}

// Whatever crashes when, in the end all run; each child saw its messages in order, and missed no more than crashed it.
func TestSeeds(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		run := func() (*tree, *sim.Sim) {
			s := sim.New(seed)
			tr := &tree{s: s, handled: map[messages.Addr][]int{}, restarts: map[messages.Addr]int{}, started: map[messages.Addr]int{}}
			env := s.Env("alice")
			leaves := []messages.Addr{"persister", "manager"}
			var pairs []ChildSpec
			for i := range 3 {
				g := fmt.Sprint(i)
				pairs = append(pairs, tr.child(messages.Addr("monitor/"+g), g), tr.child(messages.Addr("channel/"+g), g))
				leaves = append(leaves, messages.Addr("monitor/"+g), messages.Addr("channel/"+g))
			}
			outer := Config{Events: tr.event, Children: []ChildSpec{
				tr.child("persister", ""), tr.child("manager", ""),
				{Name: "monitors", Producer: New(env, Config{Events: tr.event, Children: pairs}), Drains: true},
			}}
			if _, err := Start(env, "sup", outer); err != nil {
				t.Fatal(err)
			}
			s.Settle(1000)
			rates := map[string]float64{"persister": 0.1, "manager": 0.1, "monitor": 0.1, "channel": 0.1}
			s.Faults.Before, s.Faults.After = s.CrashRate(sim.CrashActor, rates), s.CrashRate(sim.CrashActor, rates)
			for i := range 40 {
				for _, at := range leaves {
					env.Tell(at, i)
				}
				s.Advance(time.Duration(s.Rand().IntN(int(time.Second))), 1000)
			}
			s.Faults = sim.Faults{}
			if !s.Run(10_000) {
				t.Fatal("does not come to rest\n", s)
			}
			for _, at := range leaves {
				env.Tell(at, 1000)
			}
			s.Run(1000)
			for _, at := range leaves {
				got := tr.handled[at]
				if len(got) == 0 || got[len(got)-1] != 1000 {
					t.Fatal(at, "is not back", got, "\n", s)
				}
				if !slices.IsSorted(got) {
					t.Fatal(at, "out of order", got)
				}
			}
			if tr.failures == 0 || len(s.Crashes()) != 0 || s.StopReason("alice") != nil {
				t.Fatal(tr.failures, s.Crashes(), s.StopReason("alice"))
			}
			if got, err := s.Ask("alice", "sup", Drain{Limit: time.Minute}, 1000); err != nil || got.(Drained).Err != nil {
				t.Fatal(got, err, s)
			}
			return tr, s
		}
		a, sa := run()
		if b, sb := run(); sa.TraceHash() != sb.TraceHash() || a.failures != b.failures {
			t.Fatalf("seed %d differs from itself\n%s\n%s", seed, sa, sb)
		}
	}
}
