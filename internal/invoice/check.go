package invoice

import (
	"errors"
	"fmt"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Why an HTLC pays no invoice of ours. All but the last two look the same to the payer, so that nobody learns from an answer which hashes are ours.
var (
	ErrUnknownPayment = errors.New("no invoice of ours has this hash and secret")
	ErrInvoiceExpired = errors.New("the invoice has expired")
	ErrAmountTooLow   = errors.New("less than the invoice asks for")
	ErrAmountTooHigh  = errors.New("more than twice what the invoice asks for")
	ErrPartial        = errors.New("a part of a payment that was not to be split")
	ErrExpiryTooSoon  = errors.New("the HTLC expires too soon to be claimed safely")

	// ErrHTLCAmount and ErrHTLCExpiry: the node before us forwarded something else than the payer told us in the onion.
	ErrHTLCAmount = errors.New("the HTLC carries less than the onion says")
	ErrHTLCExpiry = errors.New("the HTLC expires earlier than the onion says")
)

// HTLC is an inbound HTLC whose onion ends here.
type HTLC struct {
	// Hash, AmountMsat and CLTVExpiry are update_add_htlc's.
	Hash       ln.Hash
	AmountMsat uint64
	CLTVExpiry uint32

	// Secret, TotalMsat, OnionAmountMsat (amt_to_forward) and OnionCLTVExpiry (outgoing_cltv_value) are the onion's.
	Secret          Secret
	TotalMsat       uint64
	OnionAmountMsat uint64
	OnionCLTVExpiry uint32
}

// Rejection is the error of Check.
type Rejection struct {
	// Reason is one of the errors above.
	Reason error

	htlc   HTLC
	height uint32
}

// Error gives the reason, for our log only.
func (r *Rejection) Error() string {
	return fmt.Sprintf("HTLC for %s refused at height %d: %v", r.htlc.Hash, r.height, r.Reason)
}

// Unwrap is the reason.
func (r *Rejection) Unwrap() error { return r.Reason }

// Failure is the answer for the payer (BOLT 4, failure messages).
func (r *Rejection) Failure() lnwire.FailureMessage {
	switch {
	case errors.Is(r.Reason, ErrHTLCAmount):
		return lnwire.NewFinalIncorrectHtlcAmount(lnwire.MilliSatoshi(r.htlc.AmountMsat))
	case errors.Is(r.Reason, ErrHTLCExpiry):
		return lnwire.NewFinalIncorrectCltvExpiry(r.htlc.CLTVExpiry)
	default:
		return lnwire.NewFailIncorrectDetails(lnwire.MilliSatoshi(r.htlc.AmountMsat), r.height)
	}
}

// Check decides whether an HTLC pays an invoice of ours, and gives its preimage if so, nil if the hash was given. height is the node's best block: the HTLC could be in
// the next one. The answer changes with time and height, so it counts once: what was decided is durable before it is acted on (rule 13).
func Check(keys Keys, h HTLC, height uint32, now time.Time) (*ln.Preimage, Details, error) {
	details, preimage, ours := keys.Open(h.Hash, h.Secret)
	if reason := h.check(details, ours, height, now); reason != nil {
		return nil, Details{}, &Rejection{Reason: reason, htlc: h, height: height}
	}
	return preimage, details, nil
}

// CheckTerms is Check for an HTLC that pays no invoice but these terms.
func CheckTerms(d Details, h HTLC, height uint32, now time.Time) error {
	if reason := h.check(d, true, height, now); reason != nil {
		return &Rejection{Reason: reason, htlc: h, height: height}
	}
	return nil
}

func (h *HTLC) check(d Details, ours bool, height uint32, now time.Time) error {
	// First what the onion promised and the HTLC did not keep: it says nothing about our invoices.
	if h.CLTVExpiry < h.OnionCLTVExpiry {
		return ErrHTLCExpiry
	}
	if h.AmountMsat < h.OnionAmountMsat {
		return ErrHTLCAmount
	}
	// Only behind this line are the details ours.
	if !ours {
		return ErrUnknownPayment
	}
	switch {
	case !now.Before(d.ExpiresAt):
		return ErrInvoiceExpired
	case uint64(h.CLTVExpiry) < uint64(height)+uint64(d.MinFinalCLTVDelta):
		return ErrExpiryTooSoon
	case !d.MPP && h.TotalMsat != h.OnionAmountMsat:
		return ErrPartial
	case h.TotalMsat < h.OnionAmountMsat:
		return ErrPartial
	case h.TotalMsat == 0 || h.TotalMsat < d.AmountMsat:
		return ErrAmountTooLow
	case d.AmountMsat != 0 && h.TotalMsat > 2*d.AmountMsat:
		return ErrAmountTooHigh
	}
	return nil
}
