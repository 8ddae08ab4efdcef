package interceptor

import (
	"context"
	"sync"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Queue is the meeting point of the manager's questions and the embedder. It is safe for concurrent use.
type Queue struct {
	mu    sync.Mutex
	list  []messages.InterceptHTLC
	waits map[key]bool  // in list: a repeat of what was not handed out yet is no news
	wake  chan struct{} // closed and replaced when something can be taken
}

type key struct {
	channel ln.ChannelID
	id      uint64
}

// NewQueue makes an empty queue.
func NewQueue() *Queue { return &Queue{waits: map[key]bool{}, wake: make(chan struct{})} }

// Put takes a question.
func (q *Queue) Put(m messages.InterceptHTLC) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if k := (key{m.Channel, m.HTLCID}); !q.waits[k] {
		q.waits[k] = true
		q.list = append(q.list, m)
		close(q.wake)
		q.wake = make(chan struct{})
	}
}

// Next waits for the oldest question.
func (q *Queue) Next(ctx context.Context) (messages.InterceptHTLC, error) {
	for {
		m, ok, wake := q.take()
		if ok {
			return m, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return messages.InterceptHTLC{}, ctx.Err()
		}
	}
}

func (q *Queue) take() (messages.InterceptHTLC, bool, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return messages.InterceptHTLC{}, false, q.wake
	}
	m := q.list[0]
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	delete(q.waits, key{m.Channel, m.HTLCID})
	return m, true, nil
}
