package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// ackEvery bounds how many events 'events tail --ack' has written and not acknowledged while more wait.
const ackEvery = 50

// tailFlags are those of the commands that read events.
type tailFlags struct {
	clientFlags
	consumer, start string
	limit           uint32
}

func (f *tailFlags) registerTail(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.consumer, "consumer", "c", "", "name of the consumer; it is made if it is not there")
	cmd.Flags().StringVar(&f.start, "start", "", "where a new consumer begins: beginning (the default), end, or the id of an event")
}

func newEventsTail() *cobra.Command {
	var f tailFlags
	var ack bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Print events as they come", Args: noArgs,
		Long: `Prints the events that a consumer has not acknowledged, then waits for more until it
is interrupted. Without --ack nothing is acknowledged: events come again with the next
tail until 'lnactor events ack' names them. With --ack an event counts as handled when
it was written to the output.

Without --consumer it is a stream that nobody remembers. A consumer has one stream; a
new one ends the older.`,
		Example: "  lnactor events tail --start end\n  lnactor events tail --consumer shop --json\n  lnactor events tail --consumer audit --json --ack >>audit.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ack && f.consumer == "" {
				return &usageError{errors.New("--ack without --consumer"), "name the consumer that acknowledges"}
			}
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			return f.tail(cmd, n, ack)
		},
	}
	f.registerTail(cmd)
	cmd.Flags().BoolVar(&ack, "ack", false, "acknowledge what was written")
	cmd.Flags().Uint32Var(&f.limit, "limit", 0, "end after so many events (default: never)")
	f.register(cmd)
	return cmd
}

func (f *tailFlags) tail(cmd *cobra.Command, n *node, ack bool) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	stream, err := n.TailEvents(ctx, &apiv1.TailEventsRequest{Consumer: f.consumer, Start: f.start})
	if err != nil {
		return n.explain(err)
	}
	defer stream.Close() //nolint:errcheck // nothing is left to say
	written, unacked := uint32(0), 0
	for f.limit == 0 || written < f.limit {
		if !stream.Receive() {
			if cmd.Context().Err() != nil {
				return errStopped
			}
			if err := stream.Err(); err != nil {
				return n.explain(err)
			}
			return &apiError{text: "the node ended the stream", hint: "begin it again; nothing is lost"}
		}
		m := stream.Msg()
		if m.GetEvent() == nil {
			continue // it is alive
		}
		e, err := entry(m.GetEvent())
		if err == nil {
			err = printEvent(cmd.OutOrStdout(), e, f.json)
		}
		if err != nil {
			return err // not written, so not acknowledged
		}
		written++
		unacked++
		if ack && (m.GetLag() == 0 || unacked == ackEvery || written == f.limit) {
			if err := f.ack(ctx, n, e.ID); err != nil {
				return err
			}
			unacked = 0
		}
	}
	return nil
}

func (f *tailFlags) ack(ctx context.Context, n *node, id string) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	_, err := n.AckEvent(ctx, &apiv1.AckEventRequest{Consumer: f.consumer, Id: id})
	return n.explain(err)
}

func newEventsNext() *cobra.Command {
	var f tailFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "next", Short: "Print the events that a consumer has not acknowledged", Args: noArgs,
		Long: `Prints the oldest events that a consumer has not acknowledged, and ends. It
acknowledges nothing.`,
		Example: "  lnactor events next --consumer shop --limit 1 --wait 50s --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.consumer == "" {
				return &usageError{errors.New("--consumer is missing"), "name the consumer whose events they are"}
			}
			if wait < 0 || wait > 50*time.Second {
				return &usageError{fmt.Errorf("a wait of %v", wait), "50s is the longest"}
			}
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), max(f.timeout, wait+time.Second))
			defer cancel()
			answer, err := n.NextEvents(ctx, &apiv1.NextEventsRequest{
				Consumer: f.consumer, Start: f.start, Limit: f.limit, WaitSeconds: uint32(wait / time.Second), //nolint:gosec // bounded above
			})
			if err != nil {
				return n.explain(err)
			}
			for _, m := range answer.GetEvents() {
				e, err := entry(m)
				if err == nil {
					err = printEvent(cmd.OutOrStdout(), e, f.json)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.registerTail(cmd)
	cmd.Flags().Uint32Var(&f.limit, "limit", 100, "how many at most")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait if there are none")
	f.register(cmd)
	return cmd
}
