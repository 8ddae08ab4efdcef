package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

func TestReceived(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	hash := strings.Repeat("ab", 32)
	page, err := client.ListReceived(t.Context(), &apiv1.ListReceivedRequest{})
	if err != nil || len(page.GetPayments()) != 1 || page.GetNextPage() != strings.Repeat("00", 40) {
		t.Fatal(page, err)
	}
	if p := page.GetPayments()[0]; p.GetState() != apiv1.ReceivedState_RECEIVED_STATE_HELD || p.GetAmountMsat() != 5 || p.GetParts() != 2 || p.GetAt() != 7 {
		t.Error(p)
	}
	if _, err := client.ListReceived(t.Context(), &apiv1.ListReceivedRequest{Limit: 3, Page: page.GetNextPage()}); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("received %080x 3", 0); !slices.Contains(s.fake.calls, want) {
		t.Errorf("%q, want %q", s.fake.calls, want)
	}
	got, err := client.GetReceived(t.Context(), &apiv1.GetReceivedRequest{PaymentHash: hash})
	if p := got.GetPayment(); err != nil || p.GetPaymentHash() != hash || p.GetState() != apiv1.ReceivedState_RECEIVED_STATE_CANCELLED || p.GetAt() != 0 {
		t.Error(got, err)
	}
	// By the invoice, which the fake signs with the node's key.
	if _, err := client.CancelInvoice(t.Context(), &apiv1.CancelInvoiceRequest{Bolt11: s.fake.invoice(t, 7)}); err != nil {
		t.Error(err)
	}
	for err, want := range map[error]string{
		lnactor.ErrInvoiceHeld: "invoice_held", lnactor.ErrInvoicePaid: "invoice_paid", lnactor.ErrNotFound: "not_found",
	} {
		s.fake.err = &lnactor.Error{Op: "cancel invoice", Err: err}
		_, got := client.CancelInvoice(t.Context(), &apiv1.CancelInvoiceRequest{PaymentHash: hash})
		if reason, hint := detail(got); reason != want || hint == "" || connect.CodeOf(got) == connect.CodeInternal {
			t.Errorf("%v: %v, reason %q, hint %q", err, got, reason, hint)
		}
	}
}

// Lists go on by the page that the answer before named, and by no other.
func TestPages(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	page, err := client.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{})
	if err != nil || page.GetNextPage() != strings.Repeat("00", 32) {
		t.Fatal(page, err)
	}
	if _, err := client.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Limit: 3, Page: page.GetNextPage()}); err != nil {
		t.Error(err)
	}
	if want := []string{"payments  100", fmt.Sprintf("payments %064x 3", 0)}; !slices.Equal(s.fake.calls, want) {
		t.Errorf("%q, want %q", s.fake.calls, want)
	}
	for _, bad := range []string{"0", "00", "more", strings.Repeat("00", 33), strings.Repeat("00", 40)} {
		if _, err := client.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Page: bad}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("page %q of payments: %v", bad, err)
		}
	}
	for _, bad := range []string{"0", "00", "more", strings.Repeat("00", 32), strings.Repeat("00", 41)} {
		if _, err := client.ListReceived(t.Context(), &apiv1.ListReceivedRequest{Page: bad}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("page %q of received: %v", bad, err)
		}
	}
}

// An invoice of somebody else is not looked up: its hash may be that of one of ours.
func TestReceivedOfOthers(t *testing.T) {
	s := serve(t)
	bolt11 := s.fake.invoice(t, 7)
	s.fake.self = s.fake.other
	for _, call := range []string{"GetReceived", "CancelInvoice"} {
		status, answer := post(t, s.tls(t, s.token(t, server.Full)), "https://"+s.address+"/lnactor.api.v1.Node/"+call, `{"bolt11":"`+bolt11+`"}`)
		if status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(answer), "of another node") {
			t.Errorf("%s: %d %v", call, status, answer)
		}
	}
	if len(s.fake.calls) > 0 {
		t.Error(s.fake.calls)
	}
}
