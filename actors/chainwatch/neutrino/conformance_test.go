package neutrino

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	lib "github.com/lightninglabs/neutrino"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestMain(m *testing.M) {
	lib.ConnectionRetryInterval = 50 * time.Millisecond // instead of 5 s, and growing with each attempt
	lib.QueryTimeout = time.Second                      // instead of 10 s, for a question that met a reorganisation
	os.Exit(btcdtest.Main(m))
}

// open starts a light client with a node as its only peer.
func open(t testing.TB, cfg Config) *Source {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// caughtUp opens a light client and waits until it follows its peer.
func caughtUp(t testing.TB, n *btcdtest.Node, dir string) *Source {
	t.Helper()
	s := open(t, Config{
		Dir: dir, Params: n.Params, Peers: []string{n.P2PAddr}, patience: 100 * time.Millisecond, retry: time.Second,
	})
	awaitTip(t, s, n)
	return s
}

// awaitTip waits, by hints alone, until the source has its peer's tip.
func awaitTip(t testing.TB, s *Source, n *btcdtest.Node) {
	t.Helper()
	hash, height := n.Tip(t)
	want := chain.BlockID{Height: height, Hash: hash}
	hint := make(chan struct{}, 1)
	defer s.Subscribe(func() {
		select {
		case hint <- struct{}{}:
		default:
		}
	})()
	timeout := time.After(time.Minute)
	for {
		tip, err := s.Tip(t.Context())
		if err == nil && tip == want {
			return
		}
		if err != nil && !errors.Is(err, chain.ErrUnreachable) {
			t.Fatal(err)
		}
		select {
		case <-hint:
		case <-timeout:
			t.Fatalf("the source is at %v, %v; its peer at %v", tip, err, want)
		}
	}
}

func TestConformance(t *testing.T) {
	n := btcdtest.Start(t)
	chaintest.Run(t, chaintest.Harness{
		Backend: n.Backend(),
		Open:    func(t testing.TB) chain.Source { return caughtUp(t, n, "") },
		OpenWrong: func(t testing.TB, ctx context.Context) error {
			s := open(t, Config{
				Params: &chaincfg.RegressionNetParams, Peers: []string{n.P2PAddr}, patience: time.Millisecond, retry: time.Millisecond,
			})
			for {
				if _, err := s.Tip(ctx); !errors.Is(err, chain.ErrUnreachable) {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
		Wait:    time.Minute, // the library waits several seconds after some failures
		Forgets: true,
		Blind:   true,
	})
}
