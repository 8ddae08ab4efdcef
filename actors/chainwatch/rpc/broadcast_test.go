package rpc_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// TestWords: what both nodes say, in all the ways that they have said it.
func TestWords(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(1000, []byte{0x51}))

	const (
		inMempool = chain.BroadcastInMempool
		confirmed = chain.BroadcastConfirmed
		missing   = chain.BroadcastMissingInputs
		conflict  = chain.BroadcastConflict
		feeTooLow = chain.BroadcastFeeTooLow
		notFinal  = chain.BroadcastNotFinal
		rejected  = chain.BroadcastRejected
	)
	for _, test := range []struct {
		code btcjson.RPCErrorCode
		text string
		want chain.BroadcastCode
	}{
		// bitcoind
		{-26, "txn-already-in-mempool", inMempool},
		{-27, "txn-already-in-mempool", inMempool},
		{-26, "txn-same-nonwitness-data-in-mempool", inMempool},
		{-27, "Transaction already in block chain", confirmed},
		{-27, "transaction already in block chain", confirmed},
		{-27, "Transaction outputs already in utxo set", confirmed},
		{-26, "txn-already-known", confirmed},
		{-27, "words of a later version", confirmed},
		{-25, "bad-txns-inputs-missingorspent", missing},
		{-26, "bad-txns-inputs-missingorspent", missing},
		{-25, "Missing inputs", missing},
		{-26, "missing-inputs", missing},
		{-26, "txn-mempool-conflict", conflict},
		{-26, "18: txn-mempool-conflict", conflict},
		{-26, "bad-txns-spends-conflicting-tx, 00 spends conflicting transaction 00", conflict},
		{-26, "replacement-adds-unconfirmed", conflict},
		{-26, "too many potential replacements, rejecting replacement 00; too many potential replacements (101 > 100)", conflict},
		{-26, "min relay fee not met, 0 < 110", feeTooLow},
		{-26, "mempool min fee not met, 100 < 1100", feeTooLow},
		{-26, "mempool full", feeTooLow},
		{-26, "insufficient fee, rejecting replacement 00; new feerate 0.00001 BTC/kvB <= old feerate 0.00002 BTC/kvB", feeTooLow},
		{-26, "66: insufficient fee", feeTooLow},
		{-26, "non-final", notFinal},
		{-26, "64: non-BIP68-final", notFinal},
		{-26, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 3", notFinal},
		{-26, "too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]", notFinal},
		{-26, "too-large-cluster", notFinal},
		{-26, "mandatory-script-verify-flag-failed (Locktime requirement not satisfied)", rejected},
		{-26, "mempool-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)", rejected},
		{-26, "dust", rejected},
		{-26, "scriptpubkey", rejected},
		{-26, "bad-txns-in-belowout, value in (0.001) < value out (0.002)", rejected},
		{-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)", rejected},
		{-22, "TX decode failed. Make sure the tx has at least one input.", rejected},
		// btcd
		{-26, "TX rejected: already have transaction in mempool 00", inMempool},
		{-27, "TX rejected: transaction already exists in blockchain", confirmed},
		{-25, "TX rejected: orphan transaction 00 references outputs of unknown or fully-spent transaction 00", missing},
		{-25, "TX rejected: output 00:0 referenced from transaction 00:0 either does not exist or has already been spent", missing},
		{-26, "TX rejected: output already spent in mempool: output=00:0, tx=00", conflict},
		{-26, "TX rejected: replacement transaction spends new unconfirmed input 00:0 not found in conflicting transactions", conflict},
		{-26, "TX rejected: 00: replacement transaction evicts more transactions than permitted: max is 100, evicts 101", conflict},
		{-26, "TX rejected: 00: replacement transaction has an insufficient fee rate: needs more than 10, has 9", feeTooLow},
		{-26, "TX rejected: 00: replacement transaction has an insufficient absolute fee: needs 10, has 9", feeTooLow},
		{-26, "TX rejected: transaction 00 has 0 fees which is under the required amount of 110", feeTooLow},
		{-26, "TX rejected: transaction 00 has insufficient priority (1 <= 2)", feeTooLow},
		{-26, "TX rejected: transaction 00 has been rejected by the rate limiter due to low fees", feeTooLow},
		{-26, "TX rejected: transaction is not finalized", notFinal},
		{-26, "TX rejected: transaction 00 is not standard: transaction is not finalized", notFinal},
		{-26, "TX rejected: transaction's sequence locks on inputs not met", notFinal},
		{-25, "TX rejected: tried to spend coinbase transaction output 00:0 from height 5 at height 9 before required maturity of 100 blocks", notFinal},
		{-25, "TX rejected: failed to validate input 00:0 which references output 00:0 - false stack entry at end of script execution", rejected},
		{-26, "TX rejected: transaction 00 is not standard: transaction output 0: payment is dust: 1", rejected},
	} {
		b.answer("sendrawtransaction", say(nil, rpcError(test.code, test.text)))
		err := n.Broadcast(t.Context(), tx)
		var be *chain.BroadcastError
		if !errors.As(err, &be) || be.Code != test.want {
			t.Errorf("%d %s: %v, want %v", test.code, test.text, err, test.want)
			continue
		}
		if be.Reason != test.text || be.Txid != tx.TxHash() {
			t.Errorf("%s: reason %q, transaction %v", test.text, be.Reason, be.Txid)
		}
	}

	// What is not about the transaction says nothing about it.
	for _, test := range []struct {
		code btcjson.RPCErrorCode
		text string
		want error
	}{
		{-28, "Verifying blocks…", chain.ErrUnreachable},
		{-10, "Bitcoin Core is in initial sync and waiting for blocks...", chain.ErrUnreachable},
		{-32601, "Method not found", chain.ErrBadAnswer},
		{-32603, "limited user not authorized for this method", chain.ErrAccess},
	} {
		b.answer("sendrawtransaction", say(nil, rpcError(test.code, test.text)))
		err := n.Broadcast(t.Context(), tx)
		var be *chain.BroadcastError
		if errors.As(err, &be) || !errors.Is(err, test.want) {
			t.Errorf("%d %s: %v, want %v", test.code, test.text, err, test.want)
		}
	}
	b.answer("sendrawtransaction", say(chainhash.Hash{5}.String(), nil))
	if err := n.Broadcast(t.Context(), tx); !errors.Is(err, chain.ErrBadAnswer) {
		t.Errorf("another transaction was taken: %v, want ErrBadAnswer", err)
	}
	if err := n.Broadcast(t.Context(), nil); err == nil {
		t.Error("no transaction was taken")
	}
}

// TestLookInto: with an index of transactions the words for missing inputs are
// looked into.
func TestLookInto(t *testing.T) {
	b := startBitcoind(t)
	n := open(t, b.config())
	parent := wire.NewMsgTx(2)
	parent.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	parent.AddTxOut(wire.NewTxOut(1000, []byte{0x51}))
	known := wire.OutPoint{Hash: parent.TxHash()}
	beyond := wire.OutPoint{Hash: parent.TxHash(), Index: 1}
	unknown := wire.OutPoint{Hash: chainhash.Hash{2}}
	unspent := wire.OutPoint{Hash: chainhash.Hash{3}}

	tx := func(ins ...wire.OutPoint) *wire.MsgTx {
		tx := wire.NewMsgTx(2)
		for _, op := range ins {
			tx.AddTxIn(wire.NewTxIn(&op, nil, nil))
		}
		tx.AddTxOut(wire.NewTxOut(900, []byte{0x51}))
		return tx
	}
	b.answer("sendrawtransaction", say(nil, rpcError(-25, "bad-txns-inputs-missingorspent")))
	b.answer("gettxout", func(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
		if hashArg(params) == unspent.Hash {
			return map[string]any{"value": 1}, nil
		}
		return nil, nil
	})
	index := func(txs ...*wire.MsgTx) answerer {
		return func(_ http.ResponseWriter, params []json.RawMessage) (any, error) {
			for _, tx := range txs {
				if tx.TxHash() == hashArg(params) {
					var raw bytes.Buffer
					tx.Serialize(&raw)
					return map[string]any{"hex": hex.EncodeToString(raw.Bytes()), "confirmations": 3}, nil
				}
			}
			return nil, rpcError(-5, "No such mempool or blockchain transaction")
		}
	}
	for _, test := range []struct {
		name    string
		tx      *wire.MsgTx
		index   answerer
		want    chain.BroadcastCode
		missing []wire.OutPoint
	}{
		{"no index", tx(known, unspent, unknown), nil, chain.BroadcastMissingInputs, []wire.OutPoint{known, unknown}},
		{"spent", tx(unspent, unknown, known), index(parent), chain.BroadcastConflict, nil},
		{"unknown", tx(unspent, unknown), index(parent), chain.BroadcastMissingInputs, []wire.OutPoint{unknown}},
		{"no such output", tx(beyond), index(parent), chain.BroadcastMissingInputs, []wire.OutPoint{beyond}},
		{"confirmed", tx(known), index(parent, tx(known)), chain.BroadcastConfirmed, nil},
		{"wrong transaction", tx(unknown), say(map[string]any{"hex": "0200", "confirmations": 9}, nil), chain.BroadcastMissingInputs, []wire.OutPoint{unknown}},
		{"node gone", tx(known), hangUp, chain.BroadcastMissingInputs, []wire.OutPoint{known}},
	} {
		b.answer("getrawtransaction", test.index)
		var be *chain.BroadcastError
		if err := n.Broadcast(t.Context(), test.tx); !errors.As(err, &be) || be.Code != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		} else if !slices.Equal(be.Missing, test.missing) {
			t.Errorf("%s: missing %v, want %v", test.name, be.Missing, test.missing)
		}
	}

	spender := chainhash.Hash{7, 7}
	for name, text := range map[string]string{
		"bitcoind": "txn-mempool-conflict",
		"btcd":     "TX rejected: output already spent in mempool: output=" + known.String() + ", tx=" + spender.String(),
	} {
		b.answer("sendrawtransaction", say(nil, rpcError(-26, text)))
		b.answer("gettxspendingprevout", say([]map[string]any{{"txid": "x", "vout": 0}, {"spendingtxid": spender.String()}}, nil))
		if name == "btcd" {
			b.answer("gettxspendingprevout", say(nil, rpcError(-32601, "Method not found")))
		}
		var be *chain.BroadcastError
		if err := n.Broadcast(t.Context(), tx(known)); !errors.As(err, &be) || be.Spender != spender {
			t.Errorf("%s: %+v, want the spender", name, be)
		}
	}
}
