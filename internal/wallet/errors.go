package wallet

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

var (
	// ErrReorgTooDeep: more blocks were disconnected than are remembered. Build the wallet anew from its birthday.
	ErrReorgTooDeep = errors.New("wallet: the reorganisation is deeper than the wallet remembers, rescan from the birthday")

	// ErrBadOutput: an output that nodes would not relay, such as dust.
	ErrBadOutput = errors.New("wallet: an output would not be relayed")

	// ErrBadFeeRate: a fee rate below what nodes relay, or absurd.
	ErrBadFeeRate = errors.New("wallet: fee rate out of range")

	// ErrLockInUse: the lock id already holds coins. Release it first.
	ErrLockInUse = errors.New("wallet: this lock already holds coins")

	// ErrBadSnapshot: not what Snapshot wrote. Build the wallet anew from its birthday.
	ErrBadSnapshot = errors.New("wallet: unreadable snapshot, rescan from the birthday")
)

// InsufficientFundsError: the spendable coins do not pay for the outputs and the fee.
type InsufficientFundsError struct {
	// Need is the outputs and the fee; it may grow further with the number of inputs. Have is what could be spent.
	Need, Have btcutil.Amount
}

// Error says how much is missing.
func (e *InsufficientFundsError) Error() string {
	return fmt.Sprintf("wallet: %v are needed, %v can be spent: receive %v more, or wait for confirmations", e.Need, e.Have, e.Need-e.Have)
}

// InputSourceError marks it for txauthor, which passes it through.
func (e *InsufficientFundsError) InputSourceError() {}

// ReservedError: a coin is held by another lock.
type ReservedError struct {
	OutPoint wire.OutPoint
	Holder   LockID
}

// Error names the coin and its holder.
func (e *ReservedError) Error() string {
	return fmt.Sprintf("wallet: coin %v is reserved by %x", e.OutPoint, e.Holder)
}

// OutOfOrderError: a block that does not follow, or is not, the tip. The owner goes back to the tip and feeds the blocks from there.
type OutOfOrderError struct {
	Op        string
	Height    uint32
	Hash      chainhash.Hash
	TipHeight uint32
	TipHash   chainhash.Hash
}

// Error names the block and the tip.
func (e *OutOfOrderError) Error() string {
	return fmt.Sprintf("wallet: cannot %s block %d %v: the tip is %d %v", e.Op, e.Height, e.Hash, e.TipHeight, e.TipHash)
}
