package kit

import (
	"runtime"
	"sync"
	"time"
)

// Pool is a dispatcher of few workers. Each keeps the stack that it has grown, which is what a goroutine per turn spends most of its time
// on. When all workers are blocked, as in fsync, it adds one after the other until something moves; these go away again.
type Pool struct {
	mu      sync.Mutex
	free    []*worker // the one that ran last is first to run again
	waiting []func()
	head    int
	workers int
	limit   int
	done    uint64 // turns that ended
	watched bool
	closed  bool
}

type worker struct{ task chan func() }

// patience is for how long no turn may end, while some wait, before another worker is added.
const patience = time.Millisecond

// NewPool makes a pool that keeps the given number of workers; 0: four per CPU, at least eight. Close it when its work is done.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = max(8, 4*runtime.GOMAXPROCS(0))
	}
	return &Pool{limit: workers}
}

// Throughput is how many messages one actor handles before others get their turn.
func (p *Pool) Throughput() int { return throughput }

// Schedule runs fn soon, and never on the caller's goroutine. A closed pool runs it on a new goroutine.
func (p *Pool) Schedule(fn func()) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		w := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		w.task <- fn
		return
	}
	if p.closed || p.workers < p.limit {
		p.workers++
		p.mu.Unlock()
		go p.work(fn)
		return
	}
	p.waiting = append(p.waiting, fn)
	if !p.watched {
		p.watched = true
		p.watch(p.done)
	}
	p.mu.Unlock()
}

// Close lets the workers go as they become free.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.free {
		close(w.task)
	}
	p.workers -= len(p.free)
	p.free = nil
}

func (p *Pool) work(fn func()) {
	w := &worker{task: make(chan func(), 1)}
	alive := false
	defer func() {
		if !alive { // fn ended this goroutine; another takes its place
			go p.resume()
		}
	}()
	for fn != nil {
		fn()
		fn = p.next(w)
	}
	alive = true
}

// resume is the life of a worker that follows one which was ended.
func (p *Pool) resume() {
	w := &worker{task: make(chan func(), 1)}
	if fn := p.next(w); fn != nil {
		p.work(fn)
	}
}

// next waits for work; nil sends the worker home.
func (p *Pool) next(w *worker) func() {
	p.mu.Lock()
	p.done++
	if p.head < len(p.waiting) {
		fn := p.take()
		p.mu.Unlock()
		return fn
	}
	if p.closed || p.workers > p.limit {
		p.workers--
		p.mu.Unlock()
		return nil
	}
	p.free = append(p.free, w)
	p.mu.Unlock()
	return <-w.task
}

func (p *Pool) take() func() {
	fn := p.waiting[p.head]
	p.waiting[p.head] = nil
	if p.head++; p.head == len(p.waiting) {
		p.head = 0
		if cap(p.waiting) > keep {
			p.waiting = nil
		} else {
			p.waiting = p.waiting[:0]
		}
	}
	return fn
}

// watch adds a worker if no turn has ended since done was read.
func (p *Pool) watch(done uint64) {
	time.AfterFunc(patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.head == len(p.waiting) {
			p.watched = false
			return
		}
		if p.done == done {
			p.workers++
			go p.work(p.take())
		}
		p.watch(p.done)
	})
}
