package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor/cmd/lnactor/demo"
)

const demoLong = `Two nodes, alice and bob, pay each other over a real channel on a real (embedded)
Bitcoin regtest chain, while their parts and the whole nodes are crashed at random.

With --topology there are more of them, up to 8: a line, a diamond (large payments go
in parts over all its ways) or a star. They learn of each other's channels by gossip
only, and payments are forwarded by the nodes between, with crashes on.

Nothing has to be set up. The nodes keep their data on disk and sync every commit;
the data is removed at the end unless --dir says where to keep it.

At the end the books must balance: every payment has exactly one outcome, every
event was acknowledged, and every satoshi is where it should be. If so, the exit
code is 0; if anything is lost, doubled or left over, it is 1, with the reason.

With --close the channel ends at last, and the demo mines block by block until all
of its money is in the wallets and both nodes have archived it, with crashes on:
cooperative, by a transaction of both; force, by alice alone with payments in
flight both ways, some claimed on chain and some timed out; revoked, by bob with
an old state, for which alice takes everything. At every block each side's money
must add up, and at the end what went in must be in the wallets or paid as fees.

A payment may fail when the peer is down. That is a proper outcome: the payer keeps
the money, and the demo pays the invoice again under a new payment id.`

const demoExample = `  lnactor demo                                   the default: under a minute
  lnactor demo --payments 2000 --crashes 300     more of everything
  lnactor demo --seed 7                          the same amounts and plan of crashes each time
  lnactor demo --crashes 0                       how it looks when nothing goes wrong
  lnactor demo --json | jq .crashes.by_actor     for scripts
  lnactor demo --close force                     close the channel at the end, with payments in flight, block by block
  lnactor demo --close revoked                   the peer cheats with an old state, and is punished
  lnactor demo --close cooperative               both sides agree
  lnactor demo --topology line --nodes 4         payments over three hops, with crashes on
  lnactor demo --topology diamond                multi-part payments over two ways
  lnactor demo --dir /tmp/lnactor                keep the data; run it again to go on with it`

// pace is how long a block of the close stays on a terminal before the next is mined.
const pace = 300 * time.Millisecond

type demoFlags struct {
	demo.Options
	json     bool
	close    string
	topology string
	log      string
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Watch payments survive the crashes of everything",
		Long:    demoLong,
		Example: demoExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if !cmd.Flags().Changed("seed") {
				f.Seed = rand.Uint64N(1_000_000) //nolint:gosec // a seed to be typed again
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.topology, "topology", "t", string(demo.Pair), "who has channels with whom: pair, line, diamond or star")
	flags.IntVar(&f.Nodes, "nodes", 0, "how many nodes there are, at most 8 (default: 3 in a line, 4 in a diamond or a star)")
	flags.IntVarP(&f.Payments, "payments", "n", 200, "how many invoices are paid")
	flags.IntVarP(&f.Crashes, "crashes", "c", 30, "how many crashes there are")
	flags.Uint64VarP(&f.Seed, "seed", "s", 0, "plan of amounts and crashes (default: a new one each time)")
	flags.StringVarP(&f.Dir, "dir", "d", "", "keep the data in this directory; go on with what is there")
	flags.StringVar(&f.close, "close", "", "close the channel at the end, and follow it on chain: cooperative, force or revoked")
	flags.BoolVar(&f.json, "json", false, "print one JSON object at the end, and nothing else")
	flags.StringVar(&f.log, "log", "", "write the nodes' logs to this file")
	return cmd
}

func (f *demoFlags) check() error {
	wrong := func(format string, args ...any) error {
		return &usageError{fmt.Errorf(format, args...), "'lnactor demo --help' explains the flags"}
	}
	switch {
	case f.Payments < 0 || f.Payments > 1_000_000:
		return wrong("--payments is %d; it must be from 2 for each channel to 1000000", f.Payments)
	case f.Crashes < 0 || f.Crashes > 100_000:
		return wrong("--crashes is %d; it must be from 0 to 100000", f.Crashes)
	}
	if f.Close = demo.CloseKind(f.close); f.Close != demo.CloseNot && !slices.Contains(demo.CloseKinds, f.Close) {
		return wrong("--close is %q; it must be cooperative, force or revoked", f.close)
	}
	f.Topology = demo.Topology(f.topology)
	if err := f.Check(); err != nil {
		return &usageError{err, "'lnactor demo --help' explains the flags"}
	}
	return nil
}

func (f *demoFlags) run(cmd *cobra.Command) error {
	log := slog.New(slog.DiscardHandler)
	if f.log != "" {
		file, err := os.OpenFile(f.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return &usageError{fmt.Errorf("--log: %w", err), "choose a file that can be written"}
		}
		defer func() { _ = file.Close() }()
		log = slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	show := func(demo.News) {}
	var screen *screen
	if !f.json {
		screen = newScreen(cmd.OutOrStdout(), f.Options)
		show = screen.show
		if screen.st.terminal {
			f.Pace = pace
		}
	}
	report, err := demo.Run(cmd.Context(), f.Options, log, show)
	if screen != nil {
		screen.clear()
	}
	switch {
	case errors.Is(err, context.Canceled) && cmd.Context().Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	case f.json:
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	default:
		screen.summary(report)
	}
	if err := report.Error(); err != nil {
		return err
	}
	return nil
}
