package chainwatch

import "container/heap"

// wakeQueue orders watchers by the height that they want to be told of. Entries whose watcher changed its mind stay in it until they are due.
type wakeQueue struct {
	entries wakeHeap
	seq     uint64
}

type wakeEntry struct {
	height uint32
	seq    uint64 // the order of waking at one height
	w      *watcher
	gen    uint64
}

func (q *wakeQueue) push(w *watcher, height uint32) {
	if height == 0 {
		return
	}
	q.seq++
	heap.Push(&q.entries, wakeEntry{height: height, seq: q.seq, w: w, gen: w.gen})
}

// due takes out the next watcher that is to be woken at a height or below.
func (q *wakeQueue) due(height uint32) (*watcher, bool) {
	for len(q.entries) > 0 && q.entries[0].height <= height {
		e := heap.Pop(&q.entries).(wakeEntry)
		if e.w.state != dead && e.gen == e.w.gen && e.w.wakeAt != 0 {
			return e.w, true
		}
	}
	return nil, false
}

// wakeUp tells those that asked for this height. A match told before has served them already.
func (c *core) wakeUp(q *wakeQueue, id blockID) {
	for {
		w, ok := q.due(id.height)
		if !ok {
			return
		}
		c.tell(w, id, nil)
	}
}

// served takes the wish for a height back once the watcher was told of it.
func (c *core) served(w *watcher) {
	if w.wakeAt == 0 || w.wakeAt > w.toldID.height {
		return
	}
	w.woken, w.wakeAt, w.after = w.wakeAt, w.after, 0
	w.gen++
	c.pushWake(w)
}

func (c *core) pushWake(w *watcher) {
	switch {
	case w.state == live:
		c.wakes.push(w, w.wakeAt)
	case w.inPass:
		c.scan.wakes.push(w, w.wakeAt)
	}
}

// wakeAgain serves a wish anew whose block has left the chain.
func (c *core) wakeAgain(w *watcher, fork uint32) {
	if w.woken <= fork || (w.wakeAt != 0 && w.wakeAt <= w.woken) {
		return
	}
	w.gen++
	w.after = w.wakeAt
	w.wakeAt, w.woken = w.woken, 0
	c.pushWake(w)
}

type wakeHeap []wakeEntry

func (h wakeHeap) Len() int { return len(h) }
func (h wakeHeap) Less(i, j int) bool {
	if h[i].height != h[j].height {
		return h[i].height < h[j].height
	}
	return h[i].seq < h[j].seq
}
func (h wakeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *wakeHeap) Push(v any)   { *h = append(*h, v.(wakeEntry)) }
func (h *wakeHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = wakeEntry{}
	*h = (*h)[:last]
	return e
}
