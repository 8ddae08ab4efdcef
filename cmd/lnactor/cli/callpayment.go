package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// statusWord is a payment's status for people.
func statusWord(s apiv1.PaymentStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "PAYMENT_STATUS_"))
}

func showPayment(p *page, a *apiv1.Payment) {
	p.row("payment", a.GetId())
	p.row("status", statusWord(a.GetStatus()))
	p.row("amount", msat(a.GetAmountMsat()))
	if a.GetFeeMsat() > 0 {
		p.row("fee", msat(a.GetFeeMsat()))
	}
	p.row("payee", a.GetPayee())
	p.row("hash", a.GetPaymentHash())
	if a.GetPreimage() != "" {
		p.row("proof", a.GetPreimage())
	}
	if a.GetReason() != "" {
		p.row("reason", a.GetReason())
	}
	if a.GetUnproven() {
		p.row("unproven", "its outcome was unknown, and it was abandoned: that it failed is your word")
	}
	if a.GetLost() {
		p.row("note", "claimed by the payee all the same, after a deep reorganisation")
	}
	if a.GetAbandoned() && a.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING {
		p.row("note", "abandoned: no new parts are made")
	}
	showParts(p, a.GetParts())
}

// showParts shows how a payment went, if that was not all in one go.
func showParts(p *page, parts []*apiv1.OutboundPart) {
	if len(parts) < 2 && (len(parts) == 0 || len(parts[0].GetHops()) < 2) {
		return
	}
	for _, a := range parts {
		state := strings.ToLower(strings.TrimPrefix(a.GetState().String(), "OUTBOUND_PART_STATE_"))
		way := make([]string, 0, len(a.GetHops()))
		for _, h := range a.GetHops() {
			way = append(way, short16(h.GetNode()))
		}
		p.row("part "+strconv.FormatUint(a.GetId(), 10), strings.TrimSpace(state+" "+msat(a.GetAmountMsat())+" by "+strings.Join(way, " > ")+" "+a.GetReason()))
	}
}

// Commands about payments of this node. Paying itself is in pay.go.
func paymentCommands() []*cobra.Command {
	return []*cobra.Command{
		newCall(call[*apiv1.GetPaymentResponse]{
			use: "payment ID", short: "Show where a payment stands", args: wants("ID"),
			long: "Shows where a payment stands. ID is what 'lnactor pay --id' was given, or the 64 digits that\nit printed.", example: "  lnactor payment order-17",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.GetPaymentResponse, error) {
				return n.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: args[0]})
			},
			show: func(p *page, a *apiv1.GetPaymentResponse) { showPayment(p, a.GetPayment()) },
		}),
		paymentsCommand(),
	}
}

// paymentsCommand lists payments; below it are what can be done about one.
func paymentsCommand() *cobra.Command {
	r := &apiv1.ListPaymentsRequest{}
	cmd := newCall(call[*apiv1.ListPaymentsResponse]{
		use: "payments", short: "List payments of this node", long: "Lists payments of this node: those under way, then finished ones by id.",
		example: "  lnactor payments --limit 1000 --json\n  lnactor payments --page 5e1c...",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().Uint32Var(&r.Limit, "limit", 0, "how many finished ones (default 100)")
			cmd.Flags().StringVar(&r.Page, "page", "", "go on where the list before ended, by the page that it named")
		},
		make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListPaymentsResponse, error) {
			return n.ListPayments(ctx, r)
		},
		show: func(p *page, a *apiv1.ListPaymentsResponse) {
			if len(a.GetPayments()) == 0 {
				p.none("payments")
				return
			}
			p.row("PAYMENT", "STATUS", "AMOUNT", "REASON")
			for _, q := range a.GetPayments() {
				p.row(q.GetId(), statusWord(q.GetStatus()), msat(q.GetAmountMsat()), q.GetReason())
			}
			if a.GetNextPage() != "" {
				p.row("more: lnactor payments --page " + a.GetNextPage())
			}
		},
	})
	cmd.AddCommand(newCall(call[*apiv1.AbandonPaymentResponse]{
		use: "abandon ID", short: "Stop the retries of a payment", args: wants("ID"),
		long:    "Stops the retries of a payment: it fails when the parts that are under way have failed. One of\nthem may still arrive: wait for the outcome before you pay in another way.\n\nA payment that is unknown, with a reason, may have been paid after the backup was made that this\nnode was restored from. To abandon it says that it was not: ask the payee before.",
		example: "  lnactor payments abandon order-17",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.AbandonPaymentResponse, error) {
			return n.AbandonPayment(ctx, &apiv1.AbandonPaymentRequest{Id: args[0]})
		},
		show: func(p *page, _ *apiv1.AbandonPaymentResponse) { p.row("abandoned") },
	}))
	return cmd
}
