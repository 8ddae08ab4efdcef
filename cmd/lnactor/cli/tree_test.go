package cli

import (
	"maps"
	"strconv"
	"testing"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// TestTree: every command says what it is and how it is used, and every command that calls a node can answer in JSON.
func TestTree(t *testing.T) {
	calls := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Name() == "help" || c.Name() == "completion" || c.HasParent() && c.Parent().Name() == "completion" {
			return // cobra's
		}
		if c.Short == "" || !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s: no short text or no example", c.CommandPath())
		}
		if c.Flags().Lookup("socket") != nil {
			calls++
			if c.Flags().Lookup("json") == nil || c.Flags().Lookup("timeout") == nil || c.Args == nil {
				t.Errorf("%s lacks --json, --timeout or a check of its arguments", c.CommandPath())
			}
		}
	}
	walk(newRoot())
	// One command for each call, but that 'channels policy' makes two.
	services := apiv1.File_api_v1_node_proto.Services()
	methods := 0
	for i := range services.Len() {
		methods += services.Get(i).Methods().Len()
	}
	if calls+1 != methods {
		t.Errorf("%d commands call a node, the services have %d methods", calls, methods)
	}
}

// noJSON are the commands without --json, and why that is right.
var noJSON = map[string]string{
	"lnactor":                 "it shows its help",
	"lnactor config":          "it shows its help",
	"lnactor events consumer": "it shows its help",
	"lnactor htlcs":           "it shows its help",
	"lnactor regtest":         "it shows its help",
	"lnactor docs":            "it shows its help",
	"lnactor completion":      "it shows its help",
	"lnactor run":             "what it tells in the course of time is its log, which is JSON when nobody looks; 'lnactor info --json --wait 1m' says who runs",

	"lnactor config sample":   "its result is a file of TOML",
	"lnactor docs man":        "its results are files; it prints nothing",
	"lnactor completion bash": "its result is a script", "lnactor completion zsh": "its result is a script",
	"lnactor completion fish": "its result is a script", "lnactor completion powershell": "its result is a script",
}

// TestJSONEverywhere: every command that prints a result prints it as JSON when it is asked to.
func TestJSONEverywhere(t *testing.T) {
	unused := maps.Clone(noJSON)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		reason, excused := noJSON[c.CommandPath()]
		delete(unused, c.CommandPath())
		f := c.Flags().Lookup("json")
		switch {
		case !c.Runnable() || f != nil && !excused && f.Value.Type() == "bool":
		case !excused:
			t.Errorf("%s lacks --json", c.CommandPath())
		case f != nil:
			t.Errorf("%s has --json, although %s", c.CommandPath(), reason)
		}
	}
	walk(newRoot())
	for path := range unused {
		t.Errorf("there is no command %q", path)
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "1": 1000, "21000": 21_000_000, "21_000sat": 21_000_000, "1500msat": 1500, "1btc": 100_000_000_000, "0.00000000001btc": 1, "0.5BTC": 50_000_000_000,
	} {
		if got, err := parseMsat(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5", "1.5sat", "1.msat", ".5btc", "0.000000000001btc", "1e3", " 1", "18446744073709551615", "1btcbtc", "0x10"} {
		if got, err := parseMsat(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	if _, err := parseSat("1500msat"); err == nil {
		t.Error("a fraction of a satoshi")
	}
}

// FuzzAmounts: no text crashes, and what is read can be said again.
func FuzzAmounts(f *testing.F) {
	for _, seed := range []string{"1", "1msat", "0.1btc", "9223372036854775807msat", "..btc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseMsat(text)
		if err != nil {
			return
		}
		if again, err := parseMsat(digitsOnly(n)); err != nil || again != n {
			t.Errorf("%q is %d, which is %d, %v", text, n, again, err)
		}
	})
}

func digitsOnly(n uint64) string { return strconv.FormatUint(n, 10) + "msat" }
