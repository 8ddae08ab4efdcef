package watchdog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
)

// fake is a node of actors that are told what to do.
type fake struct {
	mu     sync.Mutex
	actors map[string]*lnactor.ActorVitals
	hangs  map[string]chan struct{} // its ping is not answered before this is closed
	absent map[string]bool
	pings  map[string]int
}

func newFake(monitors int) *fake {
	f := &fake{actors: map[string]*lnactor.ActorVitals{}, hangs: map[string]chan struct{}{}, absent: map[string]bool{}, pings: map[string]int{}}
	names := slices.Clone(Core)
	for i := range monitors {
		names = append(names, fmt.Sprintf("monitor/%d", i))
	}
	for _, n := range names {
		f.actors[n] = &lnactor.ActorVitals{Name: n, Handled: 1}
	}
	return f
}

func (f *fake) EachActor(each func(lnactor.ActorVitals)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.actors {
		each(*a)
	}
}

func (f *fake) PingActor(ctx context.Context, name string) error {
	f.mu.Lock()
	f.pings[name]++
	hang, absent := f.hangs[name], f.absent[name]
	f.mu.Unlock()
	if absent {
		return fmt.Errorf("ask: %w", kit.ErrNoActor)
	}
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *fake) RecentMessages(string) []string { return []string{"messages.Fence", "messages.Pay"} }

func (f *fake) set(name string, change func(*lnactor.ActorVitals)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.actors[name])
}

func (f *fake) hang(name string) (release func()) {
	c := make(chan struct{})
	f.mu.Lock()
	f.hangs[name] = c
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		delete(f.hangs, name)
		f.mu.Unlock()
		close(c)
	}
}

type run struct {
	*fake
	*Watchdog
	mu      sync.Mutex
	pets    int
	reports [][]string
	notes   string
}

// watch runs a watchdog with rounds of 10 s and a limit of 1 min in virtual time.
func watch(t *testing.T, f *fake) *run {
	r := &run{fake: f}
	r.Watchdog = New(Config{
		Node: f,
		Pet: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.pets++
		},
		Wedged: func(actors, notes []string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reports, r.notes = append(r.reports, actors), strings.Join(notes, "\n")
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// petted is how often all was well in so long a time.
func (r *run) petted(d time.Duration) int {
	synctest.Wait()
	r.mu.Lock()
	before := r.pets
	r.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pets - before
}

func TestAllWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := watch(t, newFake(3))
		if n := r.petted(10 * time.Minute); n < 59 || n > 61 {
			t.Errorf("petted %d times in 60 rounds", n)
		}
		if r.reports != nil || r.Wedged() || r.Conditions() != nil {
			t.Errorf("%v", r.reports)
		}
		for _, name := range append(slices.Clone(Core), "monitor/0", "monitor/1", "monitor/2") {
			if r.pings[name] < 5 {
				t.Errorf("%s was pinged %d times in 60 rounds", name, r.pings[name])
			}
		}
	})
}

// Whatever hangs, of the core or any actor else, the petting stops at once or, if it was not pinged, within the limit; it is named once; and when it
// gets on again all is well.
func TestWedged(t *testing.T) {
	for _, name := range append(slices.Clone(Core), "monitor/7", "peer/x") {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(100)
				f.actors["peer/x"] = &lnactor.ActorVitals{Name: "peer/x"}
				r := watch(t, f)
				r.petted(time.Minute)
				release := f.hang(name)
				f.set(name, func(v *lnactor.ActorVitals) { v.Busy, v.Queued = true, 5 })
				r.petted(80 * time.Second)
				if n := r.petted(5 * time.Minute); n != 0 {
					t.Errorf("petted %d times although %s hangs", n, name)
				}
				if len(r.reports) != 1 || !slices.Equal(r.reports[0], []string{name}) {
					t.Fatalf("reports %v", r.reports)
				}
				if !strings.Contains(r.notes, name+" has handled no message for ") || !strings.Contains(r.notes, "is in messages.Pay, 5 wait") {
					t.Error(r.notes)
				}
				c := r.Conditions()
				if len(c) != 1 || c[0].ID != health.ActorWedged || c[0].Subject != name || !r.Wedged() {
					t.Errorf("%v", c)
				}
				release()
				f.set(name, func(v *lnactor.ActorVitals) { v.Busy, v.Queued, v.Handled = false, 0, v.Handled+5 })
				if r.petted(time.Minute) < 4 || r.Wedged() || len(r.reports) != 1 {
					t.Errorf("still wedged: %v %v", r.Conditions(), r.reports)
				}
			})
		})
	}
}

// A ping that is not answered stops the petting although messages are handled: the actor does not keep up.
func TestOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(0)
		r := watch(t, f)
		r.petted(time.Minute)
		defer f.hang("persister")()
		for range 9 {
			f.set("persister", func(v *lnactor.ActorVitals) { v.Busy, v.Handled = true, v.Handled+1 })
			if r.petted(10*time.Second) > 1 {
				t.Fatal("petted")
			}
		}
		if len(r.reports) != 1 || !strings.Contains(r.notes, "persister answers no ping for ") {
			t.Errorf("%v: %s", r.reports, r.notes)
		}
	})
}

// An actor that waits for its restart is its supervisor's business; one that is not there is asked again until it is.
func TestNotWedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1)
		r := watch(t, f)
		f.set("chainwatch", func(v *lnactor.ActorVitals) { v.Suspended, v.Queued = true, 3 })
		release := f.hang("chainwatch")
		if n := r.petted(5 * time.Minute); n < 29 {
			t.Errorf("petted %d times", n)
		}
		if release(); r.Wedged() {
			t.Error("wedged")
		}
		// A ping that was under way when the actor crashed does not count either.
		release = f.hang("chainwatch")
		f.set("chainwatch", func(v *lnactor.ActorVitals) { v.Suspended, v.Queued = false, 0 })
		r.petted(20 * time.Second)
		f.set("chainwatch", func(v *lnactor.ActorVitals) { v.Suspended, v.Queued = true, 3 })
		if r.petted(5 * time.Minute); r.reports != nil {
			t.Errorf("reports %v", r.reports)
		}
		release()
		f.set("chainwatch", func(v *lnactor.ActorVitals) { v.Suspended, v.Queued = false, 0 })
		f.mu.Lock()
		f.absent["manager"], f.absent["monitor/0"] = true, true
		f.mu.Unlock()
		r.petted(20 * time.Second)
		if n := r.petted(30 * time.Second); n != 0 {
			t.Errorf("petted %d times without a manager", n)
		}
		f.mu.Lock()
		f.absent["manager"] = false
		f.mu.Unlock()
		r.petted(10 * time.Second)
		if n := r.petted(time.Minute); n < 5 || r.reports != nil {
			t.Errorf("petted %d times, reports %v", n, r.reports)
		}
	})
}

func TestFor(t *testing.T) {
	every, limit := For(2 * time.Minute)
	// Noticed at the end of a round that begins after the limit, and a round takes as long as a round may.
	if every <= 0 || limit+2*every >= 2*time.Minute {
		t.Errorf("%v, %v: the report comes after the service manager acts", every, limit)
	}
}
