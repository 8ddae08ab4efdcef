package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
)

// clear fails unless an error is a fault of the configuration, told in a text that a terminal can show.
func clear(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("no fault of the configuration: %v", err)
	}
	text := err.Error()
	if len(text) > 64<<10 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("nothing to show to a person: %.1000q", text)
	}
}

// pairs are lines of KEY=VALUE.
func pairs(text string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			out[k] = v
		}
	}
	return out
}

// FuzzSources: whatever is in the file, in the environment and in flags, all at once, what comes of it is a good configuration or a clear error. A configuration
// written as a file is the same configuration.
func FuzzSources(f *testing.F) {
	f.Add(config.Sample(), "LNACTOR_LISTEN=127.0.0.1:1\nHOME=/", "chain=rpcpoll\nrpc-url=http://127.0.0.1:1")
	f.Add("network = \"mainnet\"\ni-accept-the-risk-of-mainnet = true", "LNACTOR_CHAIN=btcd", "rpc-user=x\nrpc-cookie-file=y")
	f.Add("[events]\nwebhooks = [\"a=https://x/y\", \"b=http://127.0.0.1\"]\nmax-age = \"1h\"", "LNACTOR_PUBLIC_COLOR=ff0000", "forwarding-cltv-delta=46")
	f.Add("[forwarding]\nmin-htlc-msat = 4294967295\nmax-htlc-sat = 1", "LNACTOR_EVENTS_MAX_EVENTS=1", "api-listen=:99999")
	f.Add("listen = \"a", "LNACTOR_LISEN=x", "stop-limit=-1s")
	f.Fuzz(func(t *testing.T, file, environ, flags string) {
		dir := t.TempDir()
		path := filepath.Join(dir, config.FileName)
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		in := config.Input{Flags: pairs(flags), Environ: strings.Split(environ, "\n")}
		in.Flags["dir"] = dir
		if _, named := in.Flags["config"]; named {
			in.Flags["config"] = path // whatever is on this machine is none of this test's business
		}
		for i, kv := range in.Environ {
			if strings.HasPrefix(kv, "LNACTOR_CONFIG=") {
				in.Environ[i] = "LNACTOR_CONFIG=" + path
			}
		}
		c, err := config.Load(in)
		if err != nil {
			clear(t, err)
			return
		}
		if err := c.Check(); err != nil {
			clear(t, err)
		} else {
			if _, err := c.Public(); err != nil {
				t.Error(err)
			}
			if _, err := c.Forwarding(); err != nil {
				t.Error(err)
			}
		}
		_, _ = c.Chain(), c.Socket()
	})
}
