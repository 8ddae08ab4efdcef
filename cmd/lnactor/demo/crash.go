package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// WholeNode is the crash of a whole node: in the middle of a turn of one of its actors, nothing is finished and nothing is flushed.
const WholeNode = "node"

// Kinds are what a run crashes: actors by the first part of their address, and whole nodes.
var Kinds = []string{"persister", "chainwatch", "funds", "manager", "monitor", "channel", "peer", "graph", "events", WholeNode}

// errInjected is what the demo's crashes panic with, so that they are told apart from crashes that nobody asked for.
var errInjected = errors.New("crashed by the demo")

// bomb is a planned crash.
type bomb struct {
	n       int
	node    int    // index
	kind    string // what it counts as
	trigger string // kind of the actor within whose turn it happens
	handled bool
	skip    atomic.Int64 // turns of such actors to let pass
	struck  chan struct{}
}

// plan draws the crashes. Each kind on each node has its turn before any comes again.
//
// How many turns a crash lets pass is drawn too, so that it meets all kinds of messages, but from less where few payments give few turns.
func plan(rng *rand.Rand, nodes, crashes, payments int) []*bomb {
	var bag []int
	kinds := Kinds
	if nodes == 2 {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == "graph" }) // nobody asks it anything
	}
	bombs := make([]*bomb, crashes)
	turns := int64(min(20, 1+3*payments/max(crashes, 1)))
	for i := range bombs {
		if len(bag) == 0 {
			bag = rng.Perm(nodes * len(kinds))
		}
		b := &bomb{n: i + 1, node: bag[0] % nodes, kind: kinds[bag[0]/nodes], handled: rng.IntN(2) == 0, struck: make(chan struct{})}
		bag = bag[1:]
		b.trigger = b.kind
		switch b.kind {
		case WholeNode:
			busy := []string{"persister", "manager", "monitor", "channel", "peer"}
			b.trigger = busy[rng.IntN(len(busy))]
			b.skip.Store(rng.Int64N(turns))
		case "persister", "manager", "monitor", "channel", "peer":
			b.skip.Store(rng.Int64N(turns))
		}
		bombs[i] = b
	}
	return bombs
}

// fuse is one node's kit.Faults: it sees every message of every actor of the node, within the actor's turn.
type fuse struct {
	node string
	seen *tally
	bomb atomic.Pointer[bomb]
	say  func(Crashed)

	last  atomic.Int64  // when an actor last had something to do, the demo's own questions excepted
	funds atomic.Uint32 // height that the wallet has taken in
	paid  atomic.Uint32 // height that the manager has taken in
}

// height is what the node has surely seen of the chain. Monitors are told of blocks that concern them only, in the same turn of chainwatch.
func (f *fuse) height() uint32 { return min(f.funds.Load(), f.paid.Load()) }

// forget is for a node that starts.
func (f *fuse) forget() {
	f.funds.Store(0)
	f.paid.Store(0)
}

// idle is how long no actor of the node has had anything to do.
func (f *fuse) idle() time.Duration { return time.Since(time.Unix(0, f.last.Load())) }

var _ kit.Faults = (*fuse)(nil)

func (f *fuse) Before(actor string, msg any) {
	f.seen.saw(msg)
	if !question(msg) {
		f.last.Store(time.Now().UnixNano())
	}
	if b := f.bomb.Load(); b != nil && !b.handled {
		f.burn(b, actor, msg)
	}
}

func (f *fuse) After(actor string, msg any) {
	if tip, ok := msg.(messages.ChainTip); ok {
		switch kindOf(actor) {
		case "funds":
			f.funds.Store(tip.Height)
		case "manager":
			f.paid.Store(tip.Height)
		}
	}
	if b := f.bomb.Load(); b != nil && b.handled {
		f.burn(b, actor, msg)
	}
}

func (f *fuse) burn(b *bomb, actor string, msg any) {
	if kindOf(actor) != b.trigger || b.skip.Add(-1) >= 0 || !f.bomb.CompareAndSwap(b, nil) {
		return
	}
	f.say(Crashed{N: b.n, Node: f.node, Kind: b.kind, Message: strings.TrimPrefix(fmt.Sprintf("%T", msg), "*"), Handled: b.handled})
	close(b.struck)
	if b.kind == WholeNode {
		panic(kit.Kill{}) // this turn never ends well; the saboteur drops the rest of the node
	}
	panic(errInjected)
}

// kindOf is the kind of an actor with a full name such as "alice/monitor/<channel>".
func kindOf(actor string) string {
	_, name, _ := strings.Cut(actor, "/")
	kind, _, _ := strings.Cut(name, "/")
	return kind
}

// saboteur sets one bomb after the other as the payments go on.
type saboteur struct {
	*world
	bombs []*bomb

	mu       sync.Mutex
	by       map[string]int
	byNode   map[string]int
	made     int
	restarts int
	faults   []string
}

// strike is called within the turn that is crashed.
func (s *saboteur) strike(c Crashed) {
	s.mu.Lock()
	s.by[c.Kind]++
	s.byNode[c.Node]++
	s.made++
	s.mu.Unlock()
	c.At = s.now()
	s.tell(c)
}

// observe is told by the supervisors of a node what they see.
func (s *saboteur) observe(node string, ev lnactor.SupervisionEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev := ev.(type) {
	case supervisor.ChildRestarted:
		s.restarts++
	case supervisor.ChildFailed:
		// An actor whose append was refused, since the persister crashed before it, starts over by crashing.
		if !errors.Is(ev.Reason, errInjected) && !errors.Is(ev.Reason, persister.ErrRefused) {
			s.faults = append(s.faults, fmt.Sprintf("%s: %s crashed by itself over %s: %v", node, ev.Child, ev.Message, ev.Reason))
		}
	case supervisor.ChildQuarantined:
		s.faults = append(s.faults, fmt.Sprintf("%s: %s is quarantined: %v", node, ev.Child, ev.Reason))
	case supervisor.GaveUpOn:
		s.faults = append(s.faults, fmt.Sprintf("%s: %v", node, ev.Err))
	}
}

// run sets the bombs until all have gone off. Bomb i is due when i of crashes+1 parts of the payments are done, so all happen under load.
func (s *saboteur) run(ctx context.Context, done func() (int, <-chan struct{}), payments int) error {
	for i, b := range s.bombs {
		due := (i + 1) * payments / (len(s.bombs) + 2)
		for {
			n, more := done()
			if n >= due {
				break
			}
			select {
			case <-more:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := s.set(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// nudge is how long a bomb waits for a turn of its actor before a block is mined, which gives every kind of actor but the talkative ones work.
const nudge = 250 * time.Millisecond

func (s *saboteur) set(ctx context.Context, b *bomb) error {
	side := s.sides[b.node]
	side.fuse.bomb.Store(b)
	if b.trigger == "chainwatch" || b.trigger == "funds" {
		if _, err := s.chain.Mine(1); err != nil {
			return err
		}
	}
	for tries := 0; ; tries++ {
		select {
		case <-b.struck:
			if b.kind == WholeNode {
				return side.crash(ctx)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(nudge):
		}
		if tries >= 12 && side.fuse.bomb.CompareAndSwap(b, nil) {
			return nil // its actor has nothing to do: the report says how many crashes were made
		}
		b.skip.Store(0)
		if _, err := s.chain.Mine(1); err != nil {
			return err
		}
	}
}

func (s *saboteur) count(c *Crashes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Made, c.Restart, c.ByActor = s.made, s.restarts, map[string]int{}
	for _, kind := range Kinds {
		c.ByActor[kind] = s.by[kind]
	}
}

// on counts the crashes of a node.
func (s *saboteur) on(node string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byNode[node]
}

func (s *saboteur) found() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}
