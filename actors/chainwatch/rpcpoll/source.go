package rpcpoll

import (
	"context"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// DefaultInterval is how often the node is asked for its tip.
const DefaultInterval = 5 * time.Second

// Config says where the node is and how often to ask it.
type Config struct {
	rpc.Config

	// Interval is the time between two looks at the tip; DefaultInterval if
	// zero.
	Interval time.Duration
}

// Source is a chain.Source.
type Source struct {
	*rpc.Node
	poller *rpc.Poller
}

var _ chain.Source = (*Source)(nil)

// Open connects to a node. Errors: rpc.ErrConfig, chain.ErrUnreachable (with
// chain.ErrAccess if the node turned us away), chain.ErrWrongChain, or
// chain.ErrBadAnswer where something else than a node answers.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	if cfg.Interval < 0 {
		return nil, fmt.Errorf("%w: negative interval %v", rpc.ErrConfig, cfg.Interval)
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	node, err := rpc.Open(ctx, cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("rpcpoll: %w", err)
	}
	return &Source{Node: node, poller: rpc.NewPoller(node.Tip, cfg.Interval)}, nil
}

// Close ends all calls and notifications. It does no harm twice.
func (s *Source) Close() {
	s.Node.Close()
	s.poller.Close()
}

// Subscribe implements chain.Source.
func (s *Source) Subscribe(notify func()) (cancel func()) { return s.poller.Subscribe(notify) }

// Local implements chain.Source.
func (s *Source) Local() bool { return false }
