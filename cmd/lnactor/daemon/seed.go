package daemon

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/seed"
)

// Terminal is where a person sits. A process without one runs unattended.
type Terminal interface {
	Print(text string)
	// Line and Secret ask; Secret does not show what is typed.
	Line(prompt string) (string, error)
	Secret(prompt string) ([]byte, error)
}

// ErrUsage says that the start needs something that only its caller can give.
var ErrUsage = errors.New("usage")

const (
	seedFile = "seed"
	// unconfirmed is there from before the seed is made until its words are known to be written down.
	unconfirmed = "seed-unconfirmed"
	storeFile   = "store.db"
)

// prepareSeed makes the seed at the first start and shows its words until they are confirmed, and returns the passphrase for later.
func prepareSeed(o Options, params *chaincfg.Params) (passphrase []byte, err error) {
	dir, attended := o.Config.Dir, o.Terminal != nil && !o.Config.Bool("unattended")
	// A new seed would be in the way of the restore, and the old one must not begin without its store.
	if err := lnactor.CheckRestore(dir); err != nil {
		return nil, err
	}
	passphrase, given, err := givenPassphrase(o)
	if err != nil {
		return nil, err
	}
	path, mark := filepath.Join(dir, seedFile), filepath.Join(dir, unconfirmed)
	fresh := absent(path) && absent(filepath.Join(dir, storeFile))
	if fresh && !attended && !o.Config.Bool("unattended") {
		return nil, fmt.Errorf("%w: the first start makes the seed, whose words must be written down: run it on a terminal, or with --unattended "+
			"and then 'lnactor seed' to see the words", ErrUsage)
	}
	if fresh {
		if given && len(passphrase) == 0 { // a secret that is not mounted yet, not the wish for none
			return nil, fmt.Errorf("%w: the passphrase file is empty; for a seed without a passphrase name no file", lnactor.ErrConfig)
		}
		if !given && attended {
			if passphrase, err = choosePassphrase(o.Terminal); err != nil {
				return nil, err
			}
		}
		if attended {
			if err := os.WriteFile(mark, []byte("The words of the seed were not confirmed yet.\n"), 0o600); err != nil {
				return nil, err
			}
		}
		if _, err := seed.Create(path, passphrase, params, rand.Reader, time.Now()); err != nil {
			return nil, err
		}
		if !attended {
			o.Log.Warn("a new seed was made and its words were not shown: run 'lnactor seed' and write them down", "dir", dir)
		}
	} else if !given && !absent(path) {
		if passphrase, err = askPassphrase(o, path, params, attended); err != nil {
			return nil, err
		}
	}
	if absent(mark) {
		if !fresh && absent(filepath.Join(dir, storeFile)) {
			o.Log.Warn("there is a seed and no store: the node begins with the coins of the wallet and without channels. If this seed ever had channels, stop "+
				"the node, move this store away and restore a backup ('lnactor restore'); without one, ask their peers to close them", "dir", dir)
		}
		return passphrase, nil
	}
	if !attended {
		o.Log.Warn("the words of the seed were never confirmed: run 'lnactor seed' and write them down", "dir", dir)
		return passphrase, nil
	}
	words, err := lnactor.SeedWords(dir, passphrase, params)
	if err != nil {
		return nil, err
	}
	if err := confirm(o.Terminal, words); err != nil {
		return nil, err
	}
	return passphrase, os.Remove(mark)
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// givenPassphrase is the one that was configured. A file is read by lnactor.Open, but it is needed here, too.
func givenPassphrase(o Options) (passphrase []byte, given bool, err error) {
	if path := o.Config.Text("passphrase-file"); path != "" {
		passphrase, err = ReadSecret(path)
		return passphrase, true, err
	}
	return lnactor.PassphraseFromEnv()
}

// choosePassphrase asks for a new one, twice.
func choosePassphrase(t Terminal) ([]byte, error) {
	t.Print("This is the first start. The seed of the node is made now.\n\n" +
		"A passphrase encrypts it. Every start needs it, and so does whoever restores the\nseed from its words. It may be empty.\n\n")
	for {
		first, err := t.Secret("Passphrase: ")
		if err != nil {
			return nil, err
		}
		second, err := t.Secret("Once more:  ")
		if err != nil {
			return nil, err
		}
		if bytes.Equal(first, second) {
			return first, nil
		}
		t.Print("They are not the same.\n\n")
	}
}

// askPassphrase asks only if the seed has one.
func askPassphrase(o Options, path string, params *chaincfg.Params, attended bool) ([]byte, error) {
	_, err := seed.Open(path, nil, params)
	if !errors.Is(err, seed.ErrPassphrase) || !attended {
		return nil, err
	}
	for range 3 {
		passphrase, err := o.Terminal.Secret("Passphrase of the seed: ")
		if err != nil {
			return nil, err
		}
		if _, err = seed.Open(path, passphrase, params); !errors.Is(err, seed.ErrPassphrase) {
			return passphrase, err
		}
		o.Terminal.Print("That is not it.\n")
	}
	return nil, err
}

// asked are the words that must be typed to show that they are written down.
var asked = []int{3, 11, 20}

// confirm shows the words and insists.
func confirm(t Terminal, words []string) error {
	var b strings.Builder
	b.WriteString("\nThese 24 words, with the passphrase, are the money of the node. Write them on paper,\nin order, and show them to nobody. Channels are not in them: keep " +
		"the data directory.\n\n")
	for row := range 6 {
		for column := range 4 {
			i := column*6 + row
			fmt.Fprintf(&b, "  %2d %-12s", i+1, words[i])
		}
		b.WriteString("\n")
	}
	t.Print(b.String() + "\n")
	for {
		wrong := false
		for _, i := range asked {
			answer, err := t.Line(fmt.Sprintf("Word %d, as you wrote it down: ", i))
			if err != nil {
				return fmt.Errorf("%w: the words of the seed were not confirmed; the next start shows them again: %w", ErrUsage, err)
			}
			wrong = wrong || strings.ToLower(strings.TrimSpace(answer)) != words[i-1]
		}
		if !wrong {
			t.Print("\n")
			return nil
		}
		t.Print("\nNot all of them are right. Look at the list above and try again.\n\n")
	}
}

// maxSecret bounds a file with a secret.
const maxSecret = 4096

// ReadSecret reads a small file that only its owner can read, without its last line break.
func ReadSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others can read %s; run: chmod 600 %q", lnactor.ErrConfig, path, path)
	}
	if info.Size() > maxSecret {
		return nil, fmt.Errorf("%w: %s has %d bytes, %d are the most", lnactor.ErrConfig, path, info.Size(), maxSecret)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	return bytes.TrimRight(raw, "\r\n"), nil
}
