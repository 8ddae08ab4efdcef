package lnactor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// crashOn makes actors of a kind crash over a kind of message, always.
type crashOn func(actor string, msg any) bool

func (c crashOn) Before(actor string, msg any) {
	if c(actor, msg) {
		panic("injected")
	}
}

func (crashOn) After(string, any) {}

// TestHopelessChannelDoesNotStopTheNode: a channel or a monitor that crashes whenever it starts is quarantined. The node starts without it and says so.
func TestHopelessChannelDoesNotStopTheNode(t *testing.T) {
	for name, faults := range map[string]crashOn{
		"channel": func(actor string, msg any) bool {
			_, loaded := msg.(messages.ChannelLoaded)
			return loaded && strings.Contains(actor, "/channel/")
		},
		"monitor": func(actor string, msg any) bool {
			_, loaded := msg.(messages.Loaded)
			return loaded && strings.Contains(actor, "/monitor/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			dir := t.TempDir()
			p := newPair(t, ctx, dir, t.TempDir())
			if err := p.alice.Close(); err != nil {
				t.Fatal(err)
			}
			alice, err := lnactor.Open(ctx, lnactor.Config{
				Dir: dir, Chain: p.chain.Source(), Params: p.chain.Params(), Faults: faults,
				Restart: supervisor.Backoff{Min: time.Millisecond, Max: time.Millisecond},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer alice.Close()
			waitFor(t, ctx, "the quarantine", func() bool {
				list, err := alice.Quarantined(ctx)
				return err == nil && slices.Contains(list, p.channel)
			})
			inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Pay(ctx, inv.Bolt11); !errors.Is(err, lnactor.ErrNoChannel) {
				t.Fatalf("paid over it: %v", err)
			}
		})
	}
}
