package fees

import (
	"errors"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

var (
	// ErrConfig: the configuration cannot work.
	ErrConfig = errors.New("fees: bad configuration")

	// ErrNoFeeSource: nothing has ever said what a transaction must pay. The node opens no channel.
	ErrNoFeeSource = errors.New("fees: no fee estimate; set a fee URL or a fixed fee rate, or use a chain source that estimates fees")

	// ErrStaleEstimate: what was said is too old. The node opens no channel.
	ErrStaleEstimate = errors.New("fees: the fee estimate is stale; check the chain source and the fee URL, or set a fixed fee rate")

	// ErrTooLarge: the answer of the URL is larger than an answer can be.
	ErrTooLarge = errors.New("fees: answer is too large")

	// ErrBadEstimate: the answer is not in the web format or holds no estimate.
	ErrBadEstimate = errors.New("fees: answer holds no estimate")
)

// Error says why there is no estimate to rely on. It is ErrNoFeeSource or ErrStaleEstimate, and chain.ErrNoFeeEstimate.
type Error struct {
	// State is Missing or Stale, Since when it began.
	State State
	Since time.Time

	// Last is why the last attempt to estimate failed; nil: there was none.
	Last error
}

func (e *Error) sentinel() error {
	if e.State == Stale {
		return ErrStaleEstimate
	}
	return ErrNoFeeSource
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%v (since %s)", e.sentinel(), e.Since.UTC().Format(time.RFC3339))
	if e.Last != nil {
		s += ": " + e.Last.Error()
	}
	return s
}

// Unwrap makes the sentinels and the last failure findable.
func (e *Error) Unwrap() []error {
	errs := []error{e.sentinel(), chain.ErrNoFeeEstimate}
	if e.Last != nil {
		errs = append(errs, e.Last)
	}
	return errs
}

// FetchError says why the URL gave no estimate: its Status, if that is not 200, or what went wrong.
type FetchError struct {
	URL    string // without credentials and query
	Status int
	Err    error
}

// Error implements error.
func (e *FetchError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("fees: %s answered with status %d", e.URL, e.Status)
	}
	return fmt.Sprintf("fees: %s: %v", e.URL, e.Err)
}

// Unwrap returns what went wrong.
func (e *FetchError) Unwrap() error { return e.Err }
