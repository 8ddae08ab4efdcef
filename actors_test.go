package lnactor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
)

// trap panics in, or holds, an actor over a type of message, once for each time it is set.
type trap struct {
	mu    sync.Mutex
	actor string
	panic string
	hold  chan struct{}
	held  chan struct{}
}

func (f *trap) Before(actor string, msg any) {
	if _, ok := msg.(messages.ListChannels); !ok {
		return
	}
	f.mu.Lock()
	mine := strings.HasSuffix(actor, "/"+f.actor) && f.actor != ""
	text, hold := f.panic, f.hold
	if mine {
		f.actor = ""
	}
	f.mu.Unlock()
	switch {
	case !mine:
	case hold != nil:
		close(f.held)
		<-hold
	default:
		panic(text)
	}
}

func (f *trap) After(string, any) {}

func (f *trap) set(actor, text string, hold chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actor, f.panic, f.hold, f.held = actor, text, hold, make(chan struct{})
}

// TestActors: the tree is told with restarts, incarnations and the last fault, also while an actor hangs, which a ping finds.
func TestActors(t *testing.T) {
	f := &trap{}
	n, err := lnactor.Open(t.Context(), lnactor.Config{Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	find := func(name string) lnactor.ActorInfo {
		t.Helper()
		list, err := n.Actors(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(i lnactor.ActorInfo) bool { return i.Name == name })
		if i < 0 {
			t.Fatalf("no %s in %v", name, list)
		}
		return list[i]
	}
	n.EachActor(func(v lnactor.ActorVitals) { // an actor counts as an instance once it is through its start
		if err := n.PingActor(t.Context(), v.Name); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	})
	list, err := n.Actors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name+"<"+i.Parent)
		if i.State != "running" || i.Fault != "" || i.Restarts != 0 || i.Instances != 1 {
			t.Errorf("%+v", i)
		}
	}
	want := "node< actors<node chainwatch<actors events<actors funds<actors graph<actors manager<actors monitors<actors peers<actors persister<node"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the tree is %s", got)
	}
	before := find("manager")

	f.set("manager", "a key: "+strings.Repeat("ab01", 16), nil)
	if _, err := n.Channels(t.Context()); err == nil || !strings.Contains(err.Error(), "a key: ab01ab01…") || strings.Contains(err.Error(), strings.Repeat("ab01", 4)) {
		t.Fatalf("the fault is %v", err)
	}
	if _, err := n.Channels(t.Context()); err != nil { // it is restarted
		t.Fatal(err)
	}
	after := find("manager")
	if after.Restarts != 1 || after.Instances != 2 || after.Incarnation <= before.Incarnation || after.FaultAt.IsZero() {
		t.Errorf("%+v", after)
	}
	if !strings.Contains(after.Fault, "a key: ab01ab01…") || strings.Contains(after.Fault, strings.Repeat("ab01", 4)) {
		t.Errorf("fault %q", after.Fault)
	}

	hold := make(chan struct{})
	f.set("manager", "", hold)
	go n.Channels(context.Background()) //nolint:errcheck // it hangs until the trap opens
	<-f.held
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.PingActor(ctx, "manager"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping: %v", err)
	}
	if err := n.PingActor(t.Context(), "persister"); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := n.PingActor(t.Context(), "nobody"); !lnactor.IsNoActor(err) {
		t.Errorf("ping: %v", err)
	}
	if i := find("manager"); !i.Busy || i.Queued == 0 {
		t.Errorf("%+v", i)
	}
	if recent := n.RecentMessages("manager"); len(recent) == 0 || recent[len(recent)-1] != "messages.ListChannels" {
		t.Errorf("recent messages %v", recent)
	}
	close(hold)
}

// TestChainTip: the source is asked, not the node.
func TestChainTip(t *testing.T) {
	n, err := lnactor.Open(t.Context(), lnactor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	tip, err := n.ChainTip(t.Context())
	if err != nil || tip.Time.IsZero() {
		t.Fatal(tip, err)
	}
	if oldest, unhandled := n.UnhandledEvents(); oldest != 0 || unhandled != 0 {
		t.Errorf("%d events, the oldest at %d", unhandled, oldest)
	}
}
