package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
)

// Main runs the command with the arguments after its name and returns the exit code. The context's end interrupts it.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err != nil {
		complain(stderr, ran, err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "lnactor",
		Short: "Lightning payments that survive any crash",
		Long: `lnactor is a Lightning channel runtime: a supervised system of actors in which
a payment, once accepted, ends in exactly one outcome, however often any part of
the node, or the whole process, is killed in between.

See it happen:

  lnactor demo

Run a node, and talk to it from another terminal:

  lnactor run
  lnactor info`,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // complain shows them
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // how it was parsed helps nobody
		return &usageError{errors.New(text), fmt.Sprintf("'%s --help' lists the flags", cmd.CommandPath())}
	})
	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	group("run", "A node:", append([]*cobra.Command{newRun(), newConfig(), newSeed(), newEvents(), regtestCommand(), statusCommand(), actorsCommand()}, nodeCommands()...)...)
	group("pay", "Payments:", slices.Concat([]*cobra.Command{newPay()}, invoiceCommands(), paymentCommands())...)
	group("channel", "Peers and channels:", append(peerCommands(), channelCommands()...)...)
	group("wallet", "The wallet:", walletCommands()...)
	group("care", "Care and rescue:", newBackup(), newRestore(), newInspect(), newDoctor(), newHTLCs())
	root.AddCommand(newDemo(), newDocs(), newVersion())
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil { // cobra's would take any shell's name
		c.Args, c.RunE = noArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	root.SetHelpCommand(&cobra.Command{
		Use: "help [command]", Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			return about.Help()
		},
	})
	return root
}

// noArgs refuses arguments that a command does not take.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return unknownCommand(cmd, args[0])
	}
	return &usageError{fmt.Errorf("unexpected argument %q", args[0]), fmt.Sprintf("'%s --help' shows how it is used", cmd.CommandPath())}
}

func unknownCommand(root *cobra.Command, name string) error {
	hint := fmt.Sprintf("'%s --help' lists the commands", root.CommandPath())
	root.SuggestionsMinimumDistance = 2 // cobra's default is none
	if close := root.SuggestionsFor(name); len(close) > 0 {
		hint = fmt.Sprintf("did you mean %q?", close[0])
	}
	return &usageError{fmt.Errorf("unknown command %q", name), hint}
}

func complain(w io.Writer, cmd *cobra.Command, err error) {
	if f := cmd.Flags().Lookup("json"); f != nil && f.Value.String() == "true" && complainJSON(w, err) {
		return
	}
	st := styleFor(w)
	fmt.Fprintf(w, "%s %s\n", st.bad.Render(cmd.Root().Name()+":"), printableLines(strings.TrimSpace(err.Error())))
	var hint string
	var usage *usageError
	var answered *apiError
	var unsure *unsureError
	switch {
	case errors.As(err, &usage):
		hint = usage.hint
	case errors.As(err, &unsure):
		hint = unsure.hint
	case errors.As(err, &answered):
		hint = answered.hint
	default:
		hint = hintFor(err)
	}
	if hint != "" {
		fmt.Fprintf(w, "  %s %s\n", st.faint.Render("hint:"), hint)
	}
}

// complainJSON shows what went wrong with a call to programs. Other errors, of the command line, stay text.
func complainJSON(w io.Writer, err error) bool {
	type problem struct {
		Code    string `json:"code"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
		Payment string `json:"payment,omitempty"` // its id
	}
	var out struct {
		Error problem `json:"error"`
	}
	var answered *apiError
	var failed *paymentFailed
	var unsure *unsureError
	var waits *stillUnderWay
	var closes *stillClosing
	switch {
	case errors.As(err, &unsure):
		out.Error = problem{"unknown", "unsure", unsure.text, unsure.hint, unsure.payment}
	case errors.As(err, &waits):
		out.Error = problem{Code: "canceled", Reason: "interrupted", Message: waits.Error(), Payment: waits.id}
	case errors.As(err, &closes):
		out.Error = problem{Code: "canceled", Reason: "interrupted", Message: closes.Error()}
	case errors.As(err, &answered):
		out.Error = problem{Code: answered.code.String(), Reason: answered.reason, Message: answered.text, Hint: answered.hint}
	case errors.As(err, &failed):
		out.Error = problem{Code: "aborted", Reason: "payment_failed", Message: failed.Error(), Payment: failed.id}
	default:
		return false
	}
	return json.NewEncoder(w).Encode(out) == nil
}

// hintFor says what a person can do about an error; most errors say it themselves.
func hintFor(err error) string {
	if errors.Is(err, daemon.ErrAddress) {
		return "end the process that listens there, or wait for the network, and start again"
	}
	if errors.Is(err, fs.ErrNotExist) && exitCode(err) == ExitFault {
		return "check the path: a relative one begins where the command is run"
	}
	switch exitCode(err) {
	case ExitInUse:
		return "end the other process, or choose another --dir"
	case ExitUnreachable:
		return "check that the chain backend runs and that rpc.url is right, then start again"
	case ExitStore:
		return "make room on the disk or replace it, then start again; nothing that was committed is lost"
	case ExitCorrupt:
		return "the data is left as it is: keep a copy of it; 'lnactor inspect --datadir DIR' lists what is damaged and says what to do"
	}
	return ""
}
