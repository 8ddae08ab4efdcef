package rpc

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Poller tells subscribers that the tip has changed. It looks at intervals,
// and at once when it is poked.
type Poller struct {
	tip      func(context.Context) (chain.BlockID, error)
	interval time.Duration
	poke     chan struct{}

	mu   sync.Mutex
	subs []*subscriber

	cancel context.CancelFunc
	done   chan struct{}
}

type subscriber struct{ notify func() }

// NewPoller starts to look at a tip until Close.
func NewPoller(tip func(context.Context) (chain.BlockID, error), interval time.Duration) *Poller {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Poller{
		tip: tip, interval: interval, poke: make(chan struct{}, 1),
		cancel: cancel, done: make(chan struct{}),
	}
	go p.run(ctx)
	return p
}

// Close returns once nobody is told any more.
func (p *Poller) Close() {
	p.cancel()
	<-p.done
}

// Poke makes the poller look now.
func (p *Poller) Poke() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Subscribe implements chain.Source. After cancel has returned notify is not
// called.
func (p *Poller) Subscribe(notify func()) (cancel func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sub := &subscriber{notify}
	p.subs = append(p.subs, sub)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.subs = slices.DeleteFunc(p.subs, func(s *subscriber) bool { return s == sub })
	}
}

func (p *Poller) run(ctx context.Context) {
	defer close(p.done)
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	// The first look tells as well: what changed before it nobody may have
	// seen.
	var last chainhash.Hash
	for {
		if tip, err := p.tip(ctx); err == nil && tip.Hash != last && ctx.Err() == nil {
			last = tip.Hash
			p.notify()
		}
		select {
		case <-ticker.C:
		case <-p.poke:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Poller) notify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range p.subs {
		sub.notify()
	}
}
