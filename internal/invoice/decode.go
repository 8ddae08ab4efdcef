package invoice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/internal/ln"
)

// Why an invoice cannot be paid.
var (
	ErrMalformed        = errors.New("not a valid BOLT 11 invoice")
	ErrWrongNetwork     = errors.New("the invoice is for another chain")
	ErrExpired          = errors.New("the invoice has expired, ask for a new one")
	ErrNoSecret         = errors.New("the invoice has no payment secret, its maker is too old to be paid safely")
	ErrUnknownFeature   = errors.New("the invoice needs a feature this release does not have")
	ErrDeltaTooHigh     = errors.New("the invoice asks to lock the payment for too many blocks")
	ErrAmountImpossible = errors.New("the invoice asks for more than can be paid")
)

// Request is an invoice of someone else, checked and ready to be paid.
type Request struct {
	// Bolt11 is the invoice as given, without a "lightning:" before it.
	Bolt11 string

	Hash   ln.Hash
	Secret Secret

	// Destination is the payee, whose signature was checked.
	Destination *btcec.PublicKey

	// AmountMsat is zero if the payer may choose.
	AmountMsat uint64

	// Description is empty if the invoice has only its hash.
	Description     string
	DescriptionHash *[32]byte

	CreatedAt, ExpiresAt time.Time

	// MinFinalCLTVDelta is to be added to the current height, and a margin for blocks found on the way.
	MinFinalCLTVDelta uint32

	// MPP says that the payee takes split payments.
	MPP bool

	// Metadata is to be sent in the onion as it is.
	Metadata   []byte
	RouteHints [][]zpay32.HopHint
}

// knownFeatures are those that an invoice may require of this payer.
var knownFeatures = map[lnwire.FeatureBit]string{
	lnwire.TLVOnionPayloadRequired: "var_onion", lnwire.TLVOnionPayloadOptional: "var_onion",
	lnwire.PaymentAddrRequired: "payment_secret", lnwire.PaymentAddrOptional: "payment_secret",
	lnwire.MPPRequired: "basic_mpp", lnwire.MPPOptional: "basic_mpp",
	featureMetadata: "payment_metadata", featureMetadata + 1: "payment_metadata",
}

// featureMetadata is option_payment_metadata (BOLT 9).
const featureMetadata lnwire.FeatureBit = 48

// prefixes are the chains' human-readable prefixes, the longer of two that begin alike first (BOLT 11).
var prefixes = []string{"lnbcrt", "lntbs", "lnbc", "lntb", "lnsb"}

// Decode reads an invoice to be paid on chain at the given time. A "lightning:" before it, capital letters and space around it are accepted.
func Decode(text string, chain *chaincfg.Params, now time.Time) (*Request, error) {
	text = strings.TrimSpace(text)
	const scheme = "lightning:"
	if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
		text = text[len(scheme):]
	}
	if err := checkNetwork(text, chain); err != nil {
		return nil, err
	}
	inv, err := zpay32.Decode(text, chain, zpay32.WithKnownFeatureBits(knownFeatures))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := &Request{
		Bolt11:          text,
		Hash:            *inv.PaymentHash,
		Secret:          inv.PaymentAddr.UnwrapOr([32]byte{}),
		Destination:     inv.Destination,
		DescriptionHash: inv.DescriptionHash,
		CreatedAt:       inv.Timestamp,
		ExpiresAt:       inv.Timestamp.Add(inv.Expiry()),
		MPP:             inv.Features.HasFeature(lnwire.MPPOptional),
		Metadata:        inv.Metadata,
		RouteHints:      inv.RouteHints,
	}
	if inv.MilliSat != nil {
		r.AmountMsat = uint64(*inv.MilliSat)
	}
	if inv.Description != nil {
		r.Description = *inv.Description
	}
	if err := r.check(inv, now); err != nil {
		return nil, err
	}
	r.MinFinalCLTVDelta = uint32(inv.MinFinalCLTVExpiry())
	return r, nil
}

func (r *Request) check(inv *zpay32.Invoice, now time.Time) error {
	// A required feature can change the meaning of everything else, so it comes first.
	unknown := slices.DeleteFunc(featureBits(inv.Features), func(bit lnwire.FeatureBit) bool {
		_, known := knownFeatures[bit]
		return known || bit%2 == 1
	})
	switch {
	case len(unknown) != 0:
		return fmt.Errorf("%w: feature bits %d", ErrUnknownFeature, unknown)
	case inv.Expiry() < 0: // it overflowed: more than 292 years
		return fmt.Errorf("%w: its expiry is out of range", ErrMalformed)
	case !now.Before(r.ExpiresAt):
		return fmt.Errorf("%w: it was good until %s", ErrExpired, r.ExpiresAt.UTC().Format(time.RFC3339))
	case inv.PaymentAddr.IsNone():
		return ErrNoSecret
	case inv.MinFinalCLTVExpiry() > maxDelta:
		return fmt.Errorf("%w: %d, at most %d are accepted", ErrDeltaTooHigh, inv.MinFinalCLTVExpiry(), maxDelta)
	case r.AmountMsat > maxMsat:
		return fmt.Errorf("%w: %d msat", ErrAmountImpossible, r.AmountMsat)
	}
	return nil
}

// featureBits are the bits set, ascending.
func featureBits(fv *lnwire.FeatureVector) []lnwire.FeatureBit {
	var bits []lnwire.FeatureBit
	for bit := range fv.Features() {
		bits = append(bits, bit)
	}
	slices.Sort(bits)
	return bits
}

// checkNetwork tells "another chain" from "not an invoice", which the library does not: it reads lnbcrt1... as a mainnet invoice over "rt".
func checkNetwork(text string, chain *chaincfg.Params) error {
	want := "ln" + chain.Bech32HRPSegwit
	if chain.Net == chaincfg.SigNetParams.Net {
		want = "lntbs"
	}
	lower := strings.ToLower(text[:min(len(text), 6)])
	for _, prefix := range prefixes {
		if strings.HasPrefix(lower, prefix) {
			if prefix != want {
				return fmt.Errorf("%w: it begins with %s, this node's begin with %s", ErrWrongNetwork, prefix, want)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: it does not begin with %s", ErrMalformed, want)
}
