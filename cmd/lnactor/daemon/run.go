package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/cmd/lnactor/chainserver"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
)

// Options are what a process is made of.
type Options struct {
	Config   *config.Config // checked
	Terminal Terminal       // nil: nobody is there
	Log      *slog.Logger
	Version  string

	// Ready is told once, when everything is served.
	Ready func(Running)

	// Faults crashes and holds actors, for tests. Nil: none, at no cost.
	Faults kit.Faults
}

// Running is a node that is up.
type Running struct {
	NodeID, Listen, Socket, API, Chain string // addresses; empty: none
	Monitoring                         string // address of /metrics; empty: not served
	Crashes                            string // where reports of crashes are
}

// process is what has been opened, to be closed in the opposite order.
type process struct {
	Options
	watch   *watch
	node    *lnactor.Node
	feed    *feed.Feed
	closers []func(context.Context) error
}

// Run is the life of a node process. It returns when the context has ended, when it was asked to stop, or when the node gave up, and then why.
func Run(ctx context.Context, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &process{Options: o, watch: newWatch(o)}
	p.Log = p.watch.log
	err := p.start(ctx, stop)
	if err == nil {
		select {
		case <-ctx.Done():
			p.Log.Info("stopping")
		case <-p.node.Done():
		}
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // the start was interrupted, in order
	}
	limit := p.watch.stop(p.Config.Duration("stop-limit"))
	if p.watch.isWedged() {
		err = errors.Join(err, ErrWedged)
	}
	err = errors.Join(err, p.end(limit))
	p.watch.close()
	return err
}

func (p *process) start(ctx context.Context, stop func()) error {
	c := p.Config
	if err := prepareDir(c.Dir); err != nil {
		return err
	}
	if address := c.Text("serve-chain"); address != "" {
		if err := chainserver.Check(address); err != nil {
			return err
		}
	}
	if err := p.watch.servePages(c.Text("monitoring.listen")); err != nil {
		return err
	}
	if p.watch.pages != nil {
		p.closers = append(p.closers, p.watch.pages.close)
	}
	params := Params(c.Text("network"))
	passphrase, err := prepareSeed(p.Options, params)
	if err != nil {
		return err
	}
	src, err := openSource(ctx, p.Options, params)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func(context.Context) error { return src.close() })
	public, err := c.Public()
	if err != nil {
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	forwarding, err := c.Forwarding()
	if err != nil {
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	p.node, err = lnactor.Open(ctx, lnactor.Config{
		Public: public, Forwarding: forwarding, KeepCommitmentFees: c.Bool("keep-commitment-fees"), MaxCommitmentFeePerKw: c.Number("max-commitment-fee-per-kw"),
		Dir: c.Dir, Passphrase: passphrase, Chain: src.Source, Params: params, Listen: c.Text("listen"), ManualClaim: c.Bool("manual-claim"), AcceptKeysend: c.Bool("accept-keysend"),
		MinDepth: c.Number("min-depth"), FeeURL: c.Text("fee-url"), FeePerKw: c.Number("fee-per-kw"), Name: "node", Log: p.Log,
		Observe: p.watch.crashes.Observe, CloseLimit: c.Duration("stop-limit"), Faults: p.Faults,
	})
	if err != nil {
		return startError(err)
	}
	p.closers = append(p.closers, func(context.Context) error { return p.node.Close() })
	p.watch.up(p.node, p.Options, params)
	if err := p.follow(stop); err != nil {
		return err
	}
	running := Running{NodeID: p.node.ID().String(), Listen: p.node.ListenAddress(), Crashes: p.watch.crashes.Dir()}
	if p.watch.pages != nil {
		running.Monitoring = p.watch.pages.address
	}
	if err := p.serveChain(src.embedded, &running); err != nil {
		return err
	}
	if err := p.serveAPI(src.embedded, stop, &running); err != nil {
		return err
	}
	p.Log.Info("the node is up", "node_id", running.NodeID, "network", params.Name, "chain", c.Chain(), "listen", running.Listen,
		"socket", running.Socket, "api", running.API, "chain_served", running.Chain, "dir", c.Dir, "monitoring", running.Monitoring, "crash_reports", running.Crashes)
	p.watch.ready(running)
	if p.Ready != nil {
		p.Ready(running)
	}
	return nil
}

func (p *process) serveChain(embedded *regtest.Chain, running *Running) error {
	address := p.Config.Text("serve-chain")
	if address == "" {
		return nil
	}
	s, err := chainserver.Start(embedded, address, p.Log)
	if err != nil {
		return err
	}
	running.Chain = "http://" + s.Addr()
	p.closers = append(p.closers, s.Close)
	return nil
}

func (p *process) serveAPI(embedded *regtest.Chain, stop func(), running *Running) error {
	c := p.Config
	cfg := server.Config{Node: server.Of(p.node), Feed: p.feed, Params: Params(c.Text("network")), Source: c.Chain(), Version: p.Version, Stop: stop, Log: p.Log, Ops: p.watch.ops(p.node), Recovery: p.recovery()}
	if embedded != nil {
		cfg.Chain = embedded
	}
	s := server.New(cfg)
	p.closers = append(p.closers, s.Close)
	if address := c.Text("api.listen"); address != "" {
		tokens, err := server.OpenTokens(c.Dir)
		if err != nil {
			return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
		}
		l, err := server.ListenTLS(address, c.Dir, time.Now())
		if err != nil {
			return startError(fmt.Errorf("api.listen: %w", err))
		}
		running.API = l.Addr().String()
		s.ServeTLS(l, tokens)
	}
	l, err := server.ListenUnix(c.Socket())
	if err != nil {
		return err
	}
	running.Socket = c.Socket()
	s.ServeUnix(l)
	return nil
}

// end closes what is open, the last first, within the limit.
func (p *process) end(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	closed := make(chan error, 1)
	go func() {
		var errs []error
		for i := len(p.closers) - 1; i >= 0; i-- {
			// A call that has not ended when the API closes is the caller's to repeat.
			if err := p.closers[i](ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				errs = append(errs, err)
			}
		}
		closed <- errors.Join(errs...)
	}()
	select {
	case err := <-closed:
		if p.node != nil && err == nil {
			p.Log.Info("stopped in order")
		}
		return err
	case <-time.After(limit + time.Second):
		p.Log.Warn("the stop was cut short; nothing durable is lost", "limit", limit)
		return nil
	}
}
