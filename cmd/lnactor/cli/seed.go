package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
	"github.com/lnactor/lnactor/internal/seed"
)

// seedPlace is where a seed is or will be, and what opens it.
type seedPlace struct {
	dir        string
	params     *chaincfg.Params
	passphrase []byte
}

// seedFlags registers the flags of a command about the seed, and reads them.
func seedFlags(cmd *cobra.Command) func() (seedPlace, error) {
	flags := cmd.Flags()
	flags.StringP("dir", "d", "", "data directory (default: LNACTOR_DIR, else ~/.lnactor)")
	flags.String("network", "", "network of the node (default: what the configuration says)")
	flags.String("passphrase-file", "", "file with the passphrase (default: LNACTOR_PASSPHRASE, or a prompt on a terminal)")
	return func() (p seedPlace, err error) {
		in := config.Input{Flags: map[string]string{}, Environ: os.Environ()}
		for _, name := range []string{"dir", "network", "passphrase-file"} {
			if f := flags.Lookup(name); f.Changed {
				in.Flags[name] = f.Value.String()
			}
		}
		c, err := config.Load(in)
		if err != nil {
			return p, err
		}
		p.dir, p.params = c.Dir, daemon.Params(c.Text("network"))
		if p.passphrase, _, err = lnactor.PassphraseFromEnv(); err != nil {
			return p, err
		}
		if path := c.Text("passphrase-file"); path != "" {
			p.passphrase, err = daemon.ReadSecret(path)
		}
		return p, err
	}
}

// unlock calls f with the passphrase, and with one that is asked for if a person is there and the first is wrong.
func (p *seedPlace) unlock(ask io.Writer, f func() error) error {
	err := f()
	if !errors.Is(err, lnactor.ErrPassphrase) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return err
	}
	t := &terminal{out: ask}
	if p.passphrase, err = t.Secret("Passphrase of the seed: "); err != nil {
		return err
	}
	return f()
}

func newSeed() *cobra.Command {
	cmd := &cobra.Command{
		Use: "seed", Short: "Show the 24 words of the seed",
		Long: `Shows the 24 words of the seed in a data directory. They, with the passphrase, are
the money of the node: show them to nobody. The node may run or not.

'lnactor seed restore' makes a node of them.`,
		Example: "  lnactor seed -d alice", Args: noArgs,
	}
	var asJSON bool
	place := seedFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := place()
		if err != nil {
			return err
		}
		var words []string
		err = p.unlock(cmd.ErrOrStderr(), func() (err error) {
			words, err = lnactor.SeedWords(p.dir, p.passphrase, p.params)
			return err
		})
		if errors.Is(err, seed.ErrNotFound) {
			return &apiError{
				err: err, text: fmt.Sprintf("there is no seed in %s", p.dir),
				hint: "say with --dir where the node's data is; the first start makes a seed, and 'lnactor seed restore' makes one of its words",
			}
		}
		if err != nil {
			return err
		}
		if asJSON {
			return encodeJSON(cmd.OutOrStdout(), map[string][]string{"words": words})
		}
		fmt.Fprintln(cmd.OutOrStdout(), strings.Join(words, " "))
		return nil
	}
	cmd.AddCommand(newSeedRestore())
	return cmd
}

const seedRestoreLong = `Makes a data directory from the 24 words of a seed. They are asked for on a terminal, or
read from standard input; never give them as arguments, which other users and the
shell's history see. The passphrase is the one that the words were made under.

The node that runs there is the same node, and finds the coins of the wallet on the
chain, from the day on which the seed was made. Channels are not in the words. If there
is a backup, restore it as well, before the first start: 'lnactor restore' takes a
directory with its seed. Without one ask the peers to close the channels. No key of an
old channel is used again.

The old node must never run again: two nodes with one seed are one too many.

A directory that has a seed is refused, and one that has the store of another node. If
only the seed was lost, the words bring it back beside its store.`

func newSeedRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore", Short: "Make a node of the 24 words of its seed", Long: seedRestoreLong,
		Example: "  lnactor seed restore -d alice\n  lnactor seed restore -d alice <words.txt",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return &usageError{
				errors.New("the words are no arguments: other users and the shell's history would see them"),
				fmt.Sprintf("run '%s' and type them, or give them on standard input", cmd.CommandPath()),
			}
		},
	}
	var asJSON bool
	place := seedFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := place()
		if err != nil {
			return err
		}
		words, err := readWords(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		var root *seed.Root
		err = p.unlock(cmd.ErrOrStderr(), func() (err error) {
			root, err = seed.FromWords(words, p.passphrase, p.params)
			return err
		})
		if err == nil {
			err = lnactor.Restore(p.dir, words, p.passphrase, p.params)
		}
		if err != nil {
			return explainWords(err)
		}
		key, err := root.NodeKey()
		if err != nil {
			return err
		}
		nodeID, made := fmt.Sprintf("%x", key.PubKey().SerializeCompressed()), root.Birthday().UTC().Format(time.DateOnly)
		if asJSON {
			return encodeJSON(cmd.OutOrStdout(), map[string]string{"dir": p.dir, "node_id": nodeID, "made_on": made})
		}
		page := newPage(cmd.OutOrStdout())
		page.row("restored to", p.dir)
		page.row("node", nodeID)
		page.row("made on", made)
		if err := page.flush(); err != nil {
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), "\nNever start the node again that the seed was in.\n"+
			"Channels are not in the words: if there is a backup, run 'lnactor restore' before the first start.\n"+
			"'lnactor run' then finds the coins of the wallet on the chain.\n")
		return err
	}
	return cmd
}

// maxWords bounds what is read of standard input; 24 words are a quarter of it at most.
const maxWords = 1024

// readWords asks a person for the words, on as many lines as they like, or reads all that a program gives.
func readWords(ask io.Writer) (words []string, err error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		raw, err := io.ReadAll(io.LimitReader(os.Stdin, maxWords))
		return strings.Fields(strings.ToLower(string(raw))), err
	}
	t := &terminal{in: bufio.NewReader(os.Stdin), out: ask}
	t.Print(fmt.Sprintf("The %d words of the seed, in order, on one line or more.\n", seed.WordCount))
	for len(words) < seed.WordCount {
		line, err := t.Line(fmt.Sprintf("From word %d on: ", len(words)+1))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		more := strings.Fields(strings.ToLower(line))
		if len(more) == 0 {
			break // given up; the count says so
		}
		words = append(words, more...)
	}
	return words, nil
}

// explainWords says what to do. None of it names a word.
func explainWords(err error) error {
	switch {
	case errors.Is(err, lnactor.ErrPassphrase):
		return &apiError{err: err, text: err.Error(), hint: "give the passphrase that the words were made under, with --passphrase-file; nothing was changed"}
	case errors.Is(err, seed.ErrCorrupt) && !errors.Is(err, lnactor.ErrCorrupt):
		return &usageError{err, "compare the words with the paper, one by one: they are 24, in order; nothing was changed"}
	}
	return explainRestore(err)
}
