package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// write is an answerer that sends these bytes as they are.
func write(status int, body string) answerer {
	return func(w http.ResponseWriter, _ []json.RawMessage) (any, error) {
		w.WriteHeader(status)
		io.WriteString(w, body)
		return nil, errWritten
	}
}

// hangUp breaks the connection in the middle of an answer.
func hangUp(w http.ResponseWriter, _ []json.RawMessage) (any, error) {
	w.Header().Set("Content-Length", "1000")
	io.WriteString(w, `{"result":"`)
	panic(http.ErrAbortHandler)
}

// TestGarbage: whatever comes in place of an answer, every call returns the
// typed error.
func TestGarbage(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	genesis := *regtest.Params().GenesisHash
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	calls := map[string]func() error{
		"getbestblockhash":   func() error { _, err := n.Tip(t.Context()); return err },
		"getblockhash":       func() error { _, err := n.HashAt(t.Context(), 7); return err },
		"getblockheader":     func() error { _, _, err := n.Header(t.Context(), genesis); return err },
		"getblock":           func() error { _, err := n.Block(t.Context(), genesis); return err },
		"sendrawtransaction": func() error { return n.Broadcast(t.Context(), tx) },
		"estimatesmartfee":   func() error { _, err := n.FeeRate(t.Context(), 6); return err },
	}
	for _, test := range []struct {
		name   string
		answer answerer
		want   error
		says   string
	}{
		{"empty", write(200, ""), chain.ErrBadAnswer, ""},
		{"web page", write(404, "<html>not here</html>"), chain.ErrBadAnswer, ""},
		{"redirect", func(w http.ResponseWriter, _ []json.RawMessage) (any, error) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return nil, errWritten
		}, chain.ErrBadAnswer, ""},
		{"cut off", write(200, `{"result":"00`), chain.ErrBadAnswer, ""},
		{"broken", hangUp, chain.ErrUnreachable, ""},
		{"other question", write(200, `{"result":"00","error":null,"id":0}`), chain.ErrBadAnswer, "to question"},
		{"no id", write(200, `{"result":"00","error":null}`), chain.ErrBadAnswer, "to question"},
		{"list", write(200, `[1,2,3]`), chain.ErrBadAnswer, ""},
		{"error text", write(500, `{"result":null,"error":"no","id":1}`), chain.ErrBadAnswer, ""},
		{"number", say(-17, nil), chain.ErrBadAnswer, ""},
		{"list result", say([]string{"a"}, nil), chain.ErrBadAnswer, ""},
		{"busy", write(503, "Work queue depth exceeded"), chain.ErrUnreachable, ""},
		{"forbidden", write(403, ""), chain.ErrAccess, "403"},
		{"warming up", say(nil, rpcError(-28, "Loading block index…")), chain.ErrUnreachable, ""},
		{"endless", func(w http.ResponseWriter, _ []json.RawMessage) (any, error) {
			for range 10 << 10 {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1024)); err != nil {
					break
				}
			}
			return nil, errWritten
		}, chain.ErrBadAnswer, "more than"},
	} {
		for method, call := range calls {
			b.answer(method, test.answer)
			err := call()
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %s: %v, want %v", method, test.name, err, test.want)
			}
			if !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("%s: %s: %v, want one that says %q", method, test.name, err, test.says)
			}
			b.answer(method, nil)
		}
	}
	if _, err := n.Tip(t.Context()); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestWrongText: answers of the right type with the wrong content.
func TestWrongText(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	hash, _ := b.Tip()
	header, height, err := b.Header(hash)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "xyz", "00", strings.Repeat("0", 65), strings.Repeat("g", 64)} {
		b.answer("getblockhash", say(text, nil))
		if _, err := n.HashAt(t.Context(), 5); !errors.Is(err, chain.ErrBadAnswer) {
			t.Errorf("hash %q: %v, want ErrBadAnswer", text, err)
		}
		b.answer("getblockhash", nil)
		b.answer("getblock", say(text, nil))
		if _, err := n.Block(t.Context(), hash); !errors.Is(err, chain.ErrBadAnswer) {
			t.Errorf("block %q: %v, want ErrBadAnswer", text, err)
		}
		b.answer("getblock", nil)
	}
	block, err := b.BlockByHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{encode(block) + "00", encode(block)[:100], strings.Repeat("ff", 4000)} {
		b.answer("getblock", say(text, nil))
		if _, err := n.Block(t.Context(), hash); !errors.Is(err, chain.ErrBadAnswer) && !errors.Is(err, chain.ErrInvalidBlock) {
			t.Errorf("block %.40q: %v, want ErrBadAnswer", text, err)
		}
	}
	for field := range verbose(header, height) {
		for _, wrong := range []any{nil, "", "zz", -1, 1e99, []int{1}, map[string]int{}} {
			v := verbose(header, height)
			v[field] = wrong
			b.answer("getblockheader", say(v, nil))
			got, at, err := n.Header(t.Context(), hash)
			switch {
			case err == nil && (got.BlockHash() != hash || at != height):
				t.Errorf("%s %v: got header %v at %d", field, wrong, got.BlockHash(), at)
			case err != nil && !errors.Is(err, chain.ErrBadAnswer) && !errors.Is(err, chain.ErrInvalidBlock):
				t.Errorf("%s %v: %v, want ErrBadAnswer", field, wrong, err)
			}
		}
	}
}

// TestSlow: a node that does not answer costs the context's time, or the
// configured one.
func TestSlow(t *testing.T) {
	b := startBitcoind(t)
	release := make(chan struct{})
	defer close(release)
	hang := func(http.ResponseWriter, []json.RawMessage) (any, error) {
		<-release
		return nil, nil
	}

	cfg := b.config()
	cfg.Timeout = 50 * time.Millisecond
	n := open(t, cfg)
	b.answer("getblockhash", hang)
	if _, err := n.HashAt(t.Context(), 1); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("a slow node: %v, want ErrUnreachable", err)
	}
	if _, err := rpc.Open(t.Context(), cfg); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("open a slow node: %v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := rpc.Open(ctx, b.config()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open a slow node: %v, want the context's error", err)
	}

	// Close ends a call that waits.
	patient := b.config()
	b.answer("getblockhash", nil)
	waits := open(t, patient)
	b.answer("getblock", func(http.ResponseWriter, []json.RawMessage) (any, error) {
		go waits.Close()
		<-release
		return nil, nil
	})
	if _, err := waits.Block(t.Context(), chainhash.Hash{1}); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("closed during a call: %v, want ErrClosed", err)
	}
	if _, err := waits.Tip(t.Context()); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("a call after Close: %v, want ErrClosed", err)
	}
}

func TestLogin(t *testing.T) {
	b := startBitcoind(t)
	cfg := b.config()
	cfg.Pass = "wrong"
	if _, err := rpc.Open(t.Context(), cfg); !errors.Is(err, chain.ErrAccess) || !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("wrong password: %v, want ErrAccess and ErrUnreachable", err)
	}

	cfg.User, cfg.Pass = "", ""
	cfg.CookieFile = filepath.Join(t.TempDir(), ".cookie")
	if _, err := rpc.Open(t.Context(), cfg); !errors.Is(err, chain.ErrAccess) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no cookie: %v, want ErrAccess", err)
	}
	os.WriteFile(cfg.CookieFile, []byte("nonsense"), 0o600)
	if _, err := rpc.Open(t.Context(), cfg); !errors.Is(err, chain.ErrAccess) {
		t.Errorf("bad cookie: %v, want ErrAccess", err)
	}
	os.WriteFile(cfg.CookieFile, []byte(user+":"+pass+"\n"), 0o600)
	n := open(t, cfg)

	// bitcoind starts again and writes another cookie.
	b.mu.Lock()
	b.pass = "another"
	b.mu.Unlock()
	if _, err := n.Tip(t.Context()); !errors.Is(err, chain.ErrAccess) {
		t.Errorf("old cookie: %v, want ErrAccess", err)
	}
	os.WriteFile(cfg.CookieFile, []byte(user+":another"), 0o600)
	if _, err := n.Tip(t.Context()); err != nil {
		t.Errorf("new cookie: %v", err)
	}
}

func TestTLS(t *testing.T) {
	b := startBitcoind(t)
	server := httptest.NewTLSServer(b)
	defer server.Close()
	server.Config.ErrorLog = nil
	cfg := b.config()
	cfg.URL = server.URL
	if _, err := rpc.Open(t.Context(), cfg); !errors.Is(err, chain.ErrAccess) {
		t.Errorf("unknown certificate: %v, want ErrAccess", err)
	}
	cfg.CertFile = filepath.Join(t.TempDir(), "cert")
	os.WriteFile(cfg.CertFile, pemOf(server), 0o600)
	open(t, cfg)

	plain := b.config()
	plain.URL = strings.Replace(plain.URL, "http:", "https:", 1)
	if _, err := rpc.Open(t.Context(), plain); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("https to an http port: %v, want ErrUnreachable", err)
	}
}

func TestConfig(t *testing.T) {
	good := rpc.Config{Params: regtest.Params(), URL: "http://127.0.0.1:1"}
	empty := filepath.Join(t.TempDir(), "empty")
	os.WriteFile(empty, nil, 0o600)
	for name, change := range map[string]func(*rpc.Config){
		"no chain":         func(c *rpc.Config) { c.Params = nil },
		"no URL":           func(c *rpc.Config) { c.URL = "" },
		"no scheme":        func(c *rpc.Config) { c.URL = "127.0.0.1:8332" },
		"other scheme":     func(c *rpc.Config) { c.URL = "ftp://127.0.0.1" },
		"no host":          func(c *rpc.Config) { c.URL = "http://" },
		"bad URL":          func(c *rpc.Config) { c.URL = "http://[" },
		"password in URL":  func(c *rpc.Config) { c.URL = "http://a:topsecret@127.0.0.1" },
		"two logins":       func(c *rpc.Config) { c.User, c.CookieFile = "a", "b" },
		"negative timeout": func(c *rpc.Config) { c.Timeout = -1 },
		"no such cert":     func(c *rpc.Config) { c.CertFile = empty + "er" },
		"no cert":          func(c *rpc.Config) { c.CertFile = empty },
	} {
		cfg := good
		change(&cfg)
		_, err := rpc.Open(t.Context(), cfg)
		if !errors.Is(err, rpc.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "topsecret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	if _, err := rpc.Open(t.Context(), good); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("nobody there: %v, want ErrUnreachable", err)
	}
}
