package diagnose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/internal/facts"
)

type fake struct {
	channels []lnactor.Channel
	peers    []lnactor.Peer
	tip      lnactor.ChainTip
	err      error
}

func (f *fake) Channels(context.Context) ([]lnactor.Channel, error) { return f.channels, f.err }

func (f *fake) Peers(context.Context) ([]lnactor.Peer, error)                { return f.peers, f.err }
func (f *fake) ChainTip(context.Context) (lnactor.ChainTip, error)           { return f.tip, f.err }
func (f *fake) FundsStatus(context.Context) (s lnactor.FundsStatus, _ error) { return s, f.err }

// Each check: good at first, then with one thing wrong.
func TestChecks(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	peer := lnactor.NodeID{2, 1}
	for _, c := range []struct {
		check string
		want  Result
		wrong func(t *testing.T, f *fake, dir string)
	}{
		{"", Good, func(*testing.T, *fake, string) {}},
		{"files", Critical, func(t *testing.T, _ *fake, dir string) {
			if err := os.Chmod(filepath.Join(dir, "seed"), 0o640); err != nil {
				t.Fatal(err)
			}
		}},
		{"files", Critical, func(t *testing.T, _ *fake, dir string) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"events", Critical, func(t *testing.T, _ *fake, dir string) {
			path := filepath.Join(dir, feed.Dir, "00000000000000000001.jsonl")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, bytes.Replace(text, []byte("payment-failed/1"), []byte("payment-failed/7"), 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"events", Critical, func(t *testing.T, _ *fake, dir string) {
			if err := os.WriteFile(filepath.Join(dir, feed.Dir, feed.ConsumersFile), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"events", Unknown, func(t *testing.T, _ *fake, dir string) {
			if err := os.Remove(filepath.Join(dir, feed.Dir, "00000000000000000001.jsonl")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, feed.Dir)); err != nil {
				t.Fatal(err)
			}
		}},
		{"clock", Critical, func(_ *testing.T, f *fake, _ string) { f.tip.Time = now.Add(5 * time.Hour) }},
		{"clock", Warning, func(_ *testing.T, f *fake, _ string) { f.tip.Time = now.Add(-5 * time.Hour) }},
		{"peers", Warning, func(_ *testing.T, f *fake, _ string) { f.peers[0].Connected = false }},
		{"peers", Warning, func(_ *testing.T, f *fake, _ string) { f.peers = nil }},
		{"htlcs", Warning, func(_ *testing.T, f *fake, _ string) { f.channels[0].Deadlines[1] = 2 }},
		{"restored", Critical, func(_ *testing.T, f *fake, _ string) { f.channels[0].Unverified = true }},
		{"channels", Unknown, func(_ *testing.T, f *fake, _ string) { f.err = errors.New("no answer") }},
	} {
		t.Run(c.check, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"seed", "store.db", "api-cert.pem"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			events, err := feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir)})
			if err != nil {
				t.Fatal(err)
			}
			var list []lnactor.Event
			for i := range 3 {
				list = append(list, lnactor.Event{ID: fmt.Sprintf("payment-failed/%d", i), Kind: lnactor.PaymentFailed{}})
			}
			if _, err := events.Append(list); err != nil {
				t.Fatal(err)
			}
			if err := events.Close(); err != nil {
				t.Fatal(err)
			}
			f := &fake{
				channels: []lnactor.Channel{{Peer: peer, Phase: lnactor.PhaseOpen}, {Phase: lnactor.PhaseClosed}},
				peers:    []lnactor.Peer{{Peer: peer, Connected: true}}, tip: lnactor.ChainTip{Height: 7, Time: now.Add(-10 * time.Minute)},
			}
			c.wrong(t, f, dir)
			found := c.check == ""
			for _, x := range Run(t.Context(), Config{Node: f, Dir: dir, Public: true, Now: func() time.Time { return now }}) {
				switch {
				case x.Name == c.check:
					found = true
					if x.Result != c.want || x.Remedy == "" && x.Result != Unknown || x.Finding == "" {
						t.Errorf("%+v", x)
					}
				case x.Result != Good && f.err == nil:
					t.Errorf("%s is %s: %s", x.Name, x.Result, x.Finding)
				}
			}
			if !found {
				t.Errorf("no check %s", c.check)
			}
		})
	}
	// A chain whose blocks come at will says nothing about the clock.
	for _, x := range Run(t.Context(), Config{Node: &fake{}, Now: func() time.Time { return now }}) {
		if x.Name == "clock" && (x.Result != Good || !strings.Contains(x.Finding, "at will")) {
			t.Errorf("%+v", x)
		}
	}
}

// TestRestored: what to do about a channel that is proven to be old is not what to do about one that is not verified yet.
func TestRestored(t *testing.T) {
	spent := lnactor.Channel{Channel: lnactor.ChannelID{3}, Phase: lnactor.PhaseBehind, Unverified: true, Spent: &facts.FundingSpent{}}
	behind := lnactor.Channel{Channel: lnactor.ChannelID{2}, Phase: lnactor.PhaseBehind, Unverified: true}
	waiting := lnactor.Channel{Channel: lnactor.ChannelID{1}, Phase: lnactor.PhaseOpen, Unverified: true}
	for _, c := range []struct {
		channels      []lnactor.Channel
		want          Result
		connect, asks bool
	}{
		{[]lnactor.Channel{spent}, Good, false, false},
		{[]lnactor.Channel{behind, spent}, Critical, false, true},
		{[]lnactor.Channel{waiting}, Critical, true, false},
		{[]lnactor.Channel{behind, waiting}, Critical, true, true},
	} {
		got := restored(c.channels)
		if got.Result != c.want || strings.Contains(got.Remedy, "connect to the peers") != c.connect || strings.Contains(got.Remedy, "ask the peers to close") != c.asks {
			t.Errorf("%d channels: %+v", len(c.channels), got)
		}
	}
}
