package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Commands about invoices and incoming payments.
func invoiceCommands() []*cobra.Command {
	return []*cobra.Command{invoiceCommand(), invoicesCommand(), decodeCommand(), claimCommand(), newCall(call[*apiv1.RefusePaymentResponse]{
		use: "refuse HASH", short: "Refuse an incoming payment that waits", args: wants("HASH"),
		long: "Refuses an incoming payment that waits for a decision: the payer has the money back.", example: "  lnactor refuse 9c0f...",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.RefusePaymentResponse, error) {
			return n.RefusePayment(ctx, &apiv1.RefusePaymentRequest{PaymentHash: args[0]})
		},
		show: func(p *page, _ *apiv1.RefusePaymentResponse) { p.row("refused") },
	})}
}

func invoiceCommand() *cobra.Command {
	r := &apiv1.CreateInvoiceRequest{}
	var expiry time.Duration
	cmd := newCall(call[*apiv1.CreateInvoiceResponse]{
		use: "invoice AMOUNT|any", short: "Make an invoice", args: wants("AMOUNT"),
		long: "Makes a BOLT 11 invoice. An amount is in satoshis, or has a unit: 1500msat, 0.001btc.\n" +
			"With --hold a payment waits for 'lnactor claim' or 'lnactor refuse'. With --hash it is for a\n" +
			"preimage that somebody else has, and that 'lnactor claim --preimage' has to bring.",
		example: "  lnactor invoice 21000 --description tea\n  lnactor invoice any --expiry 24h\n  lnactor invoice 5000 --hold --private",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&r.Description, "description", "", "what it is for; the payer sees it")
			f.StringVar(&r.DescriptionHash, "description-hash", "", "SHA-256 of a longer description, in hexadecimal")
			f.DurationVar(&expiry, "expiry", time.Hour, "how long it can be paid")
			f.Uint32Var(&r.MinFinalCltvDelta, "min-final-cltv", 0, "blocks that a payment must have left when it comes (default 42)")
			f.BoolVar(&r.Hold, "hold", false, "let a payment wait for a decision")
			f.StringVar(&r.PaymentHash, "hash", "", "payment hash of somebody else's preimage; implies --hold")
			f.BoolVar(&r.Private, "private", false, "name channels that are not announced, although there are some that are")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.CreateInvoiceResponse, error) {
			if r.AmountMsat = 0; args[0] != "any" {
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
			a, err := n.CreateInvoice(ctx, r)
			if a.GetUnreachable() {
				_, _ = fmt.Fprintln(n.cmd.ErrOrStderr(), "warning: only a peer can pay this invoice: it names no channel, and no channel of this node is announced.\n"+
					"A channel can be named when its peer is connected and has something to send over it; see 'lnactor channels'.")
			}
			return a, err
		},
		show: func(p *page, a *apiv1.CreateInvoiceResponse) { p.row(a.GetBolt11()) },
	})
	cmd.AddCommand(oneInvoiceCommands()...)
	return cmd
}

func decodeCommand() *cobra.Command {
	return newCall(call[*apiv1.DecodeInvoiceResponse]{
		use: "decode INVOICE", short: "Show what an invoice asks for", args: wants("INVOICE"), example: "  lnactor decode lnbcrt210u1...",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.DecodeInvoiceResponse, error) {
			return n.DecodeInvoice(ctx, &apiv1.DecodeInvoiceRequest{Bolt11: args[0]})
		},
		show: func(p *page, a *apiv1.DecodeInvoiceResponse) {
			amount, parts := "the payer chooses", "no"
			if a.GetAmountMsat() != 0 {
				amount = msat(a.GetAmountMsat())
			}
			if a.GetMpp() {
				parts = "yes"
			}
			p.row("payee", a.GetPayee())
			p.row("amount", amount)
			if a.GetDescriptionHash() != "" {
				p.row("description hash", a.GetDescriptionHash())
			} else {
				p.row("description", a.GetDescription())
			}
			p.row("hash", a.GetPaymentHash())
			p.row("expires", time.Unix(a.GetExpiresAt(), 0).UTC().Format(time.RFC3339))
			p.row("in parts", parts)
			p.row("final cltv", fmt.Sprintf("%d blocks", a.GetMinFinalCltvDelta()))
			for _, hint := range a.GetRouteHints() {
				for _, h := range hint.GetHops() {
					p.row("by way of", fmt.Sprintf("%s (%d msat + %d millionths, %d blocks)", h.GetNode(), h.GetFeeBaseMsat(), h.GetFeeMillionths(), h.GetCltvDelta()))
				}
			}
		},
	})
}

func claimCommand() *cobra.Command {
	var preimage string
	return newCall(call[*apiv1.ClaimPaymentResponse]{
		use: "claim HASH", short: "Claim an incoming payment that waits", args: wants("HASH"),
		long: "Claims an incoming payment that waits for a decision, of a hold invoice or on a node with\n" +
			"manual-claim. If the invoice was for a given hash, --preimage has to bring the preimage.",
		example: "  lnactor claim 9c0f...\n  lnactor claim 9c0f... --preimage 77b2...",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&preimage, "preimage", "", "preimage of an invoice that was made with --hash")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.ClaimPaymentResponse, error) {
			return n.ClaimPayment(ctx, &apiv1.ClaimPaymentRequest{PaymentHash: args[0], Preimage: preimage})
		},
		show: func(p *page, _ *apiv1.ClaimPaymentResponse) { p.row("claimed") },
	})
}
