package kit

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// traced is how many types of messages are remembered of each actor.
const traced = 8

// trace is what can be told of an actor from outside of its turns. It holds types, never messages: a message may be secret, and is garbage once it
// was handled. The lock is the actor's own.
type trace struct {
	mu      sync.Mutex
	recent  [traced]reflect.Type // a ring
	noted   uint64               // how many were ever put into it
	handled uint64
	busy    bool

	incarnation atomic.Uint64
	instances   atomic.Uint64
}

// begin notes a message that is handled now.
func (t *trace) begin(msg any) {
	msg = actor.UnwrapEnvelopeMessage(msg)
	t.mu.Lock()
	t.busy = true
	t.handled++
	if _, ping := msg.(Ping); !ping {
		t.recent[t.noted%traced] = reflect.TypeOf(msg)
		t.noted++
	}
	t.mu.Unlock()
}

// rest notes the end of a turn.
func (t *trace) rest() {
	t.mu.Lock()
	t.busy = false
	t.mu.Unlock()
}

func (t *trace) types() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for i := t.noted - min(t.noted, traced); i < t.noted; i++ {
		if typ := t.recent[i%traced]; typ != nil {
			out = append(out, typ.String())
		}
	}
	return out
}

// Vitals is what can be seen of an actor from outside, without asking it.
type Vitals struct {
	Name        string // without the node's
	Queued      int    // user messages that wait
	Handled     uint64 // messages begun, over all incarnations
	Busy        bool   // it handles one of them
	Suspended   bool   // its messages wait for its supervisor's decision
	Incarnation uint64 // as it tells by an Incarnation method, 0 if it has none
	Instances   uint64 // how many were started
}

// Incarnated is an actor that says which incarnation it is; see Env.NextIncarnation.
type Incarnated interface{ Incarnation() uint64 }

func (m *mailbox) vitals(name string) Vitals {
	v := Vitals{
		Name: name, Queued: m.UserMessageCount(), Suspended: m.suspended.Load(),
		Incarnation: m.trace.incarnation.Load(), Instances: m.trace.instances.Load(),
	}
	m.trace.mu.Lock()
	v.Handled, v.Busy = m.trace.handled, m.trace.busy
	m.trace.mu.Unlock()
	return v
}

// Each calls f for every actor of the node that has kit's own mailbox, in no particular order.
func (e *Env) Each(f func(Vitals)) {
	prefix := e.Node + "/"
	e.mailboxes.Range(func(name, m any) bool {
		f(m.(*mailbox).vitals(strings.TrimPrefix(name.(string), prefix)))
		return true
	})
}

// Recent is the Go types of the last messages that an actor handled, the newest last. If the actor is busy, that is the one it handles now.
func (e *Env) Recent(name string) []string { return e.recent(e.Node + "/" + name) }

func (e *Env) recent(id string) []string {
	if m, ok := e.mailboxes.Load(id); ok {
		return m.(*mailbox).trace.types()
	}
	return nil
}

// began notes a new instance, after its Started.
func (e *Env) began(id string, instance actor.Actor) {
	m, ok := e.mailboxes.Load(id)
	if !ok {
		return
	}
	t := &m.(*mailbox).trace
	t.instances.Add(1)
	if i, ok := instance.(Incarnated); ok {
		t.incarnation.Store(i.Incarnation())
	}
}
