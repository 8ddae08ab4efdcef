package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func parseNumber(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, &usageError{fmt.Errorf("%q is not a number", text), "give a whole number without a sign"}
	}
	return uint32(n), nil
}

// Commands about the wallet.
func walletCommands() []*cobra.Command {
	var feePerKw, target uint32
	var useReserve bool
	return []*cobra.Command{
		newCall(call[*apiv1.NewAddressResponse]{
			use: "address", short: "Make an address of the wallet", long: "Makes an address of the wallet that was never given before.",
			example: "  lnactor address",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.NewAddressResponse, error) {
				return n.NewAddress(ctx, &apiv1.NewAddressRequest{})
			},
			show: func(p *page, a *apiv1.NewAddressResponse) { p.row(a.GetAddress()) },
		}),
		newCall(call[*apiv1.ListCoinsResponse]{
			use: "coins", short: "List the wallet's coins, the largest first", example: "  lnactor coins",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListCoinsResponse, error) {
				return n.ListCoins(ctx, &apiv1.ListCoinsRequest{})
			},
			show: func(p *page, a *apiv1.ListCoinsResponse) {
				if len(a.GetCoins()) == 0 {
					p.none("coins")
					return
				}
				p.row("AMOUNT", "HEIGHT", "STATE", "OUTPOINT")
				for _, c := range a.GetCoins() {
					state := "confirmed"
					switch {
					case c.GetSpentBy() != "":
						state = "spent, unconfirmed"
					case c.GetReserved():
						state = "reserved"
					case c.GetImmature():
						state = "immature"
					case c.GetHeight() == 0:
						state = "unconfirmed"
					}
					p.row(sat(c.GetAmountSat()), c.GetHeight(), state, c.GetOutpoint())
				}
			},
		}),
		newCall(call[*apiv1.WalletBalanceResponse]{
			use: "wallet", short: "Show what the wallet holds on chain", example: "  lnactor wallet",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.WalletBalanceResponse, error) {
				return n.WalletBalance(ctx, &apiv1.WalletBalanceRequest{})
			},
			show: func(p *page, a *apiv1.WalletBalanceResponse) {
				p.row("confirmed", sat(a.GetConfirmedSat()))
				p.row("unconfirmed", sat(a.GetUnconfirmedSat()))
				p.row("reserved", sat(a.GetReservedSat()))
				p.row("immature", sat(a.GetImmatureSat()))
			},
		}),
		newCall(call[*apiv1.SendResponse]{
			use: "send ADDRESS AMOUNT|all", short: "Pay to an address on chain", args: wants("ADDRESS", "AMOUNT"),
			long:    "Pays to an address on chain. If the call ends without an answer, with exit code 76, look at\n'lnactor coins' before you repeat it.",
			look:    "see 'lnactor coins' before you repeat it: a coin that is spent and unconfirmed says that it was sent",
			example: "  lnactor send bcrt1q... 100000\n  lnactor send bcrt1q... 0.01btc --target 2\n  lnactor send bcrt1q... all",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().Uint32Var(&feePerKw, "fee-per-kw", 0, "satoshis per 1000 weight units (default: an estimate)")
				cmd.Flags().Uint32Var(&target, "target", 0, "blocks within which it should confirm (default 6)")
				cmd.Flags().BoolVar(&useReserve, "use-reserve", false, "spend also what is kept for the fees of closing channels")
			},
			make: func(ctx context.Context, n *node, args []string) (*apiv1.SendResponse, error) {
				r := &apiv1.SendRequest{Address: args[0], FeePerKw: feePerKw, TargetBlocks: target, UseReserve: useReserve}
				if r.All = args[1] == "all"; !r.All {
					var err error
					if r.AmountSat, err = parseSat(args[1]); err != nil {
						return nil, err
					}
				}
				return n.Send(ctx, r)
			},
			show: func(p *page, a *apiv1.SendResponse) {
				p.row("transaction", a.GetTxid())
				p.row("amount", sat(a.GetAmountSat()))
				p.row("fee", sat(a.GetFeeSat()))
				if !a.GetAccepted() {
					p.row("note", "the chain source could not be asked yet; it is offered again with every block")
				}
			},
		}),
		newCall(call[*apiv1.BumpFeeResponse]{
			use: "bump TXID", short: "Raise the fee of an unconfirmed transaction of the wallet", args: wants("TXID"),
			long: "Replaces an unconfirmed payment ('lnactor send'), or the sweep of a closed channel's outputs, by one that\npays the same with a higher fee. " +
				"'lnactor coins' shows unconfirmed transactions. Closing transactions and\nclaims of channels raise their own fees as their deadlines come near.",
			look:    "see 'lnactor coins' before you repeat it",
			example: "  lnactor bump 4a5e...\n  lnactor bump 4a5e... --fee-per-kw 5000",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().Uint32Var(&feePerKw, "fee-per-kw", 0, "satoshis per 1000 weight units (default: an estimate)")
				cmd.Flags().Uint32Var(&target, "target", 0, "blocks within which it should confirm (default 2)")
				cmd.Flags().BoolVar(&useReserve, "use-reserve", false, "spend also what is kept for the fees of closing channels")
			},
			make: func(ctx context.Context, n *node, args []string) (*apiv1.BumpFeeResponse, error) {
				return n.BumpFee(ctx, &apiv1.BumpFeeRequest{Txid: args[0], FeePerKw: feePerKw, TargetBlocks: target, UseReserve: useReserve})
			},
			show: func(p *page, a *apiv1.BumpFeeResponse) {
				p.row("transaction", a.GetTxid())
				p.row("amount", sat(a.GetAmountSat()))
				p.row("fee", sat(a.GetFeeSat()))
				if !a.GetAccepted() {
					p.row("note", "the chain source has not answered yet; it is offered again with every block")
				}
			},
		}),
	}
}
