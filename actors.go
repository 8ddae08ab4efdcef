package lnactor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// ActorVitals is what can be seen of an actor without asking anybody.
type ActorVitals = kit.Vitals

// ActorInfo is an actor and what its supervisor knows of it.
type ActorInfo struct {
	ActorVitals
	Parent   string // name of its supervisor, empty for the outermost
	State    string // "running", "waiting" for a restart, "quarantined", "down", "stopping"; empty if its supervisor did not say in time
	Restarts int    // since its supervisor was started
	Dropped  uint64 // messages that nobody took in its quarantine
	Fault    string // the last, empty if there was none; without what may be secret
	FaultAt  time.Time
}

// ActorKind is the part of an actor's name that it shares with others of its kind, such as "monitor" of "monitor/<channel id>".
func ActorKind(name string) string {
	kind, _, _ := strings.Cut(name, "/")
	return kind
}

// Alarm is something that must not happen and did, or by which money of a channel may be lost: for a person to look at.
type Alarm = kit.Alarm

// Alarms are those that were raised since the node was opened, each as it was the last time, by channel, and how many times any was raised. Some are
// raised again after a restart; `lnactor run` keeps them in a file until a person acknowledges them, which an embedder has to do for itself.
func (n *Node) Alarms() (newest []Alarm, raised uint64) { return n.env.Alarms() }

// EachActor calls f for every actor, in no particular order. It asks nobody, so it works whatever hangs. It is a pass over all actors: for a scrape
// or a person, not for each event.
func (n *Node) EachActor(f func(ActorVitals)) { n.env.Each(f) }

// PingActor waits until an actor has handled what is before it in its mailbox and answers. An actor that waits for its restart answers after that.
func (n *Node) PingActor(ctx context.Context, name string) error {
	return n.env.Ping(ctx, messages.Addr(name))
}

// RecentMessages is the Go types of the last messages that an actor handled, the newest last. If it is busy, that is the one it handles now.
func (n *Node) RecentMessages(name string) []string { return n.env.Recent(name) }

// supervisors are asked for their children.
var supervisors = []messages.Addr{supervisor.NodeAddr, supervisor.ActorsAddr, messages.MonitorsAddr}

// patience is how long Actors waits for a supervisor.
const patience = 2 * time.Second

// Actors lists all actors, children behind their supervisor, in the order of their names. A supervisor that does not answer in time leaves
// State and Fault of its children empty.
func (n *Node) Actors(ctx context.Context) ([]ActorInfo, error) {
	if n.life.Err() != nil {
		return nil, n.fail("list actors", n.closedError())
	}
	infos := map[string]*ActorInfo{}
	n.EachActor(func(v ActorVitals) { infos[v.Name] = &ActorInfo{ActorVitals: v, Parent: parentOf(v.Name)} })
	for _, c := range n.children(ctx) {
		i := infos[string(c.Name)]
		if i == nil { // it has no actor now
			i = &ActorInfo{ActorVitals: ActorVitals{Name: string(c.Name)}, Parent: parentOf(string(c.Name))}
			infos[i.Name] = i
		}
		i.State, i.Restarts, i.Dropped, i.Fault, i.FaultAt = c.State.String(), c.Restarts, c.Dropped, c.LastFailure, c.FailedAt
	}
	for _, i := range infos {
		if i.State == "" && (i.Parent == "" || i.Parent == string(messages.PeersAddr)) && !i.Suspended {
			i.State = supervisor.Running.String() // their supervisors keep no books
		}
	}
	return inTreeOrder(infos), nil
}

func (n *Node) children(ctx context.Context) (out []supervisor.ChildInfo) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wg sync.WaitGroup
	lists := make([]supervisor.ChildList, len(supervisors))
	for i, at := range supervisors {
		wg.Go(func() {
			// No answer, no states: what is known without it is told all the same.
			list, err := ask[supervisor.ChildList](ctx, n, at, func(to messages.Addr) any { return supervisor.ListChildren{ReplyTo: to} })
			if err == nil {
				lists[i] = list
			}
		})
	}
	wg.Wait()
	for _, l := range lists {
		out = append(out, l.Children...)
	}
	return out
}

// parentOf is where an actor hangs in the tree of supervisor.StartNode.
func parentOf(name string) string {
	kind := ActorKind(name)
	switch {
	case name == string(supervisor.NodeAddr):
		return ""
	case name == string(messages.PersisterAddr), name == string(supervisor.ActorsAddr):
		return string(supervisor.NodeAddr)
	case kind == name:
		return string(supervisor.ActorsAddr)
	case kind == "peer":
		return string(messages.PeersAddr)
	}
	return string(messages.MonitorsAddr) // monitor/, channel/ and opening/
}

func inTreeOrder(infos map[string]*ActorInfo) []ActorInfo {
	below := map[string][]*ActorInfo{}
	for _, i := range infos {
		below[i.Parent] = append(below[i.Parent], i)
	}
	out := make([]ActorInfo, 0, len(infos))
	var add func(parent string)
	add = func(parent string) {
		slices.SortFunc(below[parent], func(a, b *ActorInfo) int { return cmp.Compare(a.Name, b.Name) })
		for _, i := range below[parent] {
			out = append(out, *i)
			add(i.Name)
		}
	}
	add("")
	return out
}

// IsNoActor tells whether PingActor found no actor of that name: it is being started, or there is none.
func IsNoActor(err error) bool { return errors.Is(err, kit.ErrNoActor) }
