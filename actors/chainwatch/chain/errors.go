package chain

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

var (
	// ErrUnreachable says that the source did not answer. Nothing is known
	// about the chain or about what a Broadcast did; ask again later.
	ErrUnreachable = errors.New("chain: source unreachable, check that the chain backend runs")

	// ErrWrongChain says that the source follows another chain than the node
	// was configured for. Retrying does not help.
	ErrWrongChain = errors.New("chain: source follows another chain, check the network setting")

	// ErrAccess says that the source is there but refuses us: user, password,
	// cookie file or certificate. It comes wrapped together with
	// ErrUnreachable, because a cookie file may be late after a restart.
	ErrAccess = errors.New("chain: source refuses access, check user, password, cookie file and certificate")

	// ErrPruned says that the source knows the block but has deleted its
	// content. Retrying does not help: use a source that keeps all blocks from
	// the opening of the oldest channel on.
	ErrPruned = errors.New("chain: the source has pruned this block, use one that keeps blocks since the oldest channel's opening")

	// ErrBadAnswer says that the source did not speak its protocol: an answer
	// that is cut off, too long, not JSON or of the wrong type.
	ErrBadAnswer = errors.New("chain: the source's answer makes no sense, check that address and port are those of the chain backend")

	// ErrInvalidBlock says that the source gave a block or a header that is
	// not what was asked for, or that breaks the rules which a block can be
	// held to by itself (proof of work, merkle root, witness commitment). A
	// source that does this is broken or lies: replace it.
	ErrInvalidBlock = errors.New("chain: the source gave an invalid block, do not trust it")

	// ErrClosed is returned by every call after the source was closed.
	ErrClosed = errors.New("chain: source is closed")

	// ErrNotFound says that the source is sound but has no such block,
	// transaction or output on the chain it calls best.
	ErrNotFound = errors.New("chain: not found")

	// ErrNoFeeEstimate says that the source cannot estimate fees now. Use
	// the configured fallback rate.
	ErrNoFeeEstimate = errors.New("chain: no fee estimate available, use the fallback rate")
)

// BroadcastCode says why a transaction was not taken.
type BroadcastCode uint8

const (
	// BroadcastInMempool: the source has the transaction already. As good as
	// success.
	BroadcastInMempool BroadcastCode = iota + 1

	// BroadcastConfirmed: the transaction is in a block of the best chain.
	// As good as success.
	BroadcastConfirmed

	// BroadcastMissingInputs: an input spends an output that the source does
	// not know. It may come later (a parent that is not broadcast yet, a
	// reorganisation). A source without an index of transactions says this
	// also of an output that a block has spent.
	BroadcastMissingInputs

	// BroadcastConflict: an input is already spent by another transaction,
	// in a block or in the mempool without being replaceable at this fee.
	BroadcastConflict

	// BroadcastFeeTooLow: below the relay fee, or a replacement that pays
	// too little.
	BroadcastFeeTooLow

	// BroadcastNotFinal: a lock time or a relative lock of an input has not
	// passed yet. Try again at later heights.
	BroadcastNotFinal

	// BroadcastRejected: invalid by consensus or refused by policy. Trying
	// the same bytes again does not help.
	BroadcastRejected
)

// String names the code for logs.
func (c BroadcastCode) String() string {
	switch c {
	case BroadcastInMempool:
		return "in mempool"
	case BroadcastConfirmed:
		return "confirmed"
	case BroadcastMissingInputs:
		return "missing inputs"
	case BroadcastConflict:
		return "conflict"
	case BroadcastFeeTooLow:
		return "fee too low"
	case BroadcastNotFinal:
		return "not final"
	case BroadcastRejected:
		return "rejected"
	default:
		return fmt.Sprintf("broadcast code %d", uint8(c))
	}
}

// BroadcastError is the answer of a source that did not take a transaction.
// Use errors.As and decide by Code; Known tells the two that are no failure.
type BroadcastError struct {
	Code BroadcastCode
	Txid chainhash.Hash

	// Missing lists the inputs the source does not know, in the order of the
	// transaction (BroadcastMissingInputs).
	Missing []wire.OutPoint

	// Spender is the transaction that spends one of the inputs, if the
	// source can tell (BroadcastConflict).
	Spender chainhash.Hash

	// Reason is the source's own text.
	Reason string
}

// Error implements error.
func (e *BroadcastError) Error() string {
	return fmt.Sprintf("broadcast of %v: %v: %s", e.Txid, e.Code, e.Reason)
}

// Known reports whether the source has the transaction, so that the caller's
// wish is fulfilled although the call returned an error.
func (e *BroadcastError) Known() bool {
	return e.Code == BroadcastInMempool || e.Code == BroadcastConfirmed
}

// IsKnown reports whether err is nil or says that the source has the
// transaction already.
func IsKnown(err error) bool {
	if err == nil {
		return true
	}
	var be *BroadcastError
	return errors.As(err, &be) && be.Known()
}
