package chainserver_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/actors/chainwatch/rpcpoll"
	"github.com/lnactor/lnactor/cmd/lnactor/chainserver"
)

// served is a chain behind a server that can be stopped and started again at its address.
type served struct {
	*regtest.Chain
	addr   string
	server *chainserver.Server
}

func serve(t testing.TB) *served {
	t.Helper()
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &served{Chain: c, addr: "127.0.0.1:0"}
	s.Start(t)
	s.addr = s.server.Addr()
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *served) Start(t testing.TB) {
	t.Helper()
	var err error
	if s.server, err = chainserver.Start(s.Chain, s.addr, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}

func (s *served) Stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s.server.Close(ctx)
}

type backend struct{ *served }

func (b backend) Tip(testing.TB) chain.BlockID {
	hash, height := b.Chain.Tip()
	return chain.BlockID{Height: height, Hash: hash}
}

func (b backend) Mine(t testing.TB, n int) {
	t.Helper()
	if _, err := b.Chain.Mine(n); err != nil {
		t.Fatal(err)
	}
}

func (b backend) Reorg(t testing.TB, depth, n int) {
	t.Helper()
	if err := b.Chain.Reorg(depth, n); err != nil {
		t.Fatal(err)
	}
}

func (b backend) Coin(t testing.TB) chaintest.Coin {
	t.Helper()
	script, witness := regtest.FaucetScript()
	const value = btcutil.Amount(100_000)
	op, err := b.Fund(script, value)
	if err != nil {
		t.Fatal(err)
	}
	b.Mine(t, 1)
	return chaintest.Coin{OutPoint: op, Value: value, PkScript: script, Witness: witness}
}

func (b backend) AwaitTx(t testing.TB, txid chainhash.Hash) {
	t.Helper()
	if !b.InMempool(txid) {
		t.Fatalf("transaction %v is not in the mempool", txid)
	}
}

// TestConformance: the embedded chain is a chain source like any other to a process that reads it through rpcpoll.
func TestConformance(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := serve(t)
	open := func(ctx context.Context, params *chaincfg.Params) (*rpcpoll.Source, error) {
		return rpcpoll.Open(ctx, rpcpoll.Config{Config: rpc.Config{Params: params, URL: "http://" + s.addr}, Interval: 10 * time.Millisecond})
	}
	chaintest.Run(t, chaintest.Harness{
		Backend: backend{s},
		Open: func(t testing.TB) chain.Source {
			src, err := open(t.Context(), regtest.Params())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(src.Close)
			return src
		},
		OpenWrong: func(_ testing.TB, ctx context.Context) error {
			src, err := open(ctx, &chaincfg.MainNetParams)
			if err == nil {
				src.Close()
			}
			return err
		},
	})
}

// TestRequests: what is not a good call gets an answer that says so, and does no harm.
func TestRequests(t *testing.T) {
	s := serve(t)
	post := func(body string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	hash := strings.Repeat("ab", 32)
	for _, test := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"id":1,"method":"getblockcount","params":[]}`, 200, `"result":120`},
		{`{"id":"x","method":"getblockchaininfo"}`, 200, `"chain":"regtest"`},
		{`{"id":1,"method":"getblockhash","params":[121]}`, 500, `"code":-8`},
		{`{"id":1,"method":"getblockhash","params":[-1]}`, 500, `"code":-8`},
		{`{"id":1,"method":"getblockhash","params":["high"]}`, 500, `"code":-3`},
		{`{"id":1,"method":"getblock","params":["` + hash + `",0]}`, 500, `"code":-5`},
		{`{"id":1,"method":"getblock","params":["` + hash + `"]}`, 500, `"code":-8`},
		{`{"id":1,"method":"getblockheader","params":["ab"]}`, 500, `"code":-8`},
		{`{"id":1,"method":"getblockheader","params":[7]}`, 500, `"code":-3`},
		{`{"id":1,"method":"getrawtransaction","params":["` + hash + `",true]}`, 500, `"code":-5`},
		{`{"id":1,"method":"gettxout","params":["` + hash + `",0]}`, 200, `"result":null`},
		{`{"id":1,"method":"sendrawtransaction","params":["00"]}`, 500, `"code":-22`},
		{`{"id":1,"method":"sendrawtransaction","params":[]}`, 500, `"code":-22`},
		{`{"id":1,"method":"gettxspendingprevout","params":[[]]}`, 200, `"result":[]`},
		{`{"id":1,"method":"generatetoaddress","params":[1]}`, 404, `"code":-32601`},
		{`[]`, 400, "JSON-RPC"},
		{`{"method":`, 400, "JSON-RPC"},
	} {
		if status, text := post(test.body); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s, want %d %s", test.body, status, text, test.status, test.want)
		}
	}
	old, _ := s.Chain.Tip()
	if err := s.Reorg(1, 2); err != nil {
		t.Fatal(err)
	}
	best, _ := s.Chain.Tip()
	for block, want := range map[string]string{old.String(): `"confirmations":-1,`, best.String(): `"confirmations":1,`} {
		if status, text := post(`{"id":1,"method":"getblockheader","params":["` + block + `"]}`); status != 200 || !strings.Contains(text, want) {
			t.Errorf("header of %s: %d %s, want %s", block, status, text, want)
		}
	}
	if status, _ := post(`{"id":1,"method":"getblockcount"}`, "Origin", "http://evil.example"); status != 405 {
		t.Errorf("a web page was answered: %d", status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestLoopbackOnly(t *testing.T) {
	for address, good := range map[string]bool{
		"127.0.0.1:0": true, "localhost:1": true, "[::1]:18443": true,
		"0.0.0.0:18443": false, ":18443": false, "192.0.2.1:1": false, "127.0.0.1": false, "example.org:1": false, "": false,
	} {
		if err := chainserver.Check(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}
