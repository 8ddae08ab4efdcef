package btcd

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// DefaultInterval is how often the tip is looked at without a notification.
const DefaultInterval = 30 * time.Second

// Config says where btcd is.
type Config struct {
	// Config is for both connections: btcd serves the websocket at the same
	// port, under /ws.
	rpc.Config

	// Interval is the time between two looks at the tip without a
	// notification; DefaultInterval if zero.
	Interval time.Duration

	// Log is told when notifications stop and come again; nil for silence.
	Log *slog.Logger
}

// Source is a chain.Source.
type Source struct {
	*rpc.Node
	poller *rpc.Poller
	cancel context.CancelFunc
	done   chan struct{}
}

var _ chain.Source = (*Source)(nil)

// Open connects to btcd. Errors: rpc.ErrConfig, chain.ErrUnreachable (with
// chain.ErrAccess if btcd turned us away), chain.ErrWrongChain, or
// chain.ErrBadAnswer where something else than btcd answers. That the server
// has no websocket shows in the log only: its blocks are then noticed by
// looking.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	if cfg.Interval < 0 {
		return nil, fmt.Errorf("%w: negative interval %v", rpc.ErrConfig, cfg.Interval)
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	node, err := rpc.Open(ctx, cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("btcd: %w", err)
	}
	listener, err := newListener(cfg)
	if err != nil {
		node.Close()
		return nil, fmt.Errorf("btcd: %w", err)
	}
	life, cancel := context.WithCancel(context.Background())
	s := &Source{Node: node, poller: rpc.NewPoller(node.Tip, cfg.Interval), cancel: cancel, done: make(chan struct{})}
	listener.hint = s.poller.Poke
	go func() {
		defer close(s.done)
		listener.run(life)
	}()
	return s, nil
}

// Close ends all calls and notifications. It does no harm twice.
func (s *Source) Close() {
	s.cancel()
	s.Node.Close()
	s.poller.Close()
	<-s.done
}

// Subscribe implements chain.Source.
func (s *Source) Subscribe(notify func()) (cancel func()) { return s.poller.Subscribe(notify) }

// Local implements chain.Source.
func (s *Source) Local() bool { return false }

// websocketURL is where btcd serves notifications.
func websocketURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: URL: %w", rpc.ErrConfig, err)
	}
	ws := &url.URL{Scheme: "ws", Host: u.Host, Path: "/ws"}
	if u.Scheme == "https" {
		ws.Scheme = "wss"
	}
	return ws, nil
}
