package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func newEvents() *cobra.Command {
	var f clientFlags
	var last uint64
	cmd := &cobra.Command{
		Use: "events", Short: "Read the feed of events", Args: noArgs,
		Long: `Prints what happened to payments and channels: all events that the feed in the data
directory keeps, oldest first. The node need not run.

Programs read the feed as consumers, by the commands below: each has a name and a
durable place in the feed, and gets every event at least once. docs/events.md explains
them, the kinds of events and webhooks.`,
		Example: "  lnactor events --last 20\n  lnactor events --json | jq -r 'select(.kind==\"PaymentClaimed\").data.payment_hash'\n  lnactor events tail --consumer shop --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.dir = cmd.Flags().Lookup("dir").Value.String()
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return printFeed(cmd.OutOrStdout(), filepath.Join(c.Dir, feed.Dir), f.json, last)
		},
	}
	cmd.Flags().StringP("dir", "d", "", "data directory (default: LNACTOR_DIR, else ~/.lnactor)")
	cmd.Flags().Uint64Var(&last, "last", 0, "only the last so many")
	cmd.Flags().BoolVar(&f.json, "json", false, "print each event as a line of JSON")
	cmd.AddCommand(eventCommands()...)
	return cmd
}

// printFeed prints the journal in a directory. What can't be read of it is told at the end.
func printFeed(w io.Writer, dir string, asJSON bool, last uint64) error {
	var report journal.Report
	var err error
	from := uint64(0)
	if last > 0 {
		if report, err = journal.Scan(dir, math.MaxUint64, nil); err == nil && report.Next > last {
			from = report.Next - last
		}
	}
	if err == nil {
		report, err = journal.Scan(dir, from, func(e journal.Entry) error { return printEvent(w, &e, asJSON) })
	}
	switch {
	case errors.Is(err, lnactor.ErrNotFound):
		return &apiError{err: err, text: "there is no feed of events at " + dir, hint: "say with --dir where the node's data is; its first start makes the feed"}
	case err != nil:
		return err
	case len(report.Missing) > 0:
		errs := make([]error, len(report.Missing))
		for i, m := range report.Missing {
			errs[i] = m
		}
		return fmt.Errorf("%w: %w", lnactor.ErrCorrupt, errors.Join(errs...))
	}
	return nil
}

// printEvent prints one event: as a line of JSON, or for people.
func printEvent(w io.Writer, e *feed.Entry, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	var data map[string]any
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	text := fmt.Sprintf("%s  %s  %s", e.Time.Format(time.RFC3339), printable(e.ID), printable(e.Kind))
	for _, k := range slices.Sorted(maps.Keys(data)) {
		value := fmt.Sprint(data[k])
		switch v := data[k].(type) {
		case float64:
			value = fmt.Sprintf("%.0f", v)
		case []any, map[string]any:
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			value = string(raw)
		}
		text += " " + printable(k) + "=" + printable(value)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// entry is an event of the API as the feed has it.
func entry(e *apiv1.Event) (*feed.Entry, error) {
	data, err := json.Marshal(e.GetData().AsMap())
	return &feed.Entry{Feed: e.GetFeed(), Seq: e.GetSeq(), ID: e.GetId(), Time: e.GetTime().AsTime(), Kind: e.GetKind(), Data: data}, err
}
