package rpc_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// TestLyingBlock: a block is taken only as it was mined.
func TestLyingBlock(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	script, _ := regtest.FaucetScript()
	for range 2 {
		if _, err := b.Fund(script, 100_000); err != nil {
			t.Fatal(err)
		}
	}
	mined, err := b.Mine(1)
	if err != nil {
		t.Fatal(err)
	}
	hash := mined[0].BlockHash()
	other, err := b.Block(5)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Block(t.Context(), hash); err != nil || len(got.Transactions) != 3 {
		t.Fatalf("the block itself: %v", err)
	}
	for name, lie := range map[string]func(*wire.MsgBlock){
		"another block":        func(b *wire.MsgBlock) { *b = *other },
		"another header":       func(b *wire.MsgBlock) { b.Header.Timestamp = b.Header.Timestamp.Add(time.Second) },
		"no transactions":      func(b *wire.MsgBlock) { b.Transactions = nil },
		"one left out":         func(b *wire.MsgBlock) { b.Transactions = b.Transactions[:2] },
		"one added":            func(b *wire.MsgBlock) { b.Transactions = append(b.Transactions, other.Transactions[0]) },
		"last one twice":       func(b *wire.MsgBlock) { b.Transactions = append(b.Transactions, b.Transactions[2]) },
		"other order":          func(b *wire.MsgBlock) { slices.Reverse(b.Transactions[1:]) },
		"another amount":       func(b *wire.MsgBlock) { b.Transactions[1].TxOut[0].Value++ },
		"another witness":      func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness[0][0] ^= 1 },
		"a witness left out":   func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness = nil },
		"all witnesses struck": strike,
	} {
		block := mined[0].Copy()
		lie(block)
		b.answer("getblock", say(encode(block), nil))
		if _, err := n.Block(t.Context(), hash); !errors.Is(err, chain.ErrInvalidBlock) {
			t.Errorf("%s: %v, want ErrInvalidBlock", name, err)
		}
	}
	b.answer("getblock", nil)
	if _, err := n.Block(t.Context(), hash); err != nil {
		t.Errorf("the truth afterwards: %v", err)
	}
}

func strike(b *wire.MsgBlock) {
	for _, tx := range b.Transactions {
		for _, in := range tx.TxIn {
			in.Witness = nil
		}
	}
}

// TestNoWork: a header costs work, and more than the chain's lowest.
func TestNoWork(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	tip, height := b.Tip()
	header, _, err := b.Header(tip)
	if err != nil {
		t.Fatal(err)
	}
	easy := header
	easy.Bits = 0x2100ffff // more than the limit
	hard := header
	hard.Bits = 0x1d00ffff // as on mainnet, which it doesn't meet
	for name, h := range map[string]wire.BlockHeader{"easy": easy, "hard": hard} {
		hash := h.BlockHash()
		b.answer("getbestblockhash", say(hash.String(), nil))
		b.answer("getblockheader", say(verbose(h, height), nil))
		if _, _, err := n.Header(t.Context(), hash); !errors.Is(err, chain.ErrInvalidBlock) {
			t.Errorf("%s: header: %v, want ErrInvalidBlock", name, err)
		}
		if _, err := n.Tip(t.Context()); !errors.Is(err, chain.ErrInvalidBlock) {
			t.Errorf("%s: tip: %v, want ErrInvalidBlock", name, err)
		}
		b.answer("getblock", say(encode(&wire.MsgBlock{Header: h}), nil))
		if _, err := n.Block(t.Context(), hash); !errors.Is(err, chain.ErrInvalidBlock) {
			t.Errorf("%s: block: %v, want ErrInvalidBlock", name, err)
		}
	}
}

// TestLyingHeight: a height has to fit those told before.
func TestLyingHeight(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	tip, height := b.Tip()
	header, _, err := b.Header(tip)
	if err != nil {
		t.Fatal(err)
	}
	prev, _, err := b.Header(header.PrevBlock)
	if err != nil {
		t.Fatal(err)
	}
	b.answer("getblockheader", say(verbose(header, height+1), nil))
	if _, _, err := n.Header(t.Context(), tip); !errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("another height than before: %v, want ErrInvalidBlock", err)
	}
	b.answer("getblockheader", say(verbose(header, 0), nil))
	if _, _, err := open2(t, b).Header(t.Context(), tip); !errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("height 0 beside the genesis block: %v, want ErrInvalidBlock", err)
	}
	b.answer("getblockheader", nil)

	fresh := open2(t, b)
	b.answer("getblockheader", say(verbose(prev, height+7), nil))
	if _, _, err := fresh.Header(t.Context(), header.PrevBlock); err != nil {
		t.Fatalf("the first word of a node is taken: %v", err)
	}
	b.answer("getblockheader", nil)
	if _, _, err := fresh.Header(t.Context(), tip); !errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("a height that does not follow the parent's: %v, want ErrInvalidBlock", err)
	}

	b.answer("getbestblockhash", say(chainhash.Hash{9}.String(), nil))
	if _, err := n.Tip(t.Context()); !errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("a tip without a header: %v, want ErrInvalidBlock", err)
	}
}

// open2 opens a node that has not heard of a height, whatever the node answers
// to getblockheader by now.
func open2(t *testing.T, b *bitcoind) *rpc.Node {
	t.Helper()
	b.mu.Lock()
	before := b.instead["getblockheader"]
	b.mu.Unlock()
	genesis := regtest.Params().GenesisBlock.Header
	b.answer("getbestblockhash", say(genesis.BlockHash().String(), nil))
	b.answer("getblockheader", say(verbose(genesis, 0), nil))
	defer b.answer("getbestblockhash", nil)
	defer b.answer("getblockheader", before)
	return open(t, b.config())
}

func TestPruned(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	tip, _ := b.Tip()
	notFound := say(nil, rpcError(-5, "Block not found"))

	b.answer("getblock", say(nil, rpcError(-1, "Block not available (pruned data)")))
	if _, err := n.Block(t.Context(), tip); !errors.Is(err, chain.ErrPruned) {
		t.Errorf("bitcoind's words: %v, want ErrPruned", err)
	}
	b.answer("getblock", notFound)
	b.answer("getblockchaininfo", say(map[string]any{"pruned": true}, nil))
	if _, err := n.Block(t.Context(), tip); !errors.Is(err, chain.ErrPruned) {
		t.Errorf("btcd's words: %v, want ErrPruned", err)
	}
	if _, err := n.Block(t.Context(), chainhash.Hash{1}); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("an unknown block on a pruned node: %v, want ErrNotFound", err)
	}
	b.answer("getblockchaininfo", say(map[string]any{"pruned": false}, nil))
	if _, err := n.Block(t.Context(), tip); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("a header without a block: %v, want ErrNotFound", err)
	}
	b.answer("getblock", say(nil, rpcError(-1, "Block not found on disk")))
	if _, err := n.Block(t.Context(), tip); !errors.Is(err, chain.ErrNotFound) || errors.Is(err, chain.ErrPruned) {
		t.Errorf("a block that is still to come: %v, want ErrNotFound", err)
	}
}

// TestAnotherNode: a node that comes back on another chain is found out.
func TestAnotherNode(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	b.stop()
	if _, err := n.Tip(t.Context()); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("stopped: %v, want ErrUnreachable", err)
	}
	b.answer("getblockhash", say(chaincfg.MainNetParams.GenesisHash.String(), nil))
	b.start(t)
	if _, err := n.Tip(t.Context()); !errors.Is(err, chain.ErrWrongChain) {
		t.Errorf("another chain: %v, want ErrWrongChain", err)
	}
	if _, err := n.Genesis(t.Context()); !errors.Is(err, chain.ErrWrongChain) {
		t.Errorf("genesis of another chain: %v, want ErrWrongChain", err)
	}
	b.answer("getblockhash", nil)
	if _, err := n.Tip(t.Context()); err != nil {
		t.Errorf("the right chain again: %v", err)
	}
}

// TestGenesis: the first block of every chain passes, although it was not
// mined by today's rules.
func TestGenesis(t *testing.T) {
	b := startBitcoind(t)
	for _, params := range []*chaincfg.Params{
		&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.TestNet4Params, &chaincfg.SigNetParams,
		&chaincfg.RegressionNetParams, &chaincfg.SimNetParams,
	} {
		b.answer("getblockhash", say(params.GenesisHash.String(), nil))
		b.answer("getbestblockhash", say(params.GenesisHash.String(), nil))
		b.answer("getblockheader", say(verbose(params.GenesisBlock.Header, 0), nil))
		b.answer("getblock", say(encode(params.GenesisBlock), nil))
		cfg := b.config()
		cfg.Params = params
		n := open(t, cfg)
		if _, err := n.Block(t.Context(), *params.GenesisHash); err != nil {
			t.Errorf("%s: %v", params.Name, err)
		}
	}
}

func TestFeeRate(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	none := say(nil, rpcError(-32601, "Method not found"))
	smart := func(rate any) answerer { return say(map[string]any{"feerate": rate, "blocks": 6}, nil) }
	for _, test := range []struct {
		name          string
		smart, simple answerer
		want          chain.FeePerKW
		err           error
	}{
		{"1 sat/vB", smart(0.00001), none, 250, nil},
		{"rounded up", smart(0.00001001), none, 251, nil},
		{"57 sat/vB", smart(0.00057), none, 14_250, nil},
		{"nothing learnt", say(map[string]any{"errors": []string{"Insufficient data"}, "blocks": 0}, nil), none, 0, chain.ErrNoFeeEstimate},
		{"minus one", smart(-1), none, 0, chain.ErrNoFeeEstimate},
		{"zero", smart(0), none, 0, chain.ErrNoFeeEstimate},
		{"absurd", smart(2), none, 0, chain.ErrBadAnswer},
		{"text", smart("much"), none, 0, chain.ErrBadAnswer},
		{"btcd", none, say(0.0002, nil), 5_000, nil},
		{"btcd, nothing learnt", none, say(nil, rpcError(-32600, "Invalid request: malformed")), 0, chain.ErrNoFeeEstimate},
		{"btcd, minus one", none, say(-1.0, nil), 0, chain.ErrNoFeeEstimate},
		{"neither", none, none, 0, chain.ErrNoFeeEstimate},
		{"warming up", say(nil, rpcError(-28, "Loading")), none, 0, chain.ErrUnreachable},
	} {
		b.answer("estimatesmartfee", test.smart)
		b.answer("estimatefee", test.simple)
		got, err := n.FeeRate(t.Context(), 6)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %d, %v, want %d, %v", test.name, got, err, test.want, test.err)
		}
	}

	var asked []int32
	b.answer("estimatesmartfee", func(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
		asked = append(asked, arg[int32](params, 0))
		return nil, &btcjson.RPCError{Code: -32601}
	})
	b.answer("estimatefee", func(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
		asked = append(asked, arg[int32](params, 0))
		return 0.001, nil
	})
	for _, blocks := range []int32{-1, 6, 1 << 30} {
		if _, err := n.FeeRate(t.Context(), blocks); err != nil {
			t.Errorf("%d blocks: %v", blocks, err)
		}
	}
	if want := []int32{1, 1, 6, 6, 1008, 25}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v blocks, want %v", asked, want)
	}
}
