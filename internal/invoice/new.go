package invoice

import (
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/internal/ln"
)

const (
	// DefaultExpiry is how long an invoice is good for if nothing else is said (BOLT 11).
	DefaultExpiry = zpay32.DefaultInvoiceExpiry

	// DefaultMinFinalCLTVDelta leaves the node time to hold a payment before the last moment to claim it.
	DefaultMinFinalCLTVDelta = 42

	// LeastMinFinalCLTVDelta: an HTLC is given up 24 blocks before it expires, and a payer's chain may be 3 blocks behind.
	LeastMinFinalCLTVDelta = 27
)

// ErrParams is the error of an invoice that cannot be made as asked.
var ErrParams = errors.New("invoice: bad parameters")

// Signer signs with the node's key. keychain's message signers have it, so a remote signer can.
type Signer interface {
	// SignMessageCompact is the recoverable signature over the SHA-256 of msg, once or twice.
	SignMessageCompact(msg []byte, doubleHash bool) ([]byte, error)
}

// SignerOf is the Signer of a private key at hand.
func SignerOf(priv *btcec.PrivateKey) Signer {
	return keychain.NewPrivKeyMessageSigner(priv, keychain.KeyLocator{Family: keychain.KeyFamilyNodeKey})
}

// Params are what an invoice says.
type Params struct {
	// AmountMsat is what is asked for; zero lets the payer choose.
	AmountMsat uint64

	// Description is shown to the payer. It may be empty.
	Description string

	// DescriptionHash stands for a description that is too long for an invoice, which the payer got otherwise. Nil: there is none.
	DescriptionHash *[32]byte

	// Expiry is how long the invoice is good for, in whole seconds; zero is DefaultExpiry.
	Expiry time.Duration

	// MinFinalCLTVDelta is the number of blocks the last HTLC must have left; zero is DefaultMinFinalCLTVDelta.
	MinFinalCLTVDelta uint16

	// MPP offers basic_mpp: the payer may split the payment.
	MPP bool

	// Hold leaves it to the node's user to claim or refuse a payment.
	Hold bool

	// Hash is the payment hash, for an invoice whose preimage somebody else has; it implies Hold. Nil: the hash of a preimage of this node.
	Hash *ln.Hash

	// RouteHints are the ways to a node without public channels.
	RouteHints [][]zpay32.HopHint

	// Now is when the invoice is made.
	Now time.Time

	// IV is fresh randomness: the same IV and the same terms twice are the same payment hash twice. It is not used with Hash.
	IV [ivSize]byte

	Signer Signer
	Chain  *chaincfg.Params
}

// Invoice is an invoice of ours.
type Invoice struct {
	// Bolt11 is the text to hand to the payer.
	Bolt11 string

	Hash      ln.Hash
	Secret    Secret
	ExpiresAt time.Time
}

// New makes an invoice. The only error is ErrParams, or the signer's.
func New(keys Keys, p Params) (Invoice, error) {
	if p.Expiry == 0 {
		p.Expiry = DefaultExpiry
	}
	if p.MinFinalCLTVDelta == 0 {
		p.MinFinalCLTVDelta = DefaultMinFinalCLTVDelta
	}
	if err := p.check(); err != nil {
		return Invoice{}, fmt.Errorf("%w: %w", ErrParams, err)
	}
	expiresAt := p.Now.Truncate(time.Second).Add(p.Expiry)
	terms := Details{
		AmountMsat: p.AmountMsat, ExpiresAt: expiresAt, MinFinalCLTVDelta: p.MinFinalCLTVDelta, MPP: p.MPP, Hold: p.Hold || p.Hash != nil,
	}
	secret := keys.seal(p.IV, terms)
	_, hash := keys.Preimage(secret)
	if p.Hash != nil {
		secret, hash = keys.sealGiven(*p.Hash, terms), *p.Hash
	}

	options := []func(*zpay32.Invoice){
		zpay32.Expiry(p.Expiry),
		zpay32.CLTVExpiry(uint64(p.MinFinalCLTVDelta)),
		zpay32.PaymentAddr(secret),
		zpay32.Features(features(p.MPP)),
	}
	if p.DescriptionHash != nil {
		options = append(options, zpay32.DescriptionHash(*p.DescriptionHash))
	} else {
		options = append(options, zpay32.Description(p.Description))
	}
	if p.AmountMsat != 0 {
		options = append(options, zpay32.Amount(lnwire.MilliSatoshi(p.AmountMsat)))
	}
	for _, hint := range p.RouteHints {
		options = append(options, zpay32.RouteHint(hint))
	}
	inv, err := zpay32.NewInvoice(p.Chain, hash, p.Now, options...)
	if err != nil {
		return Invoice{}, fmt.Errorf("%w: %w", ErrParams, err)
	}
	text, err := inv.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return p.Signer.SignMessageCompact(msg, false)
	}})
	if err != nil {
		return Invoice{}, fmt.Errorf("invoice: encode: %w", err)
	}
	return Invoice{Bolt11: text, Hash: hash, Secret: secret, ExpiresAt: expiresAt}, nil
}

func (p *Params) check() error {
	switch {
	case p.Signer == nil || p.Chain == nil:
		return errors.New("signer or chain is missing")
	case p.Hash != nil && *p.Hash == ln.Hash{}:
		return errors.New("the given payment hash is zero")
	case p.Hash == nil && p.IV == [ivSize]byte{}:
		return errors.New("the IV is not random")
	case p.AmountMsat > maxMsat:
		return fmt.Errorf("%d msat, at most %d can be asked for", p.AmountMsat, uint64(maxMsat))
	case p.MinFinalCLTVDelta < LeastMinFinalCLTVDelta || p.MinFinalCLTVDelta > maxDelta:
		return fmt.Errorf("min_final_cltv_expiry_delta %d, want %d to %d", p.MinFinalCLTVDelta, LeastMinFinalCLTVDelta, maxDelta)
	case p.Expiry < time.Second || p.Expiry%time.Second != 0:
		return fmt.Errorf("expiry %v, want whole seconds, at least one", p.Expiry)
	case p.Now.Unix() < 0 || p.Now.Unix() >= 1<<35:
		return fmt.Errorf("the time %v does not fit into an invoice", p.Now)
	case p.DescriptionHash != nil && p.Description != "":
		return errors.New("an invoice has a description or the hash of one, not both")
	case len(p.RouteHints) > MaxRouteHints:
		return fmt.Errorf("%d route hints, want at most %d", len(p.RouteHints), MaxRouteHints)
	case len(p.Description) > MaxDescription:
		return fmt.Errorf("the description has %d bytes, want at most %d", len(p.Description), MaxDescription)
	}
	return nil
}

// MaxDescription is the longest description in bytes: what the 10 bits of a field's length can count.
const MaxDescription = 639

// MaxRouteHints keeps an invoice short enough for a QR code; payers need few.
const MaxRouteHints = 8

// features are those of an invoice: var_onion and payment_secret are compulsory by now (BOLT 9), basic_mpp is offered on request.
func features(mpp bool) *lnwire.FeatureVector {
	raw := lnwire.NewRawFeatureVector(lnwire.TLVOnionPayloadRequired, lnwire.PaymentAddrRequired)
	if mpp {
		raw.Set(lnwire.MPPOptional)
	}
	return lnwire.NewFeatureVector(raw, lnwire.Features)
}
