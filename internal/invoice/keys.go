package invoice

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// Labels of the keys under the seed. They never change: invoices in the hands of payers depend on them.
const (
	labelMask     = "lnactor/invoice/mask/1"
	labelPreimage = "lnactor/invoice/preimage/1"
	labelGiven    = "lnactor/invoice/given/1"
)

// Deriver gives a symmetric key by label. seed.Root is one.
type Deriver interface {
	Derive(label string) [32]byte
}

// Keys make and recognise a node's invoices. They are as secret as the preimages they yield.
type Keys struct {
	mask, preimage, given [32]byte
}

// NewKeys derives the keys from the seed.
func NewKeys(d Deriver) Keys {
	return Keys{mask: d.Derive(labelMask), preimage: d.Derive(labelPreimage), given: d.Derive(labelGiven)}
}

// Format hides the keys from package fmt.
func (Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("invoice.Keys(redacted)")) }

// LogValue hides the keys from log/slog.
func (Keys) LogValue() slog.Value { return slog.StringValue("invoice.Keys(redacted)") }

// Secret is a payment secret (BOLT 11 field s, BOLT 4 payment_data).
type Secret [32]byte

// Details are what the secret of an invoice says about it.
type Details struct {
	// AmountMsat is what was asked for, zero if the payer may choose.
	AmountMsat uint64

	// ExpiresAt is the first instant at which the invoice is no longer paid to.
	ExpiresAt time.Time

	// MinFinalCLTVDelta is the number of blocks the HTLC must have left.
	MinFinalCLTVDelta uint16

	// MPP says that the payer may split the payment.
	MPP bool

	// Hold says that the node's user decides about a payment, not the node.
	Hold bool

	// Given says that the payment hash was given to the node, which does not know the preimage: claiming takes whoever does.
	Given bool
}

const (
	ivSize   = 16
	version  = 1
	flagMPP  = 1
	flagHold = 2
	maxDelta = 2016

	// maxMsat is about 18 million bitcoin: the most that BOLT 11's smallest unit, a tenth of a millisatoshi, counts in 64 bits.
	maxMsat = (1<<64 - 1) / 10

	// maxExpiry is what 40 bits of seconds hold: the year 36812.
	maxExpiry = 1<<40 - 1
)

// seal makes the secret of an invoice.
func (k Keys) seal(iv [ivSize]byte, d Details) Secret {
	m := d.pack()
	k.xor(iv, &m)
	return join(iv, m)
}

// sealGiven makes the secret of an invoice for a hash that was given: the iv is a MAC of it and of the terms, in place of the preimage that
// otherwise binds them. The same hash and terms give the same secret.
func (k Keys) sealGiven(hash ln.Hash, d Details) Secret {
	m := d.pack()
	iv := k.mac(hash, m)
	k.xor(iv, &m)
	return join(iv, m)
}

func (k Keys) mac(hash ln.Hash, m [16]byte) [ivSize]byte {
	mac := hmac.New(sha256.New, k.given[:])
	mac.Write(hash[:])
	mac.Write(m[:])
	return [ivSize]byte(mac.Sum(nil))
}

func (d *Details) pack() (m [16]byte) {
	// Highest first: each field is cut off by the one that follows it.
	binary.BigEndian.PutUint64(m[0:], uint64(d.ExpiresAt.Unix()))
	m[0] = version << 4
	if d.MPP {
		m[0] |= flagMPP
	}
	if d.Hold {
		m[0] |= flagHold
	}
	binary.BigEndian.PutUint16(m[1:], d.MinFinalCLTVDelta)
	binary.BigEndian.PutUint64(m[8:], d.AmountMsat)
	return m
}

func join(iv [ivSize]byte, m [16]byte) (s Secret) {
	copy(s[:ivSize], iv[:])
	copy(s[ivSize:], m[:])
	return s
}

// Open reads the secret of an invoice of ours with this hash; ok is false if there is none. The preimage is nil if the hash was given.
func (k Keys) Open(hash ln.Hash, s Secret) (d Details, preimage *ln.Preimage, ok bool) {
	p, derived := k.Preimage(s)
	iv, m := [ivSize]byte(s[:ivSize]), [16]byte(s[ivSize:])
	k.xor(iv, &m)
	given := k.mac(hash, m)
	ours := subtle.ConstantTimeCompare(derived[:], hash[:]) == 1
	d.Given = subtle.ConstantTimeCompare(given[:], iv[:]) == 1
	if m[0]>>4 != version || !ours && !d.Given {
		return Details{}, nil, false
	}
	if ours {
		preimage = &p
	}
	d.MPP, d.Hold = m[0]&flagMPP != 0, m[0]&flagHold != 0
	d.MinFinalCLTVDelta = binary.BigEndian.Uint16(m[1:])
	d.ExpiresAt = time.Unix(int64(binary.BigEndian.Uint64(m[0:])&maxExpiry), 0)
	d.AmountMsat = binary.BigEndian.Uint64(m[8:])
	return d, preimage, true
}

func (k Keys) xor(iv [ivSize]byte, m *[16]byte) {
	mac := hmac.New(sha256.New, k.mask[:])
	mac.Write(iv[:])
	for i, b := range mac.Sum(nil)[:len(m)] {
		m[i] ^= b
	}
}

// Preimage is the preimage of the invoice with this secret, and its hash, unless the hash was given. It is right for any secret ever made, paid or
// not, known or forgotten.
func (k Keys) Preimage(s Secret) (ln.Preimage, ln.Hash) {
	mac := hmac.New(sha256.New, k.preimage[:])
	mac.Write(s[:])
	preimage := ln.Preimage(mac.Sum(nil))
	return preimage, ln.Hash(sha256.Sum256(preimage[:]))
}
