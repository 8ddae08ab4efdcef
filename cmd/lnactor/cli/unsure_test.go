package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// answering is a node that answers Pay in one way.
type answering struct {
	api.NodeClient
	p   *apiv1.Payment
	err error
}

func (a answering) Pay(context.Context, *apiv1.PayRequest) (*apiv1.PayResponse, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &apiv1.PayResponse{Payment: a.p}, nil
}

// GetPayment has no answer any more.
func (a answering) GetPayment(context.Context, *apiv1.GetPaymentRequest) (*apiv1.GetPaymentResponse, error) {
	return nil, connect.NewError(connect.CodeUnavailable, io.EOF)
}

// wire is an error that a node answers with.
func wire(code connect.Code, reason string) error {
	e := connect.NewWireError(code, errors.New("it is so"))
	if d, err := connect.NewErrorDetail(&apiv1.ErrorDetail{Reason: reason, Hint: "that of the node"}); err == nil {
		e.AddDetail(d)
	}
	return e
}

func newNode(t *testing.T, c api.NodeClient) *node {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	return &node{NodeClient: c, flags: &clientFlags{timeout: time.Minute}, cmd: cmd, where: "here"}
}

func payment(s apiv1.PaymentStatus) *apiv1.Payment { return &apiv1.Payment{Id: "0102", Status: s} }

// TestPayExits: 'lnactor pay --help' says that exit code 1 means that the money is still here. Whatever else may have happened has another code, and
// names the payment's id: only with it the call can be repeated without paying twice.
func TestPayExits(t *testing.T) {
	local := func(code connect.Code, err error) error { return connect.NewError(code, err) }
	for _, test := range []struct {
		name   string
		node   answering
		want   int
		unsure bool
	}{
		{"sent", answering{p: payment(apiv1.PaymentStatus_PAYMENT_STATUS_SENT)}, ExitOK, false},
		{"failed", answering{p: payment(apiv1.PaymentStatus_PAYMENT_STATUS_FAILED)}, ExitFault, false},
		{"unknown", answering{p: payment(apiv1.PaymentStatus_PAYMENT_STATUS_UNKNOWN)}, ExitUnsure, true},
		{"the node is away for long", answering{p: payment(apiv1.PaymentStatus_PAYMENT_STATUS_PENDING)}, ExitUnsure, true},

		{"refused", answering{err: wire(connect.CodeFailedPrecondition, "no_route")}, ExitFault, false},
		{"busy", answering{err: wire(connect.CodeResourceExhausted, "busy")}, ExitFault, false},
		{"abandoned before it began", answering{err: wire(connect.CodeAborted, "abandoned")}, ExitFault, false},
		{"bad invoice", answering{err: wire(connect.CodeInvalidArgument, "invoice_malformed")}, ExitUsage, false},
		{"not allowed", answering{err: wire(connect.CodePermissionDenied, "")}, ExitNotAllowed, false},
		{"nobody there", answering{err: local(connect.CodeUnavailable, &net.OpError{Op: "dial", Err: errors.New("no such file")})}, ExitUnreachable, false},

		{"the id is used", answering{err: wire(connect.CodeAlreadyExists, "payment_id_used")}, ExitUnsure, true},
		{"begun and not found", answering{err: wire(connect.CodeNotFound, "not_found")}, ExitUnsure, true},
		{"starting", answering{err: wire(connect.CodeUnavailable, "starting")}, ExitUnsure, true},
		{"stopping", answering{err: wire(connect.CodeUnavailable, "stopping")}, ExitUnsure, true},
		{"a crash of the manager", answering{err: wire(connect.CodeInternal, "internal")}, ExitUnsure, true},
		{"no answer in time", answering{err: wire(connect.CodeDeadlineExceeded, "deadline")}, ExitUnsure, true},
		{"no answer in our time", answering{err: local(connect.CodeDeadlineExceeded, context.DeadlineExceeded)}, ExitUnsure, true},
		{"killed", answering{err: local(connect.CodeUnavailable, io.ErrUnexpectedEOF)}, ExitUnsure, true},
		{"killed, as the socket tells", answering{err: local(connect.CodeUnavailable, &net.OpError{Op: "read", Err: errors.New("reset")})}, ExitUnsure, true},
		{"an answer that can't be read", answering{err: local(connect.CodeResourceExhausted, errors.New("too large"))}, ExitUnsure, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := newNode(t, test.node).pay(&apiv1.PayRequest{Id: "0102"}, true, io.Discard)
				var text, asJSON strings.Builder
				if got := exitCode(err); got != test.want {
					t.Errorf("exit code %d, want %d: %v", got, test.want, err)
				}
				if err == nil || !test.unsure {
					return
				}
				complain(&text, &cobra.Command{}, err)
				if !strings.Contains(text.String(), "'lnactor payment 0102'") {
					t.Errorf("the id is not named: %s", text.String())
				}
				if !complainJSON(&asJSON, err) || !strings.Contains(asJSON.String(), `"reason":"unsure"`) || !strings.Contains(asJSON.String(), `"payment":"0102"`) {
					t.Errorf("programs are not told: %s", asJSON.String())
				}
			})
		})
	}
}

// TestInterruptedPay: nor does an interrupt of the first call say that there is a payment.
func TestInterruptedPay(t *testing.T) {
	n := newNode(t, answering{err: connect.NewError(connect.CodeCanceled, context.Canceled)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.cmd.SetContext(ctx)
	_, err := n.pay(&apiv1.PayRequest{Id: "0102"}, true, io.Discard)
	if exitCode(err) != ExitInterrupted || !strings.Contains(err.Error(), "0102 may go on") {
		t.Errorf("%d, %v", exitCode(err), err)
	}
}

// TestUnlessRefused: a call that spends without an id says what to look at when nobody knows whether it did.
func TestUnlessRefused(t *testing.T) {
	n := newNode(t, answering{})
	for _, test := range []struct {
		err  error
		want int
	}{
		{wire(connect.CodeFailedPrecondition, "insufficient_funds"), ExitFault},
		{wire(connect.CodeNotFound, "not_pending"), ExitFault},
		{wire(connect.CodeUnavailable, "not_synced"), ExitUnreachable},
		{wire(connect.CodeUnavailable, "store_failed"), ExitUnsure},
		{wire(connect.CodeDeadlineExceeded, "deadline"), ExitUnsure},
		{connect.NewError(connect.CodeUnavailable, io.ErrUnexpectedEOF), ExitUnsure},
	} {
		err := unlessRefused(n.explain(test.err), "see the coins")
		var text strings.Builder
		complain(&text, &cobra.Command{}, err)
		if got := exitCode(err); got != test.want || strings.Contains(text.String(), "see the coins") != (got == ExitUnsure) {
			t.Errorf("%v: exit code %d, want %d: %s", test.err, got, test.want, text.String())
		}
	}
}
