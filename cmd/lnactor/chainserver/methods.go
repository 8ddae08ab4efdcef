package chainserver

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

type method func(*Server, []json.RawMessage) (any, *btcjson.RPCError)

var methods map[string]method

func init() { //nolint:gochecknoinits // the table names functions that are below
	methods = map[string]method{
		"getbestblockhash": func(s *Server, _ []json.RawMessage) (any, *btcjson.RPCError) {
			hash, _ := s.chain.Tip()
			return hash.String(), nil
		},
		"getblockcount": func(s *Server, _ []json.RawMessage) (any, *btcjson.RPCError) { return s.chain.Height(), nil },
		"getblockchaininfo": func(s *Server, _ []json.RawMessage) (any, *btcjson.RPCError) {
			hash, height := s.chain.Tip()
			return map[string]any{"chain": "regtest", "blocks": height, "headers": height, "bestblockhash": hash.String(), "pruned": false}, nil
		},
		"getblockhash":         (*Server).blockHash,
		"getblockheader":       (*Server).blockHeader,
		"getblock":             (*Server).block,
		"sendrawtransaction":   (*Server).send,
		"getrawtransaction":    (*Server).transaction,
		"gettxout":             (*Server).txOut,
		"gettxspendingprevout": (*Server).spending,
		"estimatesmartfee": func(*Server, []json.RawMessage) (any, *btcjson.RPCError) {
			// As the embedded chain itself says: there is no market.
			return map[string]any{"errors": []string{"Insufficient data or no feerate found"}, "blocks": 2}, nil
		},
	}
}

// arg reads a parameter; one that is left out is the zero value.
func arg[T any](params []json.RawMessage, i int) (v T, err *btcjson.RPCError) {
	if i >= len(params) || string(params[i]) == "null" {
		return v, nil
	}
	if e := json.Unmarshal(params[i], &v); e != nil {
		return v, refuse(btcjson.ErrRPCType, fmt.Sprintf("parameter %d has the wrong type", i+1))
	}
	return v, nil
}

func hashArg(params []json.RawMessage) (chainhash.Hash, *btcjson.RPCError) {
	text, err := arg[string](params, 0)
	if err != nil {
		return chainhash.Hash{}, err
	}
	hash, e := chainhash.NewHashFromStr(text)
	if e != nil || len(text) != 2*chainhash.HashSize {
		return chainhash.Hash{}, refuse(btcjson.ErrRPCInvalidParameter, "hash must be of length 64")
	}
	return *hash, nil
}

// flag reads a verbosity, which is a boolean or a number.
func flag(params []json.RawMessage, i, absent int) (int, *btcjson.RPCError) {
	if i >= len(params) {
		return absent, nil
	}
	switch string(params[i]) {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	return arg[int](params, i)
}

func (s *Server) blockHash(params []json.RawMessage) (any, *btcjson.RPCError) {
	height, err := arg[int32](params, 0)
	if err != nil {
		return nil, err
	}
	hash, e := s.chain.BlockHash(height)
	if e != nil {
		return nil, refuse(btcjson.ErrRPCInvalidParameter, "Block height out of range")
	}
	return hash.String(), nil
}

func (s *Server) blockHeader(params []json.RawMessage) (any, *btcjson.RPCError) {
	hash, err := hashArg(params)
	if err != nil {
		return nil, err
	}
	header, height, e := s.chain.Header(hash)
	if e != nil {
		return nil, refuse(btcjson.ErrRPCInvalidAddressOrKey, "Block not found")
	}
	verbose, err := flag(params, 1, 1)
	if err != nil {
		return nil, err
	}
	if verbose == 0 {
		var raw bytes.Buffer
		if e := header.Serialize(&raw); e != nil {
			return nil, refuse(btcjson.ErrRPCMisc, e.Error())
		}
		return hex.EncodeToString(raw.Bytes()), nil
	}
	v := map[string]any{
		"hash": hash.String(), "confirmations": s.confirmations(hash, height), "height": height, "version": header.Version,
		"versionHex": fmt.Sprintf("%08x", uint32(header.Version)), "merkleroot": header.MerkleRoot.String(), //nolint:gosec // its bits
		"time": header.Timestamp.Unix(), "mediantime": header.Timestamp.Unix(), "nonce": header.Nonce,
		"bits": fmt.Sprintf("%08x", header.Bits), "difficulty": 4.656542373906925e-10, "nTx": 1,
	}
	if header.PrevBlock != (chainhash.Hash{}) {
		v["previousblockhash"] = header.PrevBlock.String()
	}
	return v, nil
}

// confirmations of a block, -1 if it is not in the best chain.
func (s *Server) confirmations(hash chainhash.Hash, height int32) int32 {
	if best, err := s.chain.BlockHash(height); err != nil || best != hash {
		return -1
	}
	return s.chain.Height() - height + 1
}

func (s *Server) block(params []json.RawMessage) (any, *btcjson.RPCError) {
	hash, err := hashArg(params)
	if err != nil {
		return nil, err
	}
	verbosity, err := flag(params, 1, 1)
	switch {
	case err != nil:
		return nil, err
	case verbosity != 0:
		return nil, refuse(btcjson.ErrRPCInvalidParameter, "only verbosity 0 is served")
	}
	block, e := s.chain.BlockByHash(hash)
	if e != nil {
		return nil, refuse(btcjson.ErrRPCInvalidAddressOrKey, "Block not found")
	}
	var raw bytes.Buffer
	if e := block.Serialize(&raw); e != nil {
		return nil, refuse(btcjson.ErrRPCMisc, e.Error())
	}
	return hex.EncodeToString(raw.Bytes()), nil
}

func encode(tx *wire.MsgTx) string {
	var raw bytes.Buffer
	_ = tx.Serialize(&raw) // a buffer takes everything
	return hex.EncodeToString(raw.Bytes())
}

func (s *Server) transaction(params []json.RawMessage) (any, *btcjson.RPCError) {
	txid, err := hashArg(params)
	if err != nil {
		return nil, err
	}
	verbose, err := flag(params, 1, 0)
	if err != nil {
		return nil, err
	}
	tx, at, e := s.chain.Tx(txid)
	confirmations := int32(0)
	if e == nil {
		confirmations = s.confirmations(at.BlockHash, at.Height)
	} else {
		for _, m := range s.chain.Mempool() {
			if m.TxHash() == txid {
				tx, e = m, nil
			}
		}
	}
	switch {
	case e != nil:
		return nil, refuse(btcjson.ErrRPCInvalidAddressOrKey, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.")
	case verbose == 0:
		return encode(tx), nil
	}
	return map[string]any{"hex": encode(tx), "txid": txid.String(), "confirmations": max(confirmations, 0)}, nil
}

func (s *Server) txOut(params []json.RawMessage) (any, *btcjson.RPCError) {
	txid, err := hashArg(params)
	if err != nil {
		return nil, err
	}
	index, err := arg[uint32](params, 1)
	if err != nil {
		return nil, err
	}
	out, e := s.chain.TxOut(wire.OutPoint{Hash: txid, Index: index})
	if errors.Is(e, chain.ErrNotFound) {
		return nil, nil
	} else if e != nil {
		return nil, refuse(btcjson.ErrRPCMisc, e.Error())
	}
	return map[string]any{
		"value": float64(out.TxOut.Value) / 1e8, "confirmations": s.chain.Height() - out.Height + 1, "coinbase": out.Coinbase,
		"scriptPubKey": map[string]any{"hex": hex.EncodeToString(out.TxOut.PkScript)},
	}, nil
}

func (s *Server) spending(params []json.RawMessage) (any, *btcjson.RPCError) {
	type output struct {
		Txid string `json:"txid"`
		Vout uint32 `json:"vout"`
	}
	ask, err := arg[[]output](params, 0)
	if err != nil {
		return nil, err
	}
	spenders := map[string]string{}
	for _, tx := range s.chain.Mempool() {
		for _, in := range tx.TxIn {
			spenders[in.PreviousOutPoint.String()] = tx.TxHash().String()
		}
	}
	answer := make([]map[string]any, 0, len(ask))
	for _, o := range ask {
		one := map[string]any{"txid": o.Txid, "vout": o.Vout}
		if by, ok := spenders[fmt.Sprintf("%s:%d", o.Txid, o.Vout)]; ok {
			one["spendingtxid"] = by
		}
		answer = append(answer, one)
	}
	return answer, nil
}

func (s *Server) send(params []json.RawMessage) (any, *btcjson.RPCError) {
	text, err := arg[string](params, 0)
	if err != nil {
		return nil, err
	}
	raw, e := hex.DecodeString(text)
	tx := new(wire.MsgTx)
	if e != nil || tx.Deserialize(bytes.NewReader(raw)) != nil {
		return nil, refuse(btcjson.ErrRPCDeserialization, "TX decode failed. Make sure the tx has at least one input.")
	}
	e = s.chain.Broadcast(tx)
	var be *chain.BroadcastError
	switch {
	case e == nil:
		return tx.TxHash().String(), nil
	case !errors.As(e, &be):
		return nil, refuse(btcjson.ErrRPCMisc, e.Error())
	case be.Code == chain.BroadcastInMempool:
		return tx.TxHash().String(), nil // bitcoind announces it again
	}
	return nil, s.refusal(tx, be)
}

// refusal says in bitcoind's words why a transaction was not taken.
func (s *Server) refusal(tx *wire.MsgTx, be *chain.BroadcastError) *btcjson.RPCError {
	rejected := func(text string) *btcjson.RPCError { return refuse(btcjson.ErrRPCVerifyRejected, text) }
	inMempool := s.chain.InMempool(be.Spender)
	switch be.Code {
	case chain.BroadcastConfirmed:
		return refuse(btcjson.ErrRPCVerifyAlreadyInChain, "Transaction outputs already in utxo set")
	case chain.BroadcastMissingInputs:
		return refuse(btcjson.ErrRPCVerify, "bad-txns-inputs-missingorspent")
	case chain.BroadcastConflict:
		if inMempool {
			return rejected("txn-mempool-conflict")
		}
		return refuse(btcjson.ErrRPCVerify, "bad-txns-inputs-missingorspent")
	case chain.BroadcastFeeTooLow:
		if inMempool {
			return rejected("insufficient fee, rejecting replacement " + tx.TxHash().String())
		}
		return rejected("min relay fee not met")
	case chain.BroadcastNotFinal:
		if tx.LockTime > 0 {
			return rejected("non-final")
		}
		return rejected("non-BIP68-final")
	}
	return rejected("mandatory-script-verify-flag-failed (" + be.Reason + ")")
}
