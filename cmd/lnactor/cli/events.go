package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor/cmd/lnactor/journal"
)

func newEvents() *cobra.Command {
	var f clientFlags
	var follow bool
	cmd := &cobra.Command{
		Use: "events", Short: "Print the journal of events",
		Long: `Prints what happened to payments and channels: the file events.jsonl in the data
directory, which the node writes before it acknowledges an event. Each event is there
once, in order. The node need not run.`,
		Example: "  lnactor events\n  lnactor events --follow --json | jq -r 'select(.kind==\"PaymentClaimed\").data.payment_hash'", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.dir = cmd.Flags().Lookup("dir").Value.String()
			c, err := f.load()
			if err != nil {
				return err
			}
			path := filepath.Join(c.Dir, journal.FileName)
			in, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				return &apiError{err: err, text: "there is no journal " + path, hint: "say with --dir where the node's data is; its first start makes the journal"}
			}
			if err != nil {
				return err
			}
			defer in.Close()
			return printEvents(cmd.Context(), cmd.OutOrStdout(), in, f.json, follow)
		},
	}
	cmd.Flags().StringP("dir", "d", "", "data directory (default: LNACTOR_DIR, else ~/.lnactor)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the lines as they are")
	return cmd
}

// printEvents prints whole lines only: the last may be in the making.
func printEvents(ctx context.Context, w io.Writer, file io.Reader, raw, follow bool) error {
	in := bufio.NewReader(file)
	var line []byte
	for {
		part, err := in.ReadBytes('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			if raw {
				_, err = w.Write(line)
			} else {
				err = printEvent(w, line)
			}
			if err != nil {
				return err
			}
			line = line[:0]
		case !errors.Is(err, io.EOF):
			return err
		case !follow:
			return nil
		default:
			select {
			case <-ctx.Done():
				return errStopped
			case <-time.After(lookAgain):
			}
		}
	}
}

func printEvent(w io.Writer, line []byte) error {
	var e journal.Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("the journal has a line that is no event: %w", err)
	}
	_, err := fmt.Fprintf(w, "%s  %s", e.Time.Format(time.RFC3339), printable(e.Kind))
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		value := fmt.Sprint(e.Data[k])
		if n, ok := e.Data[k].(float64); ok {
			value = fmt.Sprintf("%.0f", n)
		}
		if err == nil {
			_, err = fmt.Fprintf(w, " %s=%s", printable(k), printable(value))
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	return err
}
