package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// ago is how long ago something was, for people.
func ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return time.Since(t.AsTime()).Round(time.Second).String()
}

// eventCommands are those below `lnactor events`.
func eventCommands() []*cobra.Command {
	var consumer string
	consumerCommand := &cobra.Command{
		Use: "consumer", Short: "Make, move and remove consumers", Args: noArgs,
		Example: "  lnactor events consumer set shop --start end\n  lnactor events consumer remove shop",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	consumerCommand.AddCommand(newConsumerSet(), newCall(call[*apiv1.RemoveConsumerResponse]{
		use: "remove NAME", short: "Forget a consumer", args: wants("NAME"),
		long: "Forgets a consumer or a webhook, with its place in the feed, its dead letters and its secret.", example: "  lnactor events consumer remove shop",
		make: func(ctx context.Context, n *node, args []string) (*apiv1.RemoveConsumerResponse, error) {
			return n.RemoveConsumer(ctx, &apiv1.RemoveConsumerRequest{Consumer: args[0]})
		},
		show: func(p *page, _ *apiv1.RemoveConsumerResponse) { p.row("removed") },
	}))
	return []*cobra.Command{
		newEventsTail(), newEventsNext(),
		newCall(call[*apiv1.AckEventResponse]{
			use: "ack ID", short: "Acknowledge an event and all before it", args: wants("ID"),
			long:    "Says that a consumer has handled an event and all before it: they do not come again.\nIt is durable when the command returns, and may be repeated.",
			example: "  lnactor events ack payment-sent/4be1... --consumer shop",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().StringVarP(&consumer, "consumer", "c", "", "name of the consumer (default: the only one)")
			},
			make: func(ctx context.Context, n *node, args []string) (*apiv1.AckEventResponse, error) {
				return n.AckEvent(ctx, &apiv1.AckEventRequest{Consumer: consumer, Id: args[0]})
			},
			show: func(p *page, _ *apiv1.AckEventResponse) { p.row("acknowledged") },
		}),
		newCall(call[*apiv1.ListConsumersResponse]{
			use: "consumers", short: "List who reads the feed, and how far behind each is",
			long:    "Lists consumers and webhooks: how many events each has not acknowledged, and how long ago\nthe oldest of them was written. One that lags over the limit is expired.",
			example: "  lnactor events consumers\n  lnactor events consumers --json | jq '.consumers[] | select(.state==\"expired\").name'",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListConsumersResponse, error) {
				return n.ListConsumers(ctx, &apiv1.ListConsumersRequest{})
			},
			show: showConsumers,
		}),
		consumerCommand, newWebhook(),
		newCall(call[*apiv1.ListDeadLettersResponse]{
			use: "dead-letters NAME", short: "List the events that a webhook's endpoint did not take", args: wants("NAME"), example: "  lnactor events dead-letters shop",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.ListDeadLettersResponse, error) {
				return n.ListDeadLetters(ctx, &apiv1.ListDeadLettersRequest{Consumer: args[0]})
			},
			show: func(p *page, a *apiv1.ListDeadLettersResponse) {
				if len(a.GetLetters()) == 0 {
					p.none("dead letters")
					return
				}
				p.row("EVENT", "KIND", "ATTEMPTS", "LAST", "ERROR")
				for _, l := range a.GetLetters() {
					p.row(l.GetEvent().GetId(), l.GetEvent().GetKind(), l.GetAttempts(), ago(l.GetTime()), l.GetError())
				}
			},
		}),
		newCall(call[*apiv1.RetryDeadLettersResponse]{
			use: "retry NAME [ID...]", short: "Send dead letters once more", args: atLeast("NAME"),
			long: "Sends a webhook's dead letters once more, all of them or those that are named. What the\nendpoint takes is off the list; with the first that it does not take the command ends.", example: "  lnactor events retry shop",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.RetryDeadLettersResponse, error) {
				a, err := n.RetryDeadLetters(ctx, &apiv1.RetryDeadLettersRequest{Consumer: args[0], Ids: args[1:]})
				if a.GetError() != "" {
					err = &apiError{
						code: connect.CodeAborted, reason: "not_taken", text: fmt.Sprintf("%d taken; then: %s", a.GetTaken(), a.GetError()), hint: "mend the endpoint and try again",
					}
				}
				return a, err
			},
			show: func(p *page, a *apiv1.RetryDeadLettersResponse) { p.row("taken", a.GetTaken()) },
		}),
		newDiscard(),
	}
}

func showConsumers(p *page, a *apiv1.ListConsumersResponse) {
	if len(a.GetConsumers()) == 0 {
		p.none("consumers")
		return
	}
	p.row("CONSUMER", "STATE", "LAG", "OLDEST", "ACKNOWLEDGED", "WEBHOOK")
	for _, c := range a.GetConsumers() {
		w := c.GetWebhook()
		p.row(c.GetName(), c.GetState(), c.GetLag(), ago(c.GetOldest()), or(c.GetAckedId(), "-"), w.GetUrl())
		if w.GetAttempts() > 0 {
			p.row("", "", "", "", fmt.Sprintf("%d attempts, again at %s: %s", w.GetAttempts(), w.GetRetry().AsTime().Format(time.TimeOnly), w.GetError()))
		}
		if w.GetDeadLetters() > 0 {
			p.row("", "", "", "", fmt.Sprintf("%d dead letters", w.GetDeadLetters()))
		}
	}
}

func newConsumerSet() *cobra.Command {
	var start string
	return newCall(call[*apiv1.SetConsumerResponse]{
		use: "set NAME", short: "Make a consumer, or say where one goes on", args: wants("NAME"),
		long: `Makes a consumer, or moves one, a webhook too. Streams that read it end. A consumer that
is expired, or that events are missing for, goes on by this: look at payments and
channels for what it missed before.`,
		example: "  lnactor events consumer set shop --start end\n  lnactor events consumer set shop --start payment-sent/4be1...",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&start, "start", "", "beginning, end, or the id of the event that is next")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.SetConsumerResponse, error) {
			if start == "" {
				return nil, &usageError{errors.New("--start is missing"), "say beginning, end, or the id of the event that is next"}
			}
			return n.SetConsumer(ctx, &apiv1.SetConsumerRequest{Consumer: args[0], Start: start})
		},
		show: func(p *page, _ *apiv1.SetConsumerResponse) { p.row("set") },
	})
}

func newWebhook() *cobra.Command {
	var start, secretFile string
	return newCall(call[*apiv1.SetWebhookResponse]{
		use: "webhook NAME URL", short: "Send events to an endpoint", args: wants("NAME", "URL"),
		long: `Has the node send each event to an endpoint, signed, until the endpoint answers 2xx.
Used again for the same name it changes the URL or the secret, and tries at once. The
secret is whsec_ and base64, as Standard Webhooks has it; without --secret-file the node
makes one, in the file events/secret-NAME of its data directory.`,
		example: "  lnactor events webhook shop https://shop.example.com/lightning\n  lnactor events webhook shop https://shop.example.com/v2 --secret-file shop.secret",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&start, "start", "", "beginning (of a new one, the default), end, or the id of the event that is next")
			cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the secret, mode 0600")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.SetWebhookResponse, error) {
			r := &apiv1.SetWebhookRequest{Consumer: args[0], Url: args[1], Start: start}
			if secretFile != "" {
				secret, err := daemon.ReadSecret(secretFile)
				if err != nil {
					return nil, err
				}
				r.Secret = string(secret)
			}
			return n.SetWebhook(ctx, r)
		},
		show: func(p *page, _ *apiv1.SetWebhookResponse) { p.row("set") },
	})
}

func newDiscard() *cobra.Command {
	var all bool
	return newCall(call[*apiv1.DiscardDeadLettersResponse]{
		use: "discard NAME [ID...]", short: "Take dead letters off the list", args: atLeast("NAME"),
		long: "Takes dead letters of a webhook off the list: they are never sent.", example: "  lnactor events discard shop payment-sent/4be1...\n  lnactor events discard shop --all",
		flags: func(cmd *cobra.Command) { cmd.Flags().BoolVar(&all, "all", false, "all of them") },
		make: func(ctx context.Context, n *node, args []string) (*apiv1.DiscardDeadLettersResponse, error) {
			if all == (len(args) > 1) {
				return nil, &usageError{errors.New("which dead letters?"), "name them, or say --all"}
			}
			return n.DiscardDeadLetters(ctx, &apiv1.DiscardDeadLettersRequest{Consumer: args[0], Ids: args[1:]})
		},
		show: func(p *page, a *apiv1.DiscardDeadLettersResponse) { p.row("discarded", a.GetDiscarded()) },
	})
}

// atLeast checks that the first arguments are there; more may follow.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return wants(names...)(cmd, args[:min(len(args), len(names))])
	}
}
