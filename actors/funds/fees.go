package funds

import (
	"context"
	"math"
)

// Fees estimates fee rates.
type Fees interface {
	// FeePerKw is the rate, in satoshis per 1000 weight units, at which a transaction confirms within this many blocks.
	FeePerKw(ctx context.Context, blocks uint32) (uint32, error)

	// Local reports that the answer comes from memory, so that the question may be asked within a mailbox turn.
	Local() bool
}

// FeeState says what the fee rates rest on.
type FeeState uint8

// States.
const (
	FeesUnknown  FeeState = iota // nothing was asked yet
	FeesOK                       // the estimates are of this block
	FeesStale                    // the source does not answer any more: its last estimates are used
	FeesFallback                 // the source has no estimate: the configured rate is used
	FeesMissing                  // neither is there: a guess is used
)

// String names the state for logs and health checks.
func (s FeeState) String() string {
	switch s {
	case FeesOK:
		return "ok"
	case FeesStale:
		return "stale"
	case FeesFallback:
		return "fallback"
	case FeesMissing:
		return "missing"
	case FeesUnknown:
	}
	return "unknown"
}

// targets are the confirmation times, in blocks, that are asked for; others are rounded down to one of these.
var targets = [...]uint32{2, 3, 6, 12, 24, 72, 144}

// guess is the rate for when there is nothing else, 20 sat/vB: a claim with a deadline can't wait for a source.
const guess = 5000

// estimate is a source's answer for one target.
type estimate struct {
	perKw uint32
	err   error
}

// feeBook is what was last heard of the fee rates. It never forgets a rate for want of a newer one.
type feeBook struct {
	fallback uint32 // 0: none
	known    [len(targets)]uint32
	state    FeeState
	err      error // of the last questions, if all failed
}

// learn takes in the answers to one round of questions, in the order of targets.
func (b *feeBook) learn(answers []estimate) {
	fresh := false
	b.err = nil
	for i, a := range answers {
		switch {
		case a.err != nil:
			b.err = a.err
		case a.perKw > 0:
			b.known[i], fresh = a.perKw, true
		}
	}
	switch {
	case fresh:
		b.state, b.err = FeesOK, nil
	case b.any():
		b.state = FeesStale
	case b.fallback > 0:
		b.state = FeesFallback
	default:
		b.state = FeesMissing
	}
}

func (b *feeBook) any() bool { return b.known != [len(targets)]uint32{} }

// rate is the best there is for a confirmation within so many blocks: what is known of that target, else of a shorter one, else of the next longer.
func (b *feeBook) rate(blocks uint32) uint32 {
	at := 0
	for at+1 < len(targets) && targets[at+1] <= blocks {
		at++
	}
	for i := at; i >= 0; i-- {
		if b.known[i] > 0 {
			return b.known[i]
		}
	}
	for i := at + 1; i < len(targets); i++ {
		if b.known[i] > 0 {
			return b.known[i]
		}
	}
	if b.fallback > 0 {
		return b.fallback
	}
	return guess
}

// ask puts all questions to the source. It blocks as long as the source does.
func ask(ctx context.Context, src Fees) []estimate {
	answers := make([]estimate, len(targets))
	for i, blocks := range targets {
		perKw, err := src.FeePerKw(ctx, blocks)
		answers[i] = estimate{min(perKw, math.MaxInt32), err}
	}
	return answers
}
