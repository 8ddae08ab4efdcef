package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// statusCommand shows the registry of conditions.
func statusCommand() *cobra.Command {
	cmd := newCall(call[*apiv1.GetHealthResponse]{
		use: "status", short: "Show what an operator should look at",
		long: `Shows what is not as it should be: each condition with its cause, since when it is
there, and what to do about it, the worst first; then where chain, fees and the
reserve stand. docs/operations.md has the table of all conditions.

The exit code is 0 also when there are conditions; see .ok, .alive and .ready in
the JSON.`,
		example: "  lnactor status\n  lnactor status --json | jq -e .ready\n  lnactor status --json | jq -r '.conditions[] | select(.severity==\"critical\").id'",
		make: func(ctx context.Context, n *node, _ []string) (*apiv1.GetHealthResponse, error) {
			return n.GetHealth(ctx, &apiv1.GetHealthRequest{})
		},
		show: showStatus,
	})
	cmd.Aliases = []string{"health"}
	cmd.AddCommand(newCall(call[*apiv1.AckAlarmResponse]{
		use: "ack CHANNEL_ID", short: "Say that money at risk was dealt with", args: wants("CHANNEL_ID"),
		long: `Says that a person knows what a channel's condition money_at_risk tells, and has dealt
with it: the condition ends. It would stay for ever, also over restarts. What the log
says of it stays, and so do the events in the feed. Another such thing of the channel is
told again. No other condition can be acknowledged: they end when their cause does.`,
		example: "  lnactor status ack 3f2a...9c",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.AckAlarmResponse, error) {
			return n.AckAlarm(ctx, &apiv1.AckAlarmRequest{ChannelId: args[0]})
		},
		show: func(p *page, a *apiv1.AckAlarmResponse) { p.row("acknowledged", a.GetAlarms()) },
	}))
	return cmd
}

func showStatus(p *page, a *apiv1.GetHealthResponse) {
	switch {
	case a.GetOk():
		p.row("health", "good")
	case !a.GetAlive():
		p.row("health", "not alive: a restart of the process helps")
	case !a.GetReady():
		p.row("health", "not ready")
	default:
		p.row("health", "works, with conditions")
	}
	for _, c := range a.GetConditions() {
		p.row(c.GetSeverity(), strings.TrimSpace(c.GetId()+" "+c.GetSubject()))
		p.row("", c.GetCause())
		p.row("", "since "+c.GetSince().AsTime().Local().Format(time.DateTime))
		p.row("", "remedy: "+c.GetRemedy())
	}
	p.row("chain", fmt.Sprintf("block %s, the wallet at %s, synced: %s", digits(uint64(a.GetChainHeight())), digits(uint64(a.GetWalletHeight())), yes(a.GetSynced())))
	p.row("fees", fmt.Sprintf("%s, %d sat/kw, from: %s", a.GetFeeState(), a.GetFeePerKw(), a.GetFeeOrigin()))
	p.row("reserve", fmt.Sprintf("%s of %s", digits(a.GetReserveHaveSat()), sat(a.GetReserveWantedSat())))
	if n := a.GetUnackedEvents(); n > 0 {
		p.row("under way", fmt.Sprintf("%d events of channels, the oldest for %v", n, time.Duration(a.GetOldestUnackedSeconds())*time.Second))
	}
	if a.GetSweeps() > 0 {
		p.row("sweeps", fmt.Sprintf("%d outputs of closed channels on their way into the wallet", a.GetSweeps()))
	}
	if a.GetCrashReport() != "" {
		p.row("crash", a.GetCrashReport())
	}
}

// actorsCommand shows the tree.
func actorsCommand() *cobra.Command {
	var kind string
	var troubled bool
	var limit uint32
	return newCall(call[*apiv1.ListActorsResponse]{
		use: "actors", short: "Show the parts of the node: restarts, mailboxes, last faults",
		long: `Shows the tree of actors that the node is made of: what each is doing, its
incarnation (the number that the log has), how often it was restarted, how many messages
wait for it, and what it crashed of last. It works while one of them hangs.`,
		example: "  lnactor actors\n  lnactor actors --troubled\n  lnactor actors --kind monitor --limit 10\n  lnactor actors --json | jq '.actors[] | select(.restarts > 0)'",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&kind, "kind", "", "only this kind, such as monitor, channel or peer")
			cmd.Flags().BoolVar(&troubled, "troubled", false, "only those that crashed, were restarted or are not running")
			cmd.Flags().Uint32Var(&limit, "limit", 0, "at most so many (default 1000)")
		},
		make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListActorsResponse, error) {
			return n.ListActors(ctx, &apiv1.ListActorsRequest{Kind: kind, OnlyTroubled: troubled, Limit: limit})
		},
		show: showActors,
	})
}

func showActors(p *page, a *apiv1.ListActorsResponse) {
	if len(a.GetActors()) == 0 {
		p.none("such actors")
		return
	}
	p.row("actor", "state", "incarnation", "restarts", "waiting", "last fault")
	depth := map[string]int{}
	for _, x := range a.GetActors() {
		if above, ok := depth[x.GetParent()]; ok {
			depth[x.GetName()] = above + 1
		} else {
			depth[x.GetName()] = 0
		}
		state := or(x.GetState(), "?")
		if x.GetBusy() {
			state += ", busy"
		}
		fault := ""
		if x.GetLastFault() != "" {
			fault = x.GetFaultedAt().AsTime().Local().Format(time.DateTime) + " " + x.GetLastFault()
		}
		incarnation := "-"
		if x.GetIncarnation() != 0 {
			incarnation = fmt.Sprint(x.GetIncarnation())
		}
		p.row(strings.Repeat("· ", depth[x.GetName()])+x.GetName(), state, incarnation, x.GetRestarts(), x.GetMailbox(), fault)
	}
	if n := a.GetLeftOut(); n > 0 {
		p.row(fmt.Sprintf("... and %d more: --limit, --kind or --troubled", n))
	}
}
