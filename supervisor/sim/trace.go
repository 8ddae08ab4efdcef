package sim

import (
	"fmt"
	"strings"
	"time"
)

// trace remembers the last steps and a hash of all of them.
type trace struct {
	hash uint64
	ring [256]entry
	n    uint64
}

type entry struct {
	step         uint64
	at           time.Duration
	class, actor string
	typ, text    string
}

func newTrace() trace { return trace{hash: 14695981039346656037} }

func (t *trace) add(s *Sim, class, actor, typ, text string) {
	t.ring[t.n%uint64(len(t.ring))] = entry{s.step, s.now.Sub(s.start), class, actor, typ, text}
	t.n++
	t.mix(class)
	t.mix(actor)
	t.mix(typ)
	t.mix(text)
	t.word(uint64(s.now.Sub(s.start)))
}

// FNV-1a, with the length so that the parts cannot be confused.
func (t *trace) mix(part string) {
	for i := range len(part) {
		t.hash = (t.hash ^ uint64(part[i])) * 1099511628211
	}
	t.word(uint64(len(part)))
}

func (t *trace) word(w uint64) {
	for range 8 {
		t.hash = (t.hash ^ w&0xff) * 1099511628211
		w >>= 8
	}
}

// TraceHash is the same for two runs that took the same steps at the same times.
func (s *Sim) TraceHash() uint64 { return s.trace.hash }

// Last is the last n steps, one a line, oldest first. At most 256 are kept.
func (s *Sim) Last(n int) string {
	t := &s.trace
	from := uint64(0)
	if kept := min(uint64(n), uint64(len(t.ring))); t.n > kept {
		from = t.n - kept
	}
	var b strings.Builder
	for i := from; i < t.n; i++ {
		e := t.ring[i%uint64(len(t.ring))]
		fmt.Fprintf(&b, "%8d +%-14v %-11s %s %s", e.step, e.at, e.class, e.actor, e.typ)
		if e.text != "" {
			b.WriteString(" " + e.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
