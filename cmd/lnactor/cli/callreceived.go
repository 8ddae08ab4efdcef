package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func receivedWord(s apiv1.ReceivedState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "RECEIVED_STATE_"))
}

func receivedAt(r *apiv1.ReceivedPayment) string {
	if r.GetAt() == 0 {
		return "-"
	}
	return time.Unix(r.GetAt(), 0).UTC().Format(time.RFC3339)
}

// receivedDeadline is the height at which a held payment fails.
func receivedDeadline(r *apiv1.ReceivedPayment) string {
	if r.GetDeadline() == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(r.GetDeadline()), 10)
}

// invoicesCommand lists what was received.
func invoicesCommand() *cobra.Command {
	r := &apiv1.ListReceivedRequest{}
	return newCall(call[*apiv1.ListReceivedResponse]{
		use: "invoices", short: "List paid, held and cancelled invoices, the newest first",
		long: "Lists payments to this node and cancelled invoices, the newest first. Nothing is recorded of an\n" +
			"invoice until it is paid or cancelled, so one that nobody paid is not listed.",
		example: "  lnactor invoices\n  lnactor invoices --limit 1000 --json\n  lnactor invoices --page 18a2...",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().Uint32Var(&r.Limit, "limit", 0, "how many (default 100)")
			cmd.Flags().StringVar(&r.Page, "page", "", "go on where the list before ended, by the page that it named")
		},
		make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListReceivedResponse, error) {
			return n.ListReceived(ctx, r)
		},
		show: func(p *page, a *apiv1.ListReceivedResponse) {
			if len(a.GetPayments()) == 0 {
				p.none("paid invoices")
				return
			}
			p.row("HASH", "STATE", "AMOUNT", "PARTS", "WHEN", "DEADLINE")
			for _, q := range a.GetPayments() {
				p.row(q.GetPaymentHash(), receivedWord(q.GetState()), msat(q.GetAmountMsat()), q.GetParts(), receivedAt(q), receivedDeadline(q))
			}
			if a.GetNextPage() != "" {
				p.row("more: lnactor invoices --page " + a.GetNextPage())
			}
		},
	})
}

// hashOrInvoice tells which of both an argument is.
func hashOrInvoice(text string) (hash, bolt11 string) {
	lower := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(lower, "ln") || strings.HasPrefix(lower, "lightning:") {
		return "", text
	}
	return text, ""
}

// Commands about one invoice, below the one that makes it.
func oneInvoiceCommands() []*cobra.Command {
	return []*cobra.Command{
		newCall(call[*apiv1.GetReceivedResponse]{
			use: "show HASH|INVOICE", short: "Show whether an invoice was paid", args: wants("HASH"),
			long:    "Shows what became of an invoice of this node: held, claimed or cancelled. 'not found' says that\nnobody has paid all of it yet.",
			example: "  lnactor invoice show 9c0f...\n  lnactor invoice show lnbcrt210u1... --json",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.GetReceivedResponse, error) {
				hash, bolt11 := hashOrInvoice(args[0])
				return n.GetReceived(ctx, &apiv1.GetReceivedRequest{PaymentHash: hash, Bolt11: bolt11})
			},
			show: func(p *page, a *apiv1.GetReceivedResponse) {
				r := a.GetPayment()
				p.row("hash", r.GetPaymentHash())
				p.row("state", receivedWord(r.GetState()))
				if r.GetState() != apiv1.ReceivedState_RECEIVED_STATE_CANCELLED {
					p.row("amount", msat(r.GetAmountMsat()))
					p.row("parts", r.GetParts())
				}
				if r.GetDeadline() != 0 {
					p.row("deadline", fmt.Sprintf("fails by itself at height %d", r.GetDeadline()))
				}
				p.row("when", receivedAt(r))
			},
		}),
		newCall(call[*apiv1.CancelInvoiceResponse]{
			use: "cancel HASH|INVOICE", short: "Cancel an invoice that nobody has paid", args: wants("HASH"),
			long: "Refuses all payments of an invoice from now on, which is durable when the command returns. It\n" +
				"may be repeated. A payment that waits for a decision is refused by 'lnactor refuse'; what is\nclaimed stays so.",
			example: "  lnactor invoice cancel 9c0f...\n  lnactor invoice cancel lnbcrt210u1...",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.CancelInvoiceResponse, error) {
				hash, bolt11 := hashOrInvoice(args[0])
				return n.CancelInvoice(ctx, &apiv1.CancelInvoiceRequest{PaymentHash: hash, Bolt11: bolt11})
			},
			show: func(p *page, _ *apiv1.CancelInvoiceResponse) { p.row("cancelled") },
		}),
	}
}
