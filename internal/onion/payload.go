package onion

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/tlv"
)

// The records of a payload (BOLT 4, payload format).
const (
	typeAmount      tlv.Type = 2
	typeCLTV        tlv.Type = 4
	typeSCID        tlv.Type = 6
	typePaymentData tlv.Type = 8
	typeMetadata    tlv.Type = 16
)

// Payload is what the payer tells one hop. In a final payload PaymentData is set and NextSCID is zero; in any other it is the reverse.
type Payload struct {
	// AmountMsat is amt_to_forward: for the final hop what the HTLC must carry at least.
	AmountMsat uint64

	// CLTVExpiry is outgoing_cltv_value: for the final hop what the HTLC's expiry must be at least.
	CLTVExpiry uint32

	// Final says that the onion ends here.
	Final bool

	// NextSCID is the channel to forward over.
	NextSCID uint64

	// PaymentSecret and TotalMsat are payment_data: the invoice's secret and the sum of all parts.
	PaymentSecret [32]byte
	TotalMsat     uint64

	// Metadata is the invoice's payment_metadata, nil if it had none.
	Metadata []byte
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
		data := paymentData{secret: p.PaymentSecret, totalMsat: p.TotalMsat}
		records = append(records, data.record())
		if p.Metadata != nil {
			records = append(records, tlv.MakePrimitiveRecord(typeMetadata, &p.Metadata))
		}
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
	stream, err := tlv.NewStream(
		tlv.MakeDynamicRecord(typeAmount, &p.AmountMsat, nil, tlv.ETUint64, tlv.DTUint64),
		tlv.MakeDynamicRecord(typeCLTV, &p.CLTVExpiry, nil, tlv.ETUint32, tlv.DTUint32),
		tlv.MakePrimitiveRecord(typeSCID, &p.NextSCID),
		data.record(),
		tlv.MakePrimitiveRecord(typeMetadata, &p.Metadata),
	)
	if err != nil {
		return nil, &PayloadError{Err: err}
	}
	parsed, err := stream.DecodeWithParsedTypesP2P(bytes.NewReader(raw))
	if err != nil {
		return nil, &PayloadError{Err: fmt.Errorf("%w: %w", ErrUnreadable, err)}
	}
	// A record that was decoded maps to nil, an unknown one to its bytes.
	if typ, ok := lowestUnknownEven(parsed); ok {
		return nil, &PayloadError{Type: uint64(typ), Err: ErrUnknownRecord}
	}

	required := []tlv.Type{typeAmount, typeCLTV, typeSCID}
	forbidden := []tlv.Type{typePaymentData, typeMetadata}
	if final {
		// payment_secret is compulsory in BOLT 4: without it anyone on the route could probe for the payee.
		required = []tlv.Type{typeAmount, typeCLTV, typePaymentData}
		forbidden = []tlv.Type{typeSCID}
	}
	for _, typ := range required {
		if _, ok := parsed[typ]; !ok {
			return nil, &PayloadError{Type: uint64(typ), Err: ErrMissing}
		}
	}
	for _, typ := range forbidden {
		if _, ok := parsed[typ]; ok {
			return nil, &PayloadError{Type: uint64(typ), Err: ErrUnexpected}
		}
	}
	p.PaymentSecret, p.TotalMsat = data.secret, data.totalMsat
	return p, nil
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
	sort.Slice(unknown, func(i, j int) bool { return unknown[i] < unknown[j] })
	return unknown[0], true
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
