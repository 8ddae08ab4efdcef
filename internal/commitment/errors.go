package commitment

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnwire"
)

var (
	// ErrInvalid means that the arguments do not describe a channel or a
	// commitment: a key is missing, a number is out of range. It is a bug of
	// the caller or a message that should have been refused earlier.
	ErrInvalid = errors.New("commitment: invalid argument")

	// ErrUnbalanced means that balances and HTLCs do not add up to the
	// capacity of the channel. Nothing may be signed or accepted.
	ErrUnbalanced = errors.New("commitment: balances and HTLCs do not add up to the capacity")

	// ErrFunderCannotPay means that the funder's balance does not cover the
	// commitment fee and both anchors; the error is a *FunderError.
	ErrFunderCannotPay = errors.New("commitment: funder cannot pay fee and anchors")

	// ErrNoOutputs means that every output would be trimmed as dust: such a
	// transaction is not valid.
	ErrNoOutputs = errors.New("commitment: transaction has no outputs")

	// ErrDustOutput means that an output of a mutual close is below the network's
	// dust limit for its script, so that the transaction would not relay. The
	// channel has to be failed instead (BOLT 2, closing_signed).
	ErrDustOutput = errors.New("commitment: closing output below the network's dust limit for its script")

	// ErrBadSignature means that a signature of the counterparty does not
	// hold; the error is a *SignatureError naming it.
	ErrBadSignature = errors.New("commitment: bad signature")

	// ErrNotCommitment means that a transaction is not a commitment
	// transaction of this channel.
	ErrNotCommitment = errors.New("commitment: not a commitment transaction of this channel")

	// ErrWrongSpend means that a transaction which should carry an HTLC
	// transaction does not carry it as the counterparty signed it.
	ErrWrongSpend = errors.New("commitment: transaction does not carry the signed HTLC input and output")

	// ErrPreimage means that a preimage is missing or does not hash to the
	// payment hash.
	ErrPreimage = errors.New("commitment: preimage missing or wrong")
)

// FunderError says how much the funder is short.
type FunderError struct {
	Balance lnwire.MilliSatoshi // what the funder has
	Fee     btcutil.Amount      // the commitment fee
	Anchors btcutil.Amount      // both anchors
}

// Error implements error.
func (e *FunderError) Error() string {
	return fmt.Sprintf("%v: has %v, needs %v and %v for the anchors: "+
		"lower the fee rate or remove HTLCs", ErrFunderCannotPay, e.Balance, e.Fee, e.Anchors)
}

// Unwrap makes errors.Is(err, ErrFunderCannotPay) true.
func (e *FunderError) Unwrap() error { return ErrFunderCannotPay }

// SignatureOf says what a signature was meant to sign.
type SignatureOf string

// The signatures a counterparty sends.
const (
	OfCommitment  SignatureOf = "commitment"
	OfHTLC        SignatureOf = "htlc"
	OfMutualClose SignatureOf = "mutual close"
)

// SignatureError names the signature that failed. Number is the number of the
// commitment (0 for a mutual close); Index and HTLCID are set for an HTLC
// signature, Index being its place in commitment_signed.
type SignatureError struct {
	Of     SignatureOf
	Number uint64
	Index  int
	HTLCID uint64
	Reason error
}

// Error implements error.
func (e *SignatureError) Error() string {
	switch e.Of {
	case OfHTLC:
		return fmt.Sprintf("%v: htlc signature %d (htlc id %d) of commitment %d: %v",
			ErrBadSignature, e.Index, e.HTLCID, e.Number, e.Reason)
	case OfMutualClose:
		return fmt.Sprintf("%v: mutual close: %v", ErrBadSignature, e.Reason)
	default:
		return fmt.Sprintf("%v: commitment %d: %v", ErrBadSignature, e.Number, e.Reason)
	}
}

// Unwrap makes errors.Is work for ErrBadSignature and for the reason.
func (e *SignatureError) Unwrap() []error { return []error{ErrBadSignature, e.Reason} }

// The reasons inside a SignatureError.
var (
	errSigRange  = errors.New("r or s is zero or not below the group order")
	errSigHighS  = errors.New("s is not low, so the transaction would not relay")
	errSigVerify = errors.New("does not verify")
	errSigCount  = errors.New("wrong number of htlc signatures")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
