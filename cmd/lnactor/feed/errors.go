package feed

import (
	"errors"
	"fmt"
	"time"
)

// Why a call was refused.
var (
	ErrName          = errors.New("a consumer's name has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or digit")
	ErrNoConsumer    = errors.New("no such consumer")
	ErrWhichConsumer = errors.New("which consumer? none is named, and there is not exactly one")
	ErrTooMany       = errors.New("too many consumers")
	ErrNoEvent       = errors.New("no such event in the journal")
	ErrTakenOver     = errors.New("another stream of this consumer has begun, or its cursor was moved")
	ErrIsWebhook     = errors.New("the consumer is a webhook: its endpoint acknowledges")
	ErrNotWebhook    = errors.New("the consumer is no webhook")
	ErrConfigured    = errors.New("the webhook is one of the configuration")
	ErrURL           = errors.New("a webhook's URL begins with https://, or with http:// for an endpoint on this machine")
	ErrSecret        = errors.New("a webhook's secret is whsec_ and the base64 of 24 to 64 bytes")
	ErrClosed        = errors.New("the feed is closed")
	ErrNotTaken      = errors.New("the endpoint did not take it")
)

// ExpiredError says that a consumer lagged over the limit: events that it has not acknowledged were removed, or may be at any time. It goes on when Feed.Set has
// said where.
type ExpiredError struct {
	Consumer string
	Since    time.Time // when that was found
	Lag      uint64    // events that it has not acknowledged
	Removed  uint64    // of those, events that are no longer in the journal
}

// Error says what happened.
func (e *ExpiredError) Error() string {
	return fmt.Sprintf("consumer %q lags by %d events, which is over the limit; %d of them are no longer in the journal", e.Consumer, e.Lag, e.Removed)
}
