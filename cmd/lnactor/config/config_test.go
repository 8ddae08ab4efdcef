package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
)

var update = flag.Bool("update", false, "write the sample file anew")

// TestSample: the committed sample is the reference, so it has every setting with its default, and is itself a good file.
func TestSample(t *testing.T) {
	want := config.Sample()
	if *update {
		if err := os.WriteFile("lnactor.toml", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("lnactor.toml")
	if err != nil || string(have) != want {
		t.Fatalf("lnactor.toml is not what the table of settings says (%v); run the test with -update", err)
	}
	values, err := config.Parse("lnactor.toml", have)
	if err != nil {
		t.Fatal(err)
	}
	for i := range config.Settings {
		s := &config.Settings[i]
		if v, ok := values[s.Key]; !ok || v != s.Default {
			t.Errorf("the sample has %s = %q, %v; the default is %q", s.Key, v, ok, s.Default)
		}
	}
	if len(values) != len(config.Settings) {
		t.Errorf("%d values for %d settings", len(values), len(config.Settings))
	}
}

func write(t *testing.T, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, config.FileName)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence: flag, variable, file, default, each with its origin.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "listen = \"1.1.1.1:1\"\nmin-depth = 6\n[rpc]\nurl = \"http://file\"\n[neutrino]\npeers = [\"a:1\", \"b:2\"]\n")
	c, err := config.Load(config.Input{
		Flags:   map[string]string{"dir": dir, "listen": "3.3.3.3:3"},
		Environ: []string{"HOME=/x", "LNACTOR_LISTEN=2.2.2.2:2", "LNACTOR_RPC_URL=http://env", "LNACTOR_DIR=/nowhere", "LNACTOR_PASSPHRASE=hush"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]string{
		{"listen", "3.3.3.3:3", "flag --listen"},
		{"rpc.url", "http://env", "LNACTOR_RPC_URL"},
		{"min-depth", "6", path},
		{"stop-limit", "30s", "default"},
	} {
		found := false
		for _, v := range c.Values() {
			if v.Setting.Key == want[0] {
				found = v.Value == want[1] && v.Origin == want[2]
			}
			if strings.Contains(v.Value, "hush") {
				t.Errorf("a secret in %s", v.Setting.Key)
			}
		}
		if !found {
			t.Errorf("want %v, have %+v", want, c.Values())
		}
	}
	if c.Dir != dir || c.DirOrigin != "flag --dir" || c.File != path {
		t.Errorf("dir %s (%s), file %s", c.Dir, c.DirOrigin, c.File)
	}
	if c.Number("min-depth") != 6 || c.Duration("stop-limit") != 30*time.Second || len(c.List("neutrino.peers")) != 2 || c.Bool("unattended") {
		t.Errorf("%+v", c.Values())
	}
	if c.Chain() != "embedded" || c.Socket() != filepath.Join(dir, "api.sock") {
		t.Errorf("chain %s, socket %s", c.Chain(), c.Socket())
	}
}

// TestRefused: what is wrong is said, with where it comes from and what it may have been.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		file  string
		flags map[string]string
		env   string
		want  []string
	}{
		{file: "lisen = \"x\"", want: []string{"lnactor.toml", `"lisen" is no setting`, `did you mean "listen"`}},
		{file: "[rpc]\nurk = \"x\"", want: []string{`did you mean "rpc.url"`}},
		{file: "listen = 5", want: []string{"listen must be a text in quotes"}},
		{file: "min-depth = \"3\"", want: []string{"min-depth must be a number"}},
		{file: "min-depth = -1", want: []string{"min-depth", "not a number"}},
		{file: "min-depth = 4294967296", want: []string{"min-depth", "not a number"}},
		{file: "unattended = 1", want: []string{"unattended must be true or false"}},
		{file: "[neutrino]\npeers = \"a\"", want: []string{"a list of texts"}},
		{file: "[neutrino]\npeers = [1]", want: []string{"a list of texts"}},
		{file: "stop-limit = \"soon\"", want: []string{"stop-limit", "not a time"}},
		{file: "network = \"moon\"", want: []string{`"moon" is none of regtest`}},
		{file: "listen = \"a", want: []string{"line 1"}},
		{file: "listen = \"a\"\nlisten = \"b\"", want: []string{"line 2"}},
		{file: "rpc = 3", want: []string{`"rpc" is no setting`}},
		{env: "LNACTOR_LISEN=x", want: []string{"environment", "LNACTOR_LISEN", "LNACTOR_LISTEN"}},
		{env: "LNACTOR_MIN_DEPTH=x", want: []string{"LNACTOR_MIN_DEPTH", "not a number"}},
		{flags: map[string]string{"config": "/no/such/file"}, want: []string{"/no/such/file", "no such file"}},
		{flags: map[string]string{"dir": ""}, want: []string{"flag --dir"}},
		{flags: map[string]string{"log-level": "loud"}, want: []string{"flag --log-level", "debug, info"}},
	} {
		in := config.Input{Flags: map[string]string{"dir": t.TempDir()}}
		write(t, in.Flags["dir"], test.file)
		for k, v := range test.flags {
			in.Flags[k] = v
		}
		if test.env != "" {
			in.Environ = []string{test.env}
		}
		_, err := config.Load(in)
		if !errors.Is(err, lnactor.ErrConfig) {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v does not say %q", test, err, want)
			}
		}
	}
}

// TestForClient: a mistake in the configuration keeps a node from starting, not people from the node that runs. What tells where it is counts all the
// same, and where that can't be read of a file that was named, no other node is taken for it.
func TestForClient(t *testing.T) {
	for _, test := range []struct {
		file, socket string // empty: the default
		env          string
	}{
		{file: "lisen = \"x\"\napi.socket = \"/there.sock\"", socket: "/there.sock"},
		{file: "network = \"moon\"\napi.socket = 5"},
		{file: "api.socket = \"/there.sock"},
		{env: "LNACTOR_LISEN=x"},
		{env: "LNACTOR_MIN_DEPTH=x"},
	} {
		dir := t.TempDir()
		write(t, dir, test.file)
		c, warning, err := config.LoadForClient(config.Input{Flags: map[string]string{"dir": dir}, Environ: []string{test.env}})
		if err != nil || !errors.Is(warning, lnactor.ErrConfig) {
			t.Errorf("%+v: warning %v, error %v", test, warning, err)
			continue
		}
		want := test.socket
		if want == "" {
			want = filepath.Join(dir, "api.sock")
		}
		if got := c.Socket(); got != want || c.Text("network") != "regtest" {
			t.Errorf("%+v: the node is at %s, want %s", test, got, want)
		}
	}
	named := filepath.Join(t.TempDir(), "named.toml")
	for _, content := range []string{"", "api.socket = \"/there.sock"} {
		if content != "" {
			if err := os.WriteFile(named, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := config.LoadForClient(config.Input{Flags: map[string]string{"config": named}}); !errors.Is(err, lnactor.ErrConfig) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if c, warning, err := config.LoadForClient(config.Input{Flags: map[string]string{"dir": t.TempDir()}}); c == nil || warning != nil || err != nil {
		t.Errorf("nothing is wrong: %v, %v", warning, err)
	}
}

// TestCheck: values that are good by themselves and do not fit together.
func TestCheck(t *testing.T) {
	for _, test := range []struct {
		flags string
		want  string // empty: good
	}{
		{"", ""},
		{"network=mainnet", "never run"},
		{"network=mainnet i-accept-the-risk-of-mainnet=true", ""},
		{"network=testnet", ""},
		{"network=testnet chain=embedded", "regtest chain, not testnet"},
		{"chain=btcd", "rpc.url"},
		{"chain=rpcpoll rpc-url=http://127.0.0.1:1", ""},
		{"chain=rpcpoll rpc-url=http://127.0.0.1:1 rpc-user=x", "belong together"},
		{"chain=rpcpoll rpc-url=http://127.0.0.1:1 rpc-user=x rpc-password-file=y rpc-cookie-file=z", "either it or"},
		{"serve-chain=127.0.0.1:0", ""},
		{"serve-chain=127.0.0.1:0 chain=neutrino", "only the embedded"},
		{"listen=here", "not host:port"},
		{"api-listen=1.2.3.4:port", "not host:port"},
		{"neutrino-peers=a:1,http://b", "not host:port"},
		{"events-webhooks=a=https://example.com/x?y=z,b=http://127.0.0.1:1", ""},
		{"events-webhooks=https://example.com/hush", "NAME=URL"},
		{"events-webhooks=A=https://example.com", "characters"},
		{"events-webhooks=a=http://example.com/hush", "begins with https"},
		{"events-max-events=99", "the least"},
		{"events-webhook-attempts=0", "the least"},
		{"public-color=red", "public.color: \"red\""},
		{"public-color=ff8800", ""},
		{"forwarding-cltv-delta=45", "forwarding.cltv-delta: a policy with cltv_expiry_delta 45: it must be from 46 to 2016"},
		{"forwarding-cltv-delta=65616", "forwarding.cltv-delta"},
		{"forwarding-cltv-delta=0", "forwarding.cltv-delta"},
		{"forwarding-ppm=1000001", "forwarding.ppm"},
		{"forwarding-min-htlc-msat=5001 forwarding-max-htlc-sat=5", "forwarding.max-htlc-sat"},
		{"forwarding-min-htlc-msat=5000 forwarding-max-htlc-sat=5 forwarding-max-in-flight-sat=4", "forwarding.max-in-flight-sat"},
		{"forwarding-base-msat=1000 forwarding-ppm=250 forwarding-cltv-delta=46", ""},
	} {
		in := config.Input{Flags: map[string]string{"dir": t.TempDir()}}
		for _, kv := range strings.Fields(test.flags) {
			k, v, _ := strings.Cut(kv, "=")
			in.Flags[k] = v
		}
		c, err := config.Load(in)
		if err != nil {
			t.Fatal(err)
		}
		switch err := c.Check(); {
		case test.want == "" && err != nil, test.want != "" && !errors.Is(err, lnactor.ErrConfig):
			t.Errorf("%s: %v", test.flags, err)
		case test.want != "" && !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: %v does not say %q", test.flags, err, test.want)
		}
	}
}

// FuzzParse: no file crashes the reader; what it takes is known and good.
func FuzzParse(f *testing.F) {
	f.Add(config.Sample())
	f.Add("listen = \"a\"\n[rpc]\nurl=\"x\"")
	f.Add("[[rpc]]\nurl=1979-05-27")
	f.Add("neutrino.peers = [[], {}]")
	f.Add("\"\" = {a = {b = 1}}")
	f.Fuzz(func(t *testing.T, content string) {
		values, err := config.Parse("f", []byte(content))
		if err != nil {
			if clear(t, err); values != nil {
				t.Errorf("%v, %v", values, err)
			}
			return
		}
		for k := range values {
			known := false
			for i := range config.Settings {
				known = known || config.Settings[i].Key == k
			}
			if !known {
				t.Errorf("took %q", k)
			}
		}
	})
}

// FuzzLoad: no value of any setting crashes the checks.
func FuzzLoad(f *testing.F) {
	f.Add("listen", "1:2")
	f.Add("network", "mainnet")
	f.Add("neutrino-peers", ",,\x00")
	f.Add("rpc-interval", "-1ns")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, key, value string) {
		c, err := config.Load(config.Input{
			Flags: map[string]string{"dir": dir, key: value, "config": os.DevNull}, Environ: []string{"LNACTOR_" + key + "=" + value},
		})
		if err == nil {
			_ = c.Check()
			_, _, _ = c.Chain(), c.Socket(), c.List("neutrino.peers")
		} else {
			clear(t, err)
		}
	})
}
