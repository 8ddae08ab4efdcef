package rpc_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// FuzzAnswer gives the same answer to every question, with the right id where
// it says ID. Nothing but typed errors may come of it.
func FuzzAnswer(f *testing.F) {
	params := regtest.Params()
	genesis := *params.GenesisHash
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	for _, seed := range []string{
		`{"result":"` + genesis.String() + `","error":null,"id":ID}`,
		`{"result":"` + encode(params.GenesisBlock) + `","id":ID}`,
		`{"result":{"height":0,"version":1,"merkleroot":"` + genesis.String() + `","time":1,"bits":"207fffff","nonce":2},"id":ID}`,
		`{"result":{"height":5,"version":1,"time":1,"bits":"ffffffff","nonce":2},"id":ID}`,
		`{"result":{"feerate":0.0001},"id":ID}`,
		`{"result":-1,"id":ID}`,
		`{"error":{"code":-25,"message":"bad-txns-inputs-missingorspent"},"id":ID}`,
		`{"error":{"code":-5,"message":"Block not found"},"id":ID}`,
		`{"error":{"code":-28},"id":ID}`,
		`{"result":null,"id":ID}`,
		`{"result":[{"spendingtxid":""}],"id":ID}`,
		`[`, ``, `null`, `"x"`, `{"id":{}}`,
	} {
		f.Add(seed)
	}
	opened := map[string]any{
		"getblockhash": genesis.String(), "getbestblockhash": genesis.String(),
		"getblockheader": verbose(params.GenesisBlock.Header, 0),
	}
	var answer atomic.Pointer[string] // nil until the node is open
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			ID     uint64
			Method string
			Params []any
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			f.Error(err)
		}
		first := q.Method == "getblockhash" && q.Params[0] == 0.0 // asked for after each outage
		if text := answer.Load(); text != nil && !first {
			io.WriteString(w, strings.ReplaceAll(*text, "ID", strconv.FormatUint(q.ID, 10)))
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"id": q.ID, "result": opened[q.Method]})
	}))
	f.Cleanup(server.Close)
	n := open(f, rpc.Config{Params: params, URL: server.URL})

	f.Fuzz(func(t *testing.T, text string) {
		answer.Store(&text)
		_, err := n.Tip(t.Context())
		checkTyped(t, err)
		_, err = n.HashAt(t.Context(), 3)
		checkTyped(t, err)
		_, _, err = n.Header(t.Context(), genesis)
		checkTyped(t, err)
		_, err = n.Block(t.Context(), genesis)
		checkTyped(t, err)
		_, err = n.FeeRate(t.Context(), 3)
		checkTyped(t, err)
		checkTyped(t, n.Broadcast(t.Context(), tx))
	})
}

func checkTyped(t *testing.T, err error) {
	t.Helper()
	var be *chain.BroadcastError
	if err == nil || errors.As(err, &be) {
		return
	}
	for _, known := range []error{
		chain.ErrUnreachable, chain.ErrWrongChain, chain.ErrNotFound, chain.ErrNoFeeEstimate,
		chain.ErrPruned, chain.ErrBadAnswer, chain.ErrInvalidBlock,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("an error without a type: %v", err)
}
