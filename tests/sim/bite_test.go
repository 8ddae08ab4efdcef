package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// A bite breaks one rule, from outside, and shows that the simulation notices.
type bite struct {
	name   string
	plan   func(p *plan) // breaks the rule
	guards bool          // the guards may speak; else only what comes of it counts
	seeds  uint64        // in which it must be noticed
}

// rough is a plan with many crashes of monitors, managers and nodes, but nothing that is not needed here.
func rough(r *rand.Rand) plan {
	return plan{
		storm: time.Duration(300+r.IntN(700)) * time.Millisecond, snapshotEvery: 2 + r.IntN(10), bothDial: true,
		actorCrash: 0.02, nodeCrash: 0.004, commitCrash: 0.03, slowStore: 0.1, handlerFails: 0.3, delay: 0.02,
	}
}

var bites = []bite{
	{name: "none", seeds: 30},
	// Rule 1 of package actors: the store says that a batch is durable when it is not.
	{name: "send before durable", seeds: 60, plan: func(p *plan) {
		p.mutate = func(n *node, _ *supervisor.Parts) { n.store.SetUnsynced(true) }
	}},
	// Rule 4: a monitor takes its records straight from the store, past the appends of its dead incarnation that wait in the persister.
	{name: "load past the mailbox", seeds: 60, plan: func(p *plan) {
		p.handled, p.slowStore, p.actorCrash, p.crashOnly = loadPastTheMailbox, 0.3, 0.2, "monitor"
	}},
	// Rule 4: what dead incarnations say is taken for what the living one says.
	{name: "no incarnations", seeds: 150, plan: func(p *plan) {
		p.seen, p.actorCrash, p.crashOnly = forgetIncarnations(), 0.1, "persister"
		p.slowStore, p.nodeCrash, p.commitCrash, p.handlerFails, p.storm = 0.2, 0, 0, 0, 2*time.Second
	}},
	// Rule 24, seen by its guard and by what comes of it.
	{name: "ack before effect, guarded", seeds: 20, guards: true, plan: func(p *plan) { p.handled = ackAtOnce }},
	{name: "ack before effect", seeds: 300, plan: func(p *plan) {
		p.handled, p.actorCrash, p.crashOnly, p.handlerFails, p.crashAfter = ackAtOnce, 0.1, "manager", 0.8, true
	}},
	// S8: ids are given anew at each report, from the position in the queue.
	{name: "event id from memory", seeds: 150, plan: func(p *plan) {
		p.seen, p.nodeCrash, p.handlerFails = renumber, 0.01, 0.7
	}},
}

// TestBites: with a rule broken, the simulation fails within some seeds; with none broken it does not.
func TestBites(t *testing.T) {
	for _, b := range bites {
		t.Run(b.name, func(t *testing.T) {
			s := suite{name: b.name, from: opened, run: func(w *world, r *rand.Rand) { w.workload(r) }}
			s.plan = func(r *rand.Rand) plan {
				p := rough(r)
				if b.plan != nil {
					b.plan(&p)
					p.blind = !b.guards
				}
				return p
			}
			for seed := range b.seeds {
				_, problem := s.world(seed, false)
				if problem == "" {
					continue
				}
				line, _, _ := strings.Cut(problem, "\n")
				if b.plan == nil {
					t.Fatalf("seed %d fails with nothing broken: %s", seed, problem)
				}
				t.Logf("noticed by seed %d: %.200s", seed, line)
				return
			}
			if b.plan != nil {
				t.Fatalf("not noticed in %d seeds", b.seeds)
			}
		})
	}
}

// loadPastTheMailbox hands a monitor that has just started what the store holds at this moment. The persister's answer comes too late then.
func loadPastTheMailbox(n *node, pt sim.Point) {
	if pt.Kind != "monitor" {
		return
	}
	switch pt.Msg.(type) {
	case *actor.Started, *actor.Restart:
	default:
		return
	}
	id, err := ln.ParseChannelID(strings.TrimPrefix(pt.Actor, "monitor/"))
	if err != nil {
		return
	}
	scan := &logs{snapshots: map[messages.Owner][]byte{}, records: map[messages.Owner][][]byte{}, through: map[messages.Owner]uint64{}}
	if n.store.Scan(scan) != nil {
		return
	}
	owner := messages.Owner(id[:])
	drawn := n.env.NextIncarnation() - 1 // by the monitor, a moment ago
	n.env.Tell(messages.Addr(pt.Actor), messages.Loaded{
		Owner: owner, Incarnation: drawn, Snapshot: scan.snapshots[owner], Records: scan.records[owner],
	})
}

// forgetIncarnations repeats what is meant for, or comes from, a dead incarnation in the name of the living one.
func forgetIncarnations() func(*node, sim.Point) {
	type key struct {
		env  any
		what string
	}
	newest := map[key]uint64{} // incarnations, and fences
	loaded := map[key]uint64{} // of them, those that loaded from the persister before it crashed
	return func(n *node, pt sim.Point) {
		again := func(msg any) { n.env.Tell(messages.Addr(pt.Actor), msg) }
		at := func(what string) key { return key{n.env, what} }
		switch m := pt.Msg.(type) {
		case *actor.Restart:
			if pt.Kind == "persister" {
				for k, incarnation := range newest {
					if k.env == any(n.env) {
						loaded[k] = incarnation
					}
				}
			}
		case messages.Load:
			newest[at(string(m.Owner))] = m.Incarnation
		case messages.ChannelLoad:
			newest[at("channel "+string(m.Channel[:]))] = m.Incarnation
		case messages.Fence:
			newest[at("fence "+string(m.Channel[:]))] = m.Fence
			newest[at("manager")] = max(newest[at("manager")], m.ManagerIncarnation)
		case messages.Append:
			if m.Incarnation == loaded[at(string(m.Owner))] {
				m.Incarnation = n.env.NextIncarnation() // above the fence that the restart drew
				again(m)
			}
		case messages.ChannelLoaded:
			if now := newest[at("channel "+string(m.Facts.ID[:]))]; m.Incarnation < now {
				m.Incarnation = now
				again(m)
			}
		case messages.MonitorReport:
			if now := newest[at("fence "+string(m.Channel[:]))]; m.Fence < now {
				m.Fence, m.ManagerIncarnation = now, newest[at("manager")]
				again(m)
			}
		}
	}
}

// ackAtOnce acknowledges what the manager has been told of.
func ackAtOnce(n *node, pt sim.Point) {
	if pt.Kind != "manager" {
		return
	}
	var ack messages.AckMonitorEvent
	switch m := pt.Msg.(type) {
	case messages.EmitEvents:
		ack.Channel = m.Channel
		for _, e := range m.Events {
			ack.Seqs = append(ack.Seqs, e.Seq)
		}
	case messages.MonitorReport:
		ack.Channel = m.Channel
		for _, e := range m.Events {
			ack.Seqs = append(ack.Seqs, e.Seq)
		}
	}
	if len(ack.Seqs) > 0 {
		n.env.Tell(messages.MonitorAddr(ack.Channel), ack)
	}
}

// renumber gives the events of a report new ids, and has the monitor understand the acknowledgements of those.
func renumber(n *node, pt sim.Point) {
	m, ok := pt.Msg.(messages.MonitorReport)
	if !ok || pt.Kind != "manager" {
		return
	}
	for i := range m.Events {
		m.Events[i].Seq = uint64(i + 1)
	}
}
