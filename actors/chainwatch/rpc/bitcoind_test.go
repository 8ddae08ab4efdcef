package rpc_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

const (
	user = "__cookie__"
	pass = "secret"
)

// bitcoind imitates bitcoind's RPC, status codes and words included, over the
// embedded chain. As by default, it has no index of transactions.
type bitcoind struct {
	*regtest.Chain
	addr   string
	server *http.Server
	done   chan struct{}

	mu sync.Mutex
	// pass is the password, replaced at each start in a real one.
	pass string
	// instead answers a method in place of the chain.
	instead map[string]answerer
	calls   map[string]int
}

// answerer returns a result or an error (*btcjson.RPCError), or writes
// something else altogether and returns nil, errWritten.
type answerer func(w http.ResponseWriter, params []json.RawMessage) (any, error)

var errWritten = errors.New("the answer was written")

func startBitcoind(t testing.TB) *bitcoind {
	t.Helper()
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	b := &bitcoind{Chain: c, addr: "127.0.0.1:0", pass: pass, instead: map[string]answerer{}, calls: map[string]int{}}
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

func (b *bitcoind) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	b.addr, b.done = l.Addr().String(), make(chan struct{})
	b.server = &http.Server{Handler: b}
	go func() {
		defer close(b.done)
		b.server.Serve(l)
	}()
}

func (b *bitcoind) stop() {
	b.server.Close()
	<-b.done
}

func (b *bitcoind) config() rpc.Config {
	return rpc.Config{Params: regtest.Params(), URL: "http://" + b.addr, User: user, Pass: pass}
}

// answer replaces a method's answer from now on; nil takes that back.
func (b *bitcoind) answer(method string, with answerer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instead[method] = with
}

// say is an answerer that always returns the same.
func say(result any, err error) answerer {
	return func(http.ResponseWriter, []json.RawMessage) (any, error) { return result, err }
}

func rpcError(code btcjson.RPCErrorCode, text string) error {
	return &btcjson.RPCError{Code: code, Message: text}
}

func (b *bitcoind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	want := b.pass
	b.mu.Unlock()
	if u, p, _ := r.BasicAuth(); u != user || p != want {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var q struct {
		ID     json.RawMessage   `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.calls[q.Method]++
	do := b.instead[q.Method]
	b.mu.Unlock()
	if do == nil {
		do = b.method(q.Method)
	}
	result, err := do(w, q.Params)
	if errors.Is(err, errWritten) {
		return
	}
	answer := map[string]any{"result": result, "error": nil, "id": q.ID}
	if err != nil {
		answer["result"], answer["error"] = nil, err
		status := http.StatusInternalServerError
		var rpcErr *btcjson.RPCError
		if errors.As(err, &rpcErr) && rpcErr.Code == -32601 {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}
	json.NewEncoder(w).Encode(answer)
}

func (b *bitcoind) method(name string) answerer {
	switch name {
	case "getbestblockhash":
		return func(http.ResponseWriter, []json.RawMessage) (any, error) {
			hash, _ := b.Tip()
			return hash.String(), nil
		}
	case "getblockhash":
		return b.getBlockHash
	case "getblockheader":
		return b.getBlockHeader
	case "getblock":
		return b.getBlock
	case "sendrawtransaction":
		return b.sendRawTransaction
	case "gettxout":
		return b.getTxOut
	case "getrawtransaction":
		return say(nil, rpcError(-5, "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries."))
	case "gettxspendingprevout":
		return b.getTxSpendingPrevout
	case "estimatesmartfee":
		return say(map[string]any{"errors": []string{"Insufficient data or no feerate found"}, "blocks": 2}, nil)
	}
	return say(nil, rpcError(-32601, "Method not found"))
}

func arg[T any](params []json.RawMessage, i int) (v T) {
	if i < len(params) {
		json.Unmarshal(params[i], &v)
	}
	return v
}

func hashArg(params []json.RawMessage) chainhash.Hash {
	hash, err := chainhash.NewHashFromStr(arg[string](params, 0))
	if err != nil {
		return chainhash.Hash{}
	}
	return *hash
}

func (b *bitcoind) getBlockHash(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	hash, err := b.BlockHash(arg[int32](params, 0))
	if err != nil {
		return nil, rpcError(-8, "Block height out of range")
	}
	return hash.String(), nil
}

func (b *bitcoind) getBlockHeader(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	hash := hashArg(params)
	header, height, err := b.Header(hash)
	if err != nil {
		return nil, rpcError(-5, "Block not found")
	}
	if !arg[bool](params, 1) {
		var raw bytes.Buffer
		header.Serialize(&raw)
		return hex.EncodeToString(raw.Bytes()), nil
	}
	return verbose(header, height), nil
}

// verbose is a header in bitcoind's words.
func verbose(header wire.BlockHeader, height int32) map[string]any {
	v := map[string]any{
		"hash": header.BlockHash().String(), "confirmations": -1, "height": height, "version": header.Version,
		"versionHex": fmt.Sprintf("%08x", uint32(header.Version)), "merkleroot": header.MerkleRoot.String(),
		"time": header.Timestamp.Unix(), "mediantime": header.Timestamp.Unix(), "nonce": header.Nonce,
		"bits": fmt.Sprintf("%08x", header.Bits), "difficulty": 4.656542373906925e-10, "chainwork": "02", "nTx": 1,
	}
	if header.PrevBlock != (chainhash.Hash{}) {
		v["previousblockhash"] = header.PrevBlock.String()
	}
	return v
}

func (b *bitcoind) getBlock(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	block, err := b.BlockByHash(hashArg(params))
	if err != nil {
		return nil, rpcError(-5, "Block not found")
	}
	return encode(block), nil
}

func encode(block *wire.MsgBlock) string {
	var raw bytes.Buffer
	block.Serialize(&raw)
	return hex.EncodeToString(raw.Bytes())
}

func (b *bitcoind) sendRawTransaction(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	raw, err := hex.DecodeString(arg[string](params, 0))
	tx := new(wire.MsgTx)
	if err != nil || tx.Deserialize(bytes.NewReader(raw)) != nil {
		return nil, rpcError(-22, "TX decode failed. Make sure the tx has at least one input.")
	}
	err = b.Broadcast(tx)
	var be *chain.BroadcastError
	if !errors.As(err, &be) || be.Code == chain.BroadcastInMempool {
		return tx.TxHash().String(), nil // bitcoind announces it again
	}
	inMempool := b.InMempool(be.Spender)
	switch be.Code {
	case chain.BroadcastConfirmed:
		return nil, rpcError(-27, "Transaction outputs already in utxo set")
	case chain.BroadcastConflict:
		if inMempool {
			return nil, rpcError(-26, "txn-mempool-conflict")
		}
		return nil, rpcError(-25, "bad-txns-inputs-missingorspent")
	case chain.BroadcastMissingInputs:
		return nil, rpcError(-25, "bad-txns-inputs-missingorspent")
	case chain.BroadcastFeeTooLow:
		if inMempool {
			return nil, rpcError(-26, "insufficient fee, rejecting replacement "+tx.TxHash().String()+"; new feerate 0.00001 BTC/kvB <= old feerate 0.00002 BTC/kvB")
		}
		return nil, rpcError(-26, "min relay fee not met, 0 < 110")
	case chain.BroadcastNotFinal:
		if tx.LockTime > 0 {
			return nil, rpcError(-26, "non-final")
		}
		return nil, rpcError(-26, "non-BIP68-final")
	}
	return nil, rpcError(-26, "mandatory-script-verify-flag-failed (Witness program hash mismatch)")
}

func (b *bitcoind) getTxOut(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	out, err := b.TxOut(wire.OutPoint{Hash: hashArg(params), Index: arg[uint32](params, 1)})
	if errors.Is(err, chain.ErrNotFound) {
		return nil, nil
	}
	return map[string]any{"value": float64(out.TxOut.Value) / 1e8}, err
}

func (b *bitcoind) getTxSpendingPrevout(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
	var answer []map[string]any
	for _, op := range arg[[]struct {
		Txid string
		Vout uint32
	}](params, 0) {
		one := map[string]any{"txid": op.Txid, "vout": op.Vout}
		for _, tx := range b.Mempool() {
			for _, in := range tx.TxIn {
				if strings.EqualFold(in.PreviousOutPoint.Hash.String(), op.Txid) && in.PreviousOutPoint.Index == op.Vout {
					one["spendingtxid"] = tx.TxHash().String()
				}
			}
		}
		answer = append(answer, one)
	}
	return answer, nil
}
