package rpc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/btcjson"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// code tells whether the node answered with one of these errors.
func code(err error, codes ...btcjson.RPCErrorCode) bool {
	var rpcErr *btcjson.RPCError
	return errors.As(err, &rpcErr) && slices.Contains(codes, rpcErr.Code)
}

// refused tells whether the node answered with an error.
func refused(err error) bool {
	var rpcErr *btcjson.RPCError
	return errors.As(err, &rpcErr) && !busy(rpcErr)
}

// busy: the node is there but not ready to answer.
func busy(err *btcjson.RPCError) bool {
	return err.Code == btcjson.ErrRPCInWarmup || err.Code == btcjson.ErrRPCClientInInitialDownload
}

// general gives an error that the node answered, where none is expected, a
// type of package chain.
func general(err error) error {
	var rpcErr *btcjson.RPCError
	switch {
	case !errors.As(err, &rpcErr):
		return err
	case busy(rpcErr):
		return fmt.Errorf("%w: %w", chain.ErrUnreachable, rpcErr)
	case strings.Contains(rpcErr.Message, "not authorized"):
		// btcd's limited user.
		return fmt.Errorf("%w: %w: %w", chain.ErrUnreachable, chain.ErrAccess, rpcErr)
	}
	return fmt.Errorf("%w: %w", chain.ErrBadAnswer, rpcErr)
}

// words of refusal, in lower case without dashes, and what they mean. The
// first that is found counts.
var words = []struct {
	text string
	code chain.BroadcastCode
}{
	// The transaction is there.
	{"already have transaction", chain.BroadcastInMempool},            // btcd
	{"txn already in mempool", chain.BroadcastInMempool},              // bitcoind
	{"txn same nonwitness data in mempool", chain.BroadcastInMempool}, // bitcoind
	{"transaction already exists in blockchain", chain.BroadcastConfirmed},
	{"transaction already in block chain", chain.BroadcastConfirmed},
	{"already in utxo set", chain.BroadcastConfirmed},
	{"txn already known", chain.BroadcastConfirmed},

	// Inputs. Before other words, which a long refusal may hold as well.
	{"missingorspent", chain.BroadcastMissingInputs},
	{"missing inputs", chain.BroadcastMissingInputs},
	{"orphan transaction", chain.BroadcastMissingInputs},
	{"either does not exist or has already been spent", chain.BroadcastMissingInputs},
	{"txn mempool conflict", chain.BroadcastConflict},
	{"output already spent in mempool", chain.BroadcastConflict},
	{"already spent by transaction", chain.BroadcastConflict},
	{"spends conflicting tx", chain.BroadcastConflict},
	{"replacement adds unconfirmed", chain.BroadcastConflict},
	{"replacement transaction spends", chain.BroadcastConflict},
	{"too many potential replacements", chain.BroadcastConflict},
	{"evicts more transactions than permitted", chain.BroadcastConflict},

	// Fees.
	{"min relay fee not met", chain.BroadcastFeeTooLow},
	{"mempool min fee not met", chain.BroadcastFeeTooLow},
	{"insufficient fee", chain.BroadcastFeeTooLow},
	{"mempool full", chain.BroadcastFeeTooLow},
	{"insufficient absolute fee", chain.BroadcastFeeTooLow},
	{"fees which is under the required amount", chain.BroadcastFeeTooLow},
	{"insufficient priority", chain.BroadcastFeeTooLow},
	{"rate limiter due to low fees", chain.BroadcastFeeTooLow},

	// Time. A coinbase matures, and a chain of unconfirmed ancestors that is
	// too long becomes shorter with the next block.
	{"non final", chain.BroadcastNotFinal},
	{"non bip68 final", chain.BroadcastNotFinal},
	{"is not finalized", chain.BroadcastNotFinal},
	{"sequence locks on inputs not met", chain.BroadcastNotFinal},
	{"premature spend of coinbase", chain.BroadcastNotFinal},
	{"tried to spend coinbase", chain.BroadcastNotFinal},
	{"too long mempool chain", chain.BroadcastNotFinal},
	{"too large cluster", chain.BroadcastNotFinal},
}

// classify says what a node means that did not take a transaction. ok is
// false if the error is not about the transaction.
func classify(err *btcjson.RPCError) (code chain.BroadcastCode, ok bool) {
	text := strings.ReplaceAll(strings.ToLower(err.Message), "-", " ")
	for _, w := range words {
		if strings.Contains(text, w.text) {
			return w.code, true
		}
	}
	switch err.Code {
	case btcjson.ErrRPCVerifyAlreadyInChain:
		return chain.BroadcastConfirmed, true
	case btcjson.ErrRPCVerify, btcjson.ErrRPCVerifyRejected, btcjson.ErrRPCDeserialization:
		return chain.BroadcastRejected, true
	}
	return 0, false
}
