package daemon

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/internal/seed"
)

// person is a terminal with somebody who reads the words off the screen.
type person struct {
	screen  strings.Builder
	secrets []string // to be typed
	lines   func(prompt string) (string, error)
	asked   int
}

func (p *person) Print(text string) { p.screen.WriteString(text) }

func (p *person) Line(prompt string) (string, error) {
	p.asked++
	return p.lines(prompt)
}

func (p *person) Secret(string) ([]byte, error) {
	if len(p.secrets) == 0 {
		return nil, io.EOF
	}
	s := p.secrets[0]
	p.secrets = p.secrets[1:]
	return []byte(s), nil
}

// copies types what is on the screen.
func (p *person) copies(prompt string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(prompt, "Word %d,", &n); err != nil {
		return "", err
	}
	words := strings.Fields(p.screen.String())
	for i, w := range words {
		if w == fmt.Sprint(n) && i+1 < len(words) {
			return " " + strings.ToUpper(words[i+1]), nil
		}
	}
	return "", fmt.Errorf("word %d is not on the screen", n)
}

func options(t *testing.T, dir string, terminal Terminal, flags ...string) Options {
	t.Helper()
	in := config.Input{Flags: map[string]string{"dir": dir}}
	for _, f := range flags {
		k, v, _ := strings.Cut(f, "=")
		in.Flags[k] = v
	}
	c, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Config: c, Terminal: terminal, Log: slog.New(slog.DiscardHandler)}
}

// TestSeedWithoutStore: a node that begins with a seed that is not new and no store says so; the first start, and one with a store, do not.
func TestSeedWithoutStore(t *testing.T) {
	const warning = "there is a seed and no store"
	dir, params := t.TempDir(), Params("regtest")
	start := func() string {
		t.Helper()
		var log bytes.Buffer
		o := options(t, dir, nil, "unattended=true")
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		if _, err := prepareSeed(o, params); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if log := start(); strings.Contains(log, warning) {
		t.Errorf("the first start: %s", log)
	}
	if log := start(); !strings.Contains(log, warning) {
		t.Errorf("without a store: %q", log)
	}
	if err := os.WriteFile(filepath.Join(dir, storeFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if log := start(); log != "" {
		t.Errorf("with a store: %s", log)
	}
}

// TestFirstStart: words are shown and insisted on; a start that is broken off shows them again; later starts ask for the passphrase only.
func TestFirstStart(t *testing.T) {
	dir := t.TempDir()
	params := Params("regtest")

	// The two passphrases differ, then agree; the person goes away over the words.
	p := &person{secrets: []string{"sesame", "sesam", "sesame", "sesame"}, lines: func(string) (string, error) { return "", io.EOF }}
	if _, err := prepareSeed(options(t, dir, p), params); !errors.Is(err, ErrUsage) {
		t.Fatalf("not confirmed: %v", err)
	}
	words, err := lnactor.SeedWords(dir, []byte("sesame"), params)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range words {
		if !strings.Contains(p.screen.String(), fmt.Sprintf("%2d %s", i+1, w)) {
			t.Errorf("word %d is not shown", i+1)
		}
	}

	// The next start: a wrong passphrase first, then the words again, one of them typed wrong at first.
	p = &person{secrets: []string{"open", "sesame"}}
	p.lines = func(prompt string) (string, error) {
		if p.asked == 2 {
			return "zebra crossing", nil
		}
		return p.copies(prompt)
	}
	passphrase, err := prepareSeed(options(t, dir, p), params)
	if err != nil || string(passphrase) != "sesame" || p.asked != 2*len(asked) {
		t.Fatalf("%q, %v, asked %d times", passphrase, err, p.asked)
	}

	// From now on only the passphrase is asked for, and nothing secret is shown.
	p = &person{secrets: []string{"sesame"}}
	if passphrase, err = prepareSeed(options(t, dir, p), params); err != nil || string(passphrase) != "sesame" || p.asked != 0 {
		t.Fatalf("%q, %v, asked %d times", passphrase, err, p.asked)
	}
	if strings.Contains(p.screen.String(), words[0]+" ") {
		t.Error("the words are shown again")
	}

	// A file answers for the person.
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = &person{}
	if passphrase, err = prepareSeed(options(t, dir, p, "passphrase-file="+file), params); err != nil || string(passphrase) != "sesame" {
		t.Fatalf("%q, %v", passphrase, err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = prepareSeed(options(t, t.TempDir(), nil, "unattended=true", "passphrase-file="+empty), params); !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("a passphrase file that is empty: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err = prepareSeed(options(t, dir, p, "passphrase-file="+file), params); !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("a passphrase that others can read: %v", err)
	}
}

// TestNobodyThere: without a terminal a seed is made only if that was asked for, and never beside a store that has had another.
func TestNobodyThere(t *testing.T) {
	params := Params("regtest")
	dir := t.TempDir()
	if _, err := prepareSeed(options(t, dir, nil), params); !errors.Is(err, ErrUsage) || !absent(filepath.Join(dir, seedFile)) {
		t.Errorf("%v", err)
	}
	p := &person{}
	if _, err := prepareSeed(options(t, dir, p, "unattended=true"), params); err != nil || p.screen.Len() > 0 {
		t.Errorf("%v, shown: %s", err, p.screen.String())
	}
	if _, err := lnactor.SeedWords(dir, nil, params); err != nil {
		t.Error(err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, storeFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareSeed(options(t, dir, nil, "unattended=true"), params); err != nil || !absent(filepath.Join(dir, seedFile)) {
		t.Errorf("a new seed beside an old store: %v", err)
	}

	// Where a restore was interrupted neither a new seed is made nor the old one used, whoever is there.
	for _, there := range []string{"", seedFile} {
		dir = t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "restore-unfinished"), 0o700); err != nil {
			t.Fatal(err)
		}
		if there != "" {
			if _, err := seed.Create(filepath.Join(dir, there), nil, params, rand.Reader, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []Options{options(t, dir, &person{}), options(t, dir, nil, "unattended=true")} {
			if _, err := prepareSeed(o, params); !errors.Is(err, lnactor.ErrRestoreUnfinished) || there == "" && !absent(filepath.Join(dir, seedFile)) {
				t.Errorf("half a restore, with %q: %v", there, err)
			}
		}
	}
}
