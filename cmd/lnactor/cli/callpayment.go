package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

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

// Commands about invoices and payments. Paying itself is in pay.go.
func paymentCommands() []*cobra.Command {
	var description string
	var expiry time.Duration
	return []*cobra.Command{
		newCall(call[*apiv1.CreateInvoiceResponse]{
			use: "invoice AMOUNT|any", short: "Make an invoice", args: wants("AMOUNT"),
			long:    "Makes a BOLT 11 invoice. An amount is in satoshis, or has a unit: 1500msat, 0.001btc.",
			example: "  lnactor invoice 21000 --description tea\n  lnactor invoice any --expiry 24h",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().StringVar(&description, "description", "", "what it is for; the payer sees it")
				cmd.Flags().DurationVar(&expiry, "expiry", time.Hour, "how long it can be paid")
			},
			make: func(ctx context.Context, n *node, args []string) (*apiv1.CreateInvoiceResponse, error) {
				r := &apiv1.CreateInvoiceRequest{Description: description}
				if args[0] != "any" {
					var err error
					if r.AmountMsat, err = parseMsat(args[0]); err != nil {
						return nil, err
					}
					if r.AmountMsat == 0 {
						return nil, &usageError{errNoAmount, "say 'any' if the payer may choose"}
					}
				}
				if expiry < time.Second || expiry > 10*365*24*time.Hour {
					return nil, &usageError{errExpiry, "such as 30m or 24h"}
				}
				r.ExpirySeconds = uint32(expiry / time.Second) //nolint:gosec // bounded above
				return n.CreateInvoice(ctx, r)
			},
			show: func(p *page, a *apiv1.CreateInvoiceResponse) { p.row(a.GetBolt11()) },
		}),
		newCall(call[*apiv1.DecodeInvoiceResponse]{
			use: "decode INVOICE", short: "Show what an invoice asks for", args: wants("INVOICE"), example: "  lnactor decode lnbcrt210u1...",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.DecodeInvoiceResponse, error) {
				return n.DecodeInvoice(ctx, &apiv1.DecodeInvoiceRequest{Bolt11: args[0]})
			},
			show: func(p *page, a *apiv1.DecodeInvoiceResponse) {
				amount := "the payer chooses"
				if a.GetAmountMsat() != 0 {
					amount = msat(a.GetAmountMsat())
				}
				p.row("payee", a.GetPayee())
				p.row("amount", amount)
				p.row("description", a.GetDescription())
				p.row("hash", a.GetPaymentHash())
				p.row("expires", time.Unix(a.GetExpiresAt(), 0).UTC().Format(time.RFC3339))
			},
		}),
		newCall(call[*apiv1.GetPaymentResponse]{
			use: "payment ID", short: "Show where a payment stands", args: wants("ID"),
			long: "Shows where a payment stands. ID is what 'lnactor pay --id' was given, or the 64 digits that\nit printed.", example: "  lnactor payment order-17",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.GetPaymentResponse, error) {
				return n.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: args[0]})
			},
			show: func(p *page, a *apiv1.GetPaymentResponse) { showPayment(p, a.GetPayment()) },
		}),
		paymentsCommand(),
		newCall(call[*apiv1.ClaimPaymentResponse]{
			use: "claim HASH", short: "Claim an incoming payment that waits", args: wants("HASH"),
			long: "Claims an incoming payment that waits for a decision, on a node with manual-claim.", example: "  lnactor claim 9c0f...",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.ClaimPaymentResponse, error) {
				return n.ClaimPayment(ctx, &apiv1.ClaimPaymentRequest{PaymentHash: args[0]})
			},
			show: func(p *page, _ *apiv1.ClaimPaymentResponse) { p.row("claimed") },
		}),
		newCall(call[*apiv1.RefusePaymentResponse]{
			use: "refuse HASH", short: "Refuse an incoming payment that waits", args: wants("HASH"),
			long: "Refuses an incoming payment that waits for a decision: the payer has the money back.", example: "  lnactor refuse 9c0f...",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.RefusePaymentResponse, error) {
				return n.RefusePayment(ctx, &apiv1.RefusePaymentRequest{PaymentHash: args[0]})
			},
			show: func(p *page, _ *apiv1.RefusePaymentResponse) { p.row("refused") },
		}),
	}
}

// paymentsCommand lists payments; below it are what can be done about one.
func paymentsCommand() *cobra.Command {
	var limit uint32
	cmd := newCall(call[*apiv1.ListPaymentsResponse]{
		use: "payments", short: "List payments of this node", long: "Lists payments of this node: those under way, then finished ones by id.",
		example: "  lnactor payments --limit 1000 --json",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().Uint32Var(&limit, "limit", 0, "how many finished ones (default 100)")
		},
		make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListPaymentsResponse, error) {
			return n.ListPayments(ctx, &apiv1.ListPaymentsRequest{Limit: limit})
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
		},
	})
	cmd.AddCommand(newCall(call[*apiv1.AbandonPaymentResponse]{
		use: "abandon ID", short: "Stop the retries of a payment", args: wants("ID"),
		long:    "Stops the retries of a payment: it fails when the parts that are under way have failed. One of\nthem may still arrive: wait for the outcome before you pay in another way.",
		example: "  lnactor payments abandon order-17",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.AbandonPaymentResponse, error) {
			return n.AbandonPayment(ctx, &apiv1.AbandonPaymentRequest{Id: args[0]})
		},
		show: func(p *page, _ *apiv1.AbandonPaymentResponse) { p.row("abandoned") },
	}))
	return cmd
}
