package manager

import "container/heap"

// heights are what waits for a block height. They are in memory only, as timers are.
type heights struct {
	heap heightHeap
	seq  uint64
}

type heightTimer struct {
	at  uint32
	seq uint64 // ties go to the older one
	run func()
}

// at runs f once at a height, or with the next block if that is past. There is no way to cancel one: f looks whether it still has something to do.
func (m *Manager) at(height uint32, f func()) {
	m.heights.seq++
	heap.Push(&m.heights.heap, heightTimer{at: height, seq: m.heights.seq, run: f})
}

// runHeights runs what is due, but not what that asks for: it comes with the next block.
func (m *Manager) runHeights() {
	var due []heightTimer
	for len(m.heights.heap) > 0 && m.heights.heap[0].at <= m.height {
		due = append(due, heap.Pop(&m.heights.heap).(heightTimer)) //nolint:forcetypeassert // container/heap
	}
	for _, t := range due {
		t.run()
	}
}

type heightHeap []heightTimer

func (h heightHeap) Len() int { return len(h) }
func (h heightHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h heightHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heightHeap) Push(x any)   { *h = append(*h, x.(heightTimer)) } //nolint:forcetypeassert // container/heap
func (h *heightHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = heightTimer{}
	*h = old[:len(old)-1]
	return t
}
