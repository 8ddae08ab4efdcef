package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// eventID names a MonitorEvent, for ever.
type eventID struct {
	channel ln.ChannelID
	seq     uint64
}

// tally counts one node's MonitorEvents as they pass between monitors and manager. Its methods run within turns of actors.
type tally struct {
	node string
	now  func() time.Duration
	tell func(News)

	mu        sync.Mutex
	kinds     map[eventID]string // emitted; the Go type tells two events of one id apart
	acked     map[eventID]bool
	reemitted int
	faults    []string

	open  map[eventID]bool // emitted again and not acknowledged since
	since time.Duration    // since when there are any
	again map[eventID]bool // emitted again since the last tell
	acks  int              // acknowledgements of open ones since the last tell
}

func newTally(node string, now func() time.Duration, tell func(News)) *tally {
	return &tally{
		node: node, now: now, tell: tell,
		kinds: map[eventID]string{}, acked: map[eventID]bool{}, open: map[eventID]bool{}, again: map[eventID]bool{},
	}
}

// saw looks at a message on its way into an actor.
func (t *tally) saw(msg any) {
	switch m := msg.(type) {
	case messages.EmitEvents:
		t.emitted(m.Channel, m.Events)
	case messages.MonitorReport:
		t.emitted(m.Channel, m.Events)
	case messages.AckMonitorEvent:
		t.ack(m.Channel, m.Seqs)
	}
}

func (t *tally) emitted(channel ln.ChannelID, events []facts.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ev := range events {
		id, kind := eventID{channel, ev.Seq}, fmt.Sprintf("%T", ev.Kind)
		known, seen := t.kinds[id]
		switch {
		case !seen:
			t.kinds[id] = kind
			continue
		case known != kind:
			t.faults = append(t.faults, fmt.Sprintf("%s: MonitorEvent %d was %s and is %s now", t.node, ev.Seq, known, kind))
		}
		t.reemitted++
		if len(t.open) == 0 {
			t.since = t.now()
		}
		t.open[id], t.again[id] = true, true
	}
}

func (t *tally) ack(channel ln.ChannelID, seqs []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seq := range seqs {
		id := eventID{channel, seq}
		t.acked[id] = true
		if t.open[id] {
			delete(t.open, id)
			t.acks++
		}
	}
}

// news tells what was emitted again, and acknowledged then, since the last call: together, since a restart brings many at once.
func (t *tally) news() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.again); n > 0 {
		t.tell(Reemitted{At: t.now(), Node: t.node, Count: n})
		clear(t.again)
	}
	if t.acks > 0 {
		t.tell(Reacked{At: t.now(), Node: t.node, Count: t.acks, After: t.now() - t.since})
		t.acks = 0
	}
}

// add adds the node's events to e.
func (t *tally) add(e *Events) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Emitted += len(t.kinds)
	e.Reemitted += t.reemitted
	for id := range t.kinds {
		if t.acked[id] {
			e.Acked++
		} else {
			e.Unacked++
		}
	}
}

func (t *tally) found() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults
}
