package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Broadcast implements chain.Source.
func (n *Node) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	if tx == nil {
		return &chain.BroadcastError{Code: chain.BroadcastRejected, Reason: "no transaction"}
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return &chain.BroadcastError{Code: chain.BroadcastRejected, Txid: tx.TxHash(), Reason: err.Error()}
	}
	var text string
	err := n.call(ctx, maxAnswer, &text, "sendrawtransaction", hex.EncodeToString(raw.Bytes()))
	if err != nil {
		return n.refusal(ctx, tx, err)
	}
	txid, err := parseHash(text)
	if err != nil {
		return err
	}
	if txid != tx.TxHash() {
		return fmt.Errorf("%w: sent transaction %v, the node took %v", chain.ErrBadAnswer, tx.TxHash(), txid)
	}
	return nil
}

func (n *Node) refusal(ctx context.Context, tx *wire.MsgTx, err error) error {
	var rpcErr *btcjson.RPCError
	if !errors.As(err, &rpcErr) || busy(rpcErr) {
		return general(err)
	}
	code, ok := classify(rpcErr)
	if !ok {
		return general(err)
	}
	be := &chain.BroadcastError{Code: code, Txid: tx.TxHash(), Reason: rpcErr.Message}
	switch code {
	case chain.BroadcastMissingInputs:
		n.lookInto(ctx, tx, be)
	case chain.BroadcastConflict, chain.BroadcastFeeTooLow:
		be.Spender = n.spender(ctx, tx, rpcErr.Message)
	}
	return be
}

// lookInto finds out which inputs are missing and whether they are spent. It
// does what it can: without an index of transactions, or when the node goes
// away, the refusal stays as it is.
func (n *Node) lookInto(ctx context.Context, tx *wire.MsgTx, be *chain.BroadcastError) {
	if _, confirmed, err := n.transaction(ctx, be.Txid); err == nil && confirmed {
		be.Code = chain.BroadcastConfirmed
		return
	}
	for _, in := range tx.TxIn {
		op := in.PreviousOutPoint
		var out json.RawMessage
		if err := n.call(ctx, maxAnswer, &out, "gettxout", op.Hash.String(), op.Index, true); err != nil && !refused(err) {
			return
		} else if err == nil && string(out) != "null" {
			continue
		}
		parent, _, err := n.transaction(ctx, op.Hash)
		if err == nil && uint64(op.Index) < uint64(len(parent.TxOut)) {
			be.Code, be.Missing = chain.BroadcastConflict, nil
			return
		}
		be.Missing = append(be.Missing, op)
	}
}

// transaction looks one up, and whether it is in a block of the best chain.
func (n *Node) transaction(ctx context.Context, txid chainhash.Hash) (tx *wire.MsgTx, confirmed bool, err error) {
	var found struct {
		Hex           string `json:"hex"`
		Confirmations int64  `json:"confirmations"`
	}
	if err := n.call(ctx, maxBlockAnswer, &found, "getrawtransaction", txid.String(), 1); err != nil {
		return nil, false, err
	}
	raw, err := hex.DecodeString(found.Hex)
	if err != nil {
		return nil, false, fmt.Errorf("%w: transaction: %w", chain.ErrBadAnswer, err)
	}
	tx = new(wire.MsgTx)
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, false, fmt.Errorf("%w: transaction: %w", chain.ErrBadAnswer, err)
	}
	if tx.TxHash() != txid {
		return nil, false, fmt.Errorf("%w: asked for transaction %v, got %v", chain.ErrBadAnswer, txid, tx.TxHash())
	}
	return tx, found.Confirmations > 0, nil
}

// btcdSpender is where btcd names the transaction in the mempool.
var btcdSpender = regexp.MustCompile(`already spent in mempool: output=\S+, tx=([0-9a-f]{64})`)

// spender is the transaction in the mempool that spends one of the inputs, if
// the node tells.
func (n *Node) spender(ctx context.Context, tx *wire.MsgTx, reason string) chainhash.Hash {
	if m := btcdSpender.FindStringSubmatch(reason); m != nil {
		hash, err := parseHash(m[1])
		if err == nil {
			return hash
		}
	}
	type output struct {
		Txid string `json:"txid"`
		Vout uint32 `json:"vout"`
	}
	ask := make([]output, len(tx.TxIn))
	for i, in := range tx.TxIn {
		ask[i] = output{in.PreviousOutPoint.Hash.String(), in.PreviousOutPoint.Index}
	}
	var spent []struct {
		By string `json:"spendingtxid"`
	}
	if err := n.call(ctx, maxAnswer, &spent, "gettxspendingprevout", ask); err != nil {
		return chainhash.Hash{} // btcd, or bitcoind before version 24
	}
	for _, s := range spent {
		if hash, err := parseHash(s.By); err == nil {
			return hash
		}
	}
	return chainhash.Hash{}
}
