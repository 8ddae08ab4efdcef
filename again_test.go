package lnactor_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
)

// crashOnce crashes the manager over the next answer of the persister, once it is armed. Nobody waits for that message, so nobody is told.
type crashOnce struct{ armed atomic.Bool }

func (c *crashOnce) Before(actor string, msg any) {
	if _, ok := msg.(messages.GotRows); ok && strings.HasSuffix(actor, "/manager") && c.armed.CompareAndSwap(true, false) {
		panic("test")
	}
}

func (c *crashOnce) After(string, any) {}

// A question whose answer is lost with the actor that looked it up is asked again.
func TestLostAnswersAreAskedForAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var faults crashOnce
	n, err := lnactor.Open(ctx, lnactor.Config{Faults: &faults})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	faults.armed.Store(true)
	if _, err := n.GetPayment(ctx, lnactor.PaymentID{1}); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}
	if faults.armed.Load() {
		t.Fatal("nothing crashed")
	}
}
