package lnactor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestReceived: what was paid is listed, the newest first and page by page; what was cancelled nobody can pay.
func TestReceived(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	if list, next, err := p.bob.Received(ctx, nil, 0); err != nil || len(list) > 0 || len(next) > 0 {
		t.Fatal(list, next, err)
	}
	var hashes []lnactor.Hash
	for _, sat := range []uint64{1000, 2000, 3000} {
		inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: sat * 1000})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, inv.Hash)
		if _, err := p.bob.GetReceived(ctx, inv.Hash); !errors.Is(err, lnactor.ErrNotFound) {
			t.Errorf("before it is paid: %v", err)
		}
		if sat == 3000 {
			if err := p.bob.CancelInvoice(ctx, inv.Hash); err != nil {
				t.Fatal(err)
			}
		}
		id, err := p.alice.Pay(ctx, inv.Bolt11)
		if err != nil {
			t.Fatal(err)
		}
		await(t, ctx, p.alice, func(ev lnactor.Event) bool {
			switch k := ev.Kind.(type) {
			case lnactor.PaymentSent:
				return k.PaymentID == id && sat != 3000
			case lnactor.PaymentFailed:
				return k.PaymentID == id && sat == 3000
			}
			return false
		})
	}
	if err := p.bob.CancelInvoice(ctx, hashes[0]); !errors.Is(err, lnactor.ErrInvoicePaid) {
		t.Errorf("cancelled although it was paid: %v", err)
	}
	want := []lnactor.Received{
		{Hash: hashes[2], State: lnactor.InvoiceCancelled},
		{Hash: hashes[1], State: lnactor.ReceivedClaimed, AmountMsat: 2_000_000, Parts: 1},
		{Hash: hashes[0], State: lnactor.ReceivedClaimed, AmountMsat: 1_000_000, Parts: 1},
	}
	var page []byte
	for i := range want {
		list, next, err := p.bob.Received(ctx, page, 1)
		if err != nil || len(list) != 1 || (len(next) > 0) != (i < 2) {
			t.Fatal(i, list, next, err)
		}
		one, err := p.bob.GetReceived(ctx, want[i].Hash)
		if err != nil || one != list[0] || one.At.IsZero() {
			t.Errorf("%+v by itself, %+v in the list, %v", one, list[0], err)
		}
		if one.At = (time.Time{}); one != want[i] {
			t.Errorf("%d: %+v, want %+v", i, one, want[i])
		}
		page = next
	}
}
