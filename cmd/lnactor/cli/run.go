package cli

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
)

const runLong = `Runs a node until it is stopped by SIGINT, SIGTERM or 'lnactor stop'.

Without any configuration it runs on an embedded Bitcoin regtest chain, where money
is free ('lnactor regtest'). The first start makes the seed and shows its 24 words,
which must be written down; --unattended makes it without showing them.

Settings are flags, else variables (LNACTOR_RPC_URL for --rpc-url), else keys of
lnactor.toml in the data directory, else defaults: 'lnactor config show --origins'.

A stop lets what is under way become durable, for --stop-limit at most; a second
signal ends the process at once. It may be killed at any time: nothing is lost.

Exit codes: 0 stopped in order, 64 usage, 65 corrupt data, 69 chain source can't be
reached, 70 supervision gave up, 74 the disk failed, 75 the data directory is in
use, 78 configuration.`

const runExample = `  lnactor run                                                a node of its own, to try things out
  lnactor run -d alice --serve-chain 127.0.0.1:18443         ... whose chain others on this machine can use
  lnactor run -d bob --chain rpcpoll --rpc-url http://127.0.0.1:18443 --listen 127.0.0.1:9736
  lnactor run --network signet --listen 0.0.0.0:9735         signet, through a light client
  lnactor run --network testnet --chain btcd --rpc-url https://127.0.0.1:18334 \
    --rpc-user me --rpc-password-file pass --rpc-cert-file rpc.cert`

// settingFlags registers a flag for every setting, and collects those that were given.
func settingFlags(cmd *cobra.Command) func() map[string]string {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringP("dir", "d", "", "data directory (default: LNACTOR_DIR, else ~/.lnactor)")
	flags.String("config", "", "configuration file (default: LNACTOR_CONFIG, else lnactor.toml in the data directory)")
	names := []string{"dir", "config"}
	for i := range config.Settings {
		s := &config.Settings[i]
		flags.String(s.Flag(), s.Default, s.Short)
		if s.Bool() {
			flags.Lookup(s.Flag()).NoOptDefVal = "true"
		}
		names = append(names, s.Flag())
	}
	return func() map[string]string {
		given := map[string]string{}
		for _, name := range names {
			if f := flags.Lookup(name); f.Changed {
				given[name] = f.Value.String()
			}
		}
		return given
	}
}

func newRun() *cobra.Command {
	cmd := &cobra.Command{Use: "run", Short: "Run a node", Long: runLong, Example: runExample, Args: noArgs}
	given := settingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(config.Input{Flags: given(), Environ: os.Environ()})
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			return err
		}
		o := daemon.Options{Config: c, Log: newLog(cmd.ErrOrStderr(), c), Version: moduleVersion(), Faults: daemon.FaultsOf(cmd.Context()), Ready: func(r daemon.Running) {
			announce(cmd.OutOrStdout(), c, r)
		}}
		if term.IsTerminal(int(os.Stdin.Fd())) && width(cmd.ErrOrStderr()) > 0 {
			o.Terminal = &terminal{in: bufio.NewReader(os.Stdin), out: cmd.ErrOrStderr()}
		}
		return daemon.Run(cmd.Context(), o)
	}
	return cmd
}

// announce tells a person, or a script that waits for a line, that the node is up.
func announce(w io.Writer, c *config.Config, r daemon.Running) {
	fmt.Fprintf(w, "node     %s\n", r.NodeID)
	fmt.Fprintf(w, "network  %s, chain source %s\n", c.Text("network"), c.Chain())
	if r.Listen != "" {
		fmt.Fprintf(w, "peers    %s@%s\n", r.NodeID, r.Listen)
	}
	fmt.Fprintf(w, "API      %s\n", r.Socket)
	if r.API != "" {
		fmt.Fprintf(w, "API      https://%s\n", r.API)
	}
	if r.Chain != "" {
		fmt.Fprintf(w, "chain    %s\n", r.Chain)
	}
	if r.Monitoring != "" {
		fmt.Fprintf(w, "metrics  http://%s/metrics\n", r.Monitoring)
	}
	fmt.Fprintf(w, "crashes  %s\n", r.Crashes)
	fmt.Fprintln(w, "ready")
}

func newLog(w io.Writer, c *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Text("log.level"))) // one of the choices
	opts := &slog.HandlerOptions{Level: level}
	format := c.Text("log.format")
	if format == "text" || format == "auto" && width(w) > 0 {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// terminal is the person who started the node.
type terminal struct {
	in  *bufio.Reader
	out io.Writer
}

func (t *terminal) Print(text string) { fmt.Fprint(t.out, text) }

func (t *terminal) Line(prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	line, err := t.in.ReadString('\n')
	if err != nil && line == "" {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (t *terminal) Secret(prompt string) ([]byte, error) {
	fmt.Fprint(t.out, prompt)
	defer fmt.Fprintln(t.out)
	return term.ReadPassword(int(os.Stdin.Fd()))
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Check and show the configuration", Args: noArgs,
		Example: "  lnactor config sample > ~/.lnactor/lnactor.toml\n  lnactor config check",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	check := &cobra.Command{
		Use: "check", Short: "Say whether 'lnactor run' would take the configuration", Args: noArgs,
		Example: "  lnactor config check -d alice\n  lnactor config check --config new.toml",
	}
	var checkJSON bool
	check.Flags().BoolVar(&checkJSON, "json", false, "print JSON")
	given := settingFlags(check)
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(config.Input{Flags: given(), Environ: os.Environ()})
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			return err
		}
		if checkJSON {
			return encodeJSON(cmd.OutOrStdout(), struct {
				Good bool   `json:"good"`
				File string `json:"file"` // empty: none
			}{true, c.File})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "the configuration is good (file: %s)\n", or(c.File, "none"))
		return nil
	}
	show := &cobra.Command{
		Use: "show", Short: "Show every setting", Args: noArgs,
		Example: "  lnactor config show -d alice --origins\n  lnactor config show --json | jq -r '.settings[] | select(.key==\"chain\").value'",
	}
	var origins, showJSON bool
	show.Flags().BoolVar(&origins, "origins", false, "say where each value comes from")
	show.Flags().BoolVar(&showJSON, "json", false, "print JSON, always with origins")
	givenToShow := settingFlags(show)
	show.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(config.Input{Flags: givenToShow(), Environ: os.Environ()})
		if err != nil {
			return err
		}
		type setting struct {
			Key    string `json:"key"`
			Value  string `json:"value"`
			Origin string `json:"origin"`
		}
		out := []setting{{"dir", c.Dir, c.DirOrigin}}
		for _, v := range c.Values() {
			out = append(out, setting{v.Setting.Key, v.Value, v.Origin})
		}
		if showJSON {
			return encodeJSON(cmd.OutOrStdout(), map[string][]setting{"settings": out})
		}
		p := newPage(cmd.OutOrStdout())
		row := func(key, value, origin string) {
			if value == "" {
				value = `""`
			}
			if origins {
				p.row(key, value, origin)
			} else {
				p.row(key, value)
			}
		}
		for _, s := range out {
			row(s.Key, s.Value, s.Origin)
		}
		return p.flush()
	}
	sample := &cobra.Command{
		Use: "sample", Short: "Print a configuration file with every setting explained", Args: noArgs,
		Example: "  lnactor config sample > ~/.lnactor/lnactor.toml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Sample())
			return err
		},
	}
	cmd.AddCommand(check, show, sample)
	return cmd
}
