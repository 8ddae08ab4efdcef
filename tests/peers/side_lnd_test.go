package peers

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/lnactor/lnactor"
)

// sideLnd is lnd as the benchmark sees it.
type sideLnd struct{ *lndNode }

func (l sideLnd) process() *process { return l.life }

func (l sideLnd) under(wrap []string) { l.wrap = wrap }

func (l sideLnd) start(t testing.TB, ctx context.Context) {
	t.Helper()
	l.lndNode.start(t, ctx)
}

func (l sideLnd) peer() (lnactor.NodeID, string) { return l.ID, l.Addr }

func (l sideLnd) address(t testing.TB, ctx context.Context) string {
	t.Helper()
	return l.newAddress(t, ctx)
}

func (l sideLnd) coins(ctx context.Context) int64 {
	var w lndWallet
	if l.get(ctx, "/v1/balance/blockchain", &w) != nil {
		return 0
	}
	return w.Confirmed
}

func (l sideLnd) openTo(ctx context.Context, id lnactor.NodeID, sat int64) error {
	return l.openChannel(ctx, id, sat, 0, nil)
}

func (l sideLnd) usable(ctx context.Context) bool {
	list, err := l.channels(ctx)
	return err == nil && len(list) == 1 && list[0].Active && l.knows(ctx, list[0])
}

func (l sideLnd) bill(ctx context.Context, msat uint64) (bill, error) {
	inv, err := l.invoice(ctx, msat, nil)
	return bill{bolt11: inv.Bolt11, hash: hex.EncodeToString(inv.Hash)}, err
}

func (l sideLnd) settle(ctx context.Context, b bill) error {
	p, err := l.pay(ctx, b.bolt11, nil)
	if err == nil && p.Status != "SUCCEEDED" {
		err = fmt.Errorf("lnd: the payment failed: %s", p.Failure)
	}
	return err
}

func (l sideLnd) fate(ctx context.Context, b bill) (fate, error) {
	all, err := l.payments(ctx)
	p, known := all[b.hash]
	switch {
	case err != nil || !known:
		return unknown, err
	case p.Status == "SUCCEEDED":
		return sent, nil
	case p.Status == "FAILED":
		return failed, nil
	}
	return pending, nil
}

func (l sideLnd) got(ctx context.Context) (map[string]bool, error) {
	var a struct {
		Invoices []lndInvoice `json:"invoices"`
	}
	if err := l.get(ctx, "/v1/invoices?num_max_invoices=100000", &a); err != nil {
		return nil, err
	}
	paid := map[string]bool{}
	for _, inv := range a.Invoices {
		if inv.State == "SETTLED" {
			paid[hex.EncodeToString(inv.Hash)] = true
		}
	}
	return paid, nil
}
