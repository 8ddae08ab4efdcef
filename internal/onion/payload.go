package onion

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/tlv"

	"github.com/lnactor/lnactor/internal/ln"
)

// The records of a payload (BOLT 4, payload format).
const (
	typeAmount      tlv.Type = 2
	typeCLTV        tlv.Type = 4
	typeSCID        tlv.Type = 6
	typePaymentData tlv.Type = 8
	typeMetadata    tlv.Type = 16

	// typeKeysend is in no BOLT: the preimage, from a payer who has no invoice. All implementations agree on it.
	typeKeysend tlv.Type = 5482373484
)

// FirstCustomType begins the range of record types that belong to applications (BOLT 1).
const FirstCustomType = 1 << 16

// Record is a record of an application in a final payload.
type Record struct {
	Type  uint64
	Value []byte
}

// Payload is what the payer tells one hop. Everything below NextSCID is in final payloads only, and NextSCID in all others.
type Payload struct {
	// AmountMsat is amt_to_forward: for the final hop what the HTLC must carry at least.
	AmountMsat uint64

	// CLTVExpiry is outgoing_cltv_value: for the final hop what the HTLC's expiry must be at least.
	CLTVExpiry uint32

	// Final says that the onion ends here.
	Final bool

	// NextSCID is the channel to forward over.
	NextSCID uint64

	// PaymentSecret and TotalMsat are payment_data: the invoice's secret and the sum of all parts. With Keysend and no secret there is no such
	// record, and the total is AmountMsat.
	PaymentSecret [32]byte
	TotalMsat     uint64

	// Metadata is the invoice's payment_metadata, nil if it had none.
	Metadata []byte

	// Keysend is the preimage, if the payer has no invoice. Whether it is the hash's, the receiver has to check.
	Keysend *ln.Preimage

	// Custom are records of applications, by type. Those of an even type are to be understood or the HTLC is to be failed: that is the receiver's to
	// see to, since only it knows whether somebody does.
	Custom []Record
}

// PayloadError says which record of a payload is wrong. The shared secret is known, so it is answered with Failure, encrypted.
type PayloadError struct {
	// Type is the offending record's type, zero if the whole is unreadable.
	Type uint64
	Err  error
}

// Error names the record.
func (e *PayloadError) Error() string {
	return fmt.Sprintf("onion payload, record %d: %v", e.Type, e.Err)
}

// Unwrap is the cause: ErrMissing, ErrUnexpected, ErrUnknownRecord, ErrUnreadable.
func (e *PayloadError) Unwrap() error { return e.Err }

// Failure is invalid_onion_payload (BOLT 4).
func (e *PayloadError) Failure() lnwire.FailureMessage {
	// The offset is not known after decoding; zero is what lnd and others send.
	return lnwire.NewInvalidOnionPayload(e.Type, 0)
}

// What can be wrong with a record.
var (
	ErrMissing       = errors.New("required but missing")
	ErrUnexpected    = errors.New("not allowed at this hop")
	ErrUnknownRecord = errors.New("unknown and even, so it must be understood")
	ErrUnreadable    = errors.New("not a canonical TLV stream")
)

// encode writes p as a TLV stream.
func (p *Payload) encode() ([]byte, error) {
	records := []tlv.Record{
		tlv.MakeDynamicRecord(typeAmount, &p.AmountMsat, func() uint64 { return tlv.SizeTUint64(p.AmountMsat) }, tlv.ETUint64, tlv.DTUint64),
		tlv.MakeDynamicRecord(typeCLTV, &p.CLTVExpiry, func() uint64 { return tlv.SizeTUint32(p.CLTVExpiry) }, tlv.ETUint32, tlv.DTUint32),
	}
	if p.Final {
		if p.Keysend == nil || p.PaymentSecret != [32]byte{} || p.TotalMsat != 0 && p.TotalMsat != p.AmountMsat {
			data := paymentData{secret: p.PaymentSecret, totalMsat: p.TotalMsat}
			records = append(records, data.record())
		}
		if p.Metadata != nil {
			records = append(records, tlv.MakePrimitiveRecord(typeMetadata, &p.Metadata))
		}
		if p.Keysend != nil {
			records = append(records, tlv.MakePrimitiveRecord(typeKeysend, (*[32]byte)(p.Keysend)))
		}
		for i := range p.Custom {
			records = append(records, tlv.MakePrimitiveRecord(tlv.Type(p.Custom[i].Type), &p.Custom[i].Value))
		}
		tlv.SortRecords(records)
	} else {
		records = append(records, tlv.MakePrimitiveRecord(typeSCID, &p.NextSCID))
	}
	stream, err := tlv.NewStream(records...)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := stream.Encode(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decodePayload reads the TLV stream of a hop and checks it against the hop's place in the route. Every error is a *PayloadError.
func decodePayload(raw []byte, final bool) (*Payload, error) {
	p := &Payload{Final: final}
	var data paymentData
	var keysend [32]byte
	stream, err := tlv.NewStream(
		tlv.MakeDynamicRecord(typeAmount, &p.AmountMsat, nil, tlv.ETUint64, tlv.DTUint64),
		tlv.MakeDynamicRecord(typeCLTV, &p.CLTVExpiry, nil, tlv.ETUint32, tlv.DTUint32),
		tlv.MakePrimitiveRecord(typeSCID, &p.NextSCID),
		data.record(),
		tlv.MakePrimitiveRecord(typeMetadata, &p.Metadata),
		tlv.MakePrimitiveRecord(typeKeysend, &keysend),
	)
	if err != nil {
		return nil, &PayloadError{Err: err}
	}
	parsed, err := stream.DecodeWithParsedTypesP2P(bytes.NewReader(raw))
	if err != nil {
		return nil, &PayloadError{Err: fmt.Errorf("%w: %w", ErrUnreadable, err)}
	}
	if final {
		p.Custom = custom(parsed)
	}
	if typ, ok := lowestUnknownEven(parsed); ok {
		return nil, &PayloadError{Type: uint64(typ), Err: ErrUnknownRecord}
	}

	has := func(typ tlv.Type) bool { _, ok := parsed[typ]; return ok }
	required := []tlv.Type{typeAmount, typeCLTV, typeSCID}
	forbidden := []tlv.Type{typePaymentData, typeMetadata, typeKeysend}
	if final {
		// payment_secret is compulsory in BOLT 4: without it anyone on the route could probe for the payee. A keysend payment proves itself.
		required = []tlv.Type{typeAmount, typeCLTV, typePaymentData}
		if has(typeKeysend) {
			required = required[:2]
		}
		forbidden = []tlv.Type{typeSCID}
	}
	for _, typ := range required {
		if !has(typ) {
			return nil, &PayloadError{Type: uint64(typ), Err: ErrMissing}
		}
	}
	for _, typ := range forbidden {
		if has(typ) {
			return nil, &PayloadError{Type: uint64(typ), Err: ErrUnexpected}
		}
	}
	p.PaymentSecret, p.TotalMsat = data.secret, data.totalMsat
	if has(typeKeysend) {
		p.Keysend = (*ln.Preimage)(&keysend)
		if p.TotalMsat == 0 && p.PaymentSecret == [32]byte{} {
			p.TotalMsat = p.AmountMsat
		}
	}
	return p, nil
}

// custom takes the records of applications out of what was parsed. A record that was decoded maps to nil, an unknown one to its bytes.
func custom(parsed tlv.TypeMap) []Record {
	var out []Record
	for typ, value := range parsed {
		if value != nil && typ >= FirstCustomType {
			out = append(out, Record{Type: uint64(typ), Value: value})
		}
	}
	for _, r := range out {
		delete(parsed, tlv.Type(r.Type))
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Compare(a.Type, b.Type) })
	return out
}

// lowestUnknownEven picks one of the records that must be understood and are not: the lowest, so that the answer does not depend on map order.
func lowestUnknownEven(parsed tlv.TypeMap) (tlv.Type, bool) {
	var unknown []tlv.Type
	for typ, value := range parsed {
		if value != nil && typ%2 == 0 {
			unknown = append(unknown, typ)
		}
	}
	if len(unknown) == 0 {
		return 0, false
	}
	return slices.Min(unknown), true
}

// paymentData is record 8: 32 bytes of secret and a truncated total.
type paymentData struct {
	secret    [32]byte
	totalMsat uint64
}

func (d *paymentData) record() tlv.Record {
	size := func() uint64 { return 32 + tlv.SizeTUint64(d.totalMsat) }
	return tlv.MakeDynamicRecord(typePaymentData, d, size, encodePaymentData, decodePaymentData)
}

func encodePaymentData(w io.Writer, val any, buf *[8]byte) error {
	d, ok := val.(*paymentData)
	if !ok {
		return tlv.NewTypeForEncodingErr(val, "paymentData")
	}
	if err := tlv.EBytes32(w, &d.secret, buf); err != nil {
		return err
	}
	return tlv.ETUint64T(w, d.totalMsat, buf)
}

func decodePaymentData(r io.Reader, val any, buf *[8]byte, length uint64) error {
	d, ok := val.(*paymentData)
	if !ok || length < 32 || length > 40 {
		return tlv.NewTypeForDecodingErr(val, "paymentData", length, 40)
	}
	if err := tlv.DBytes32(r, &d.secret, buf, 32); err != nil {
		return err
	}
	return tlv.DTUint64(r, &d.totalMsat, buf, length-32)
}
