package manager

import (
	"container/heap"
	"time"
)

// timers are what waits for a time of day. They are in memory only: what depends on one asks for it again after a restart.
type timers struct {
	heap  timerHeap
	seq   uint64
	asked time.Time // the wake that the shell was asked for last
}

type timer struct {
	at  time.Time
	seq uint64 // ties go to the older one
	run func()
}

// after runs f once in d from now, between two messages. There is no way to cancel one: f looks whether it still has something to do.
func (m *Manager) after(d time.Duration, f func()) {
	m.timers.seq++
	heap.Push(&m.timers.heap, timer{at: m.now.Add(d), seq: m.timers.seq, run: f})
}

// runTimers runs what is due.
func (m *Manager) runTimers() {
	for len(m.timers.heap) > 0 && !m.timers.heap[0].at.After(m.now) {
		t := heap.Pop(&m.timers.heap).(timer) //nolint:forcetypeassert // container/heap
		t.run()
	}
}

// ask is when the shell has to wake the core, zero if it knows already.
func (t *timers) ask() time.Time {
	if len(t.heap) == 0 || !t.asked.IsZero() && !t.heap[0].at.Before(t.asked) {
		return time.Time{}
	}
	t.asked = t.heap[0].at
	return t.asked
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) } //nolint:forcetypeassert // container/heap
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return t
}
