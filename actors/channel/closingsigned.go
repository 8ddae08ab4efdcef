package channel

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/tlv"
)

// ClosingSigned is closing_signed with the fee_range that BOLT 2 asks for. The library's type reads the record as extra data but drops it when it
// writes, so it is written here.
type ClosingSigned struct {
	lnwire.ClosingSigned
	Range FeeRange
}

var _ lnwire.Message = (*ClosingSigned)(nil)

// Encode implements lnwire.Message.
func (m *ClosingSigned) Encode(w *bytes.Buffer, _ uint32) error {
	if err := lnwire.WriteChannelID(w, m.ChannelID); err != nil {
		return err
	}
	if err := lnwire.WriteSatoshi(w, m.FeeSatoshis); err != nil {
		return err
	}
	if err := lnwire.WriteSig(w, m.Signature); err != nil {
		return err
	}
	extra, err := m.extra()
	if err != nil {
		return err
	}
	return lnwire.WriteBytes(w, extra)
}

func (m *ClosingSigned) extra() (extra lnwire.ExtraOpaqueData, err error) {
	err = extra.PackRecords(&m.Range)
	return extra, err
}

// received is the message as the library decodes it.
func (m *ClosingSigned) received() *lnwire.ClosingSigned {
	d := m.ClosingSigned
	d.ExtraData, _ = m.extra()
	return &d
}

// FeeRange is the range of fees that the sender of closing_signed accepts, in satoshis.
type FeeRange struct{ Min, Max uint64 }

const (
	feeRangeType = 1 // in the TLV stream of closing_signed
	feeRangeSize = 16
)

// Record implements tlv.RecordProducer.
func (r *FeeRange) Record() tlv.Record {
	return tlv.MakeStaticRecord(feeRangeType, r, feeRangeSize, encodeFeeRange, decodeFeeRange)
}

func encodeFeeRange(w io.Writer, v any, _ *[8]byte) error {
	r, ok := v.(*FeeRange)
	if !ok {
		return tlv.NewTypeForEncodingErr(v, "FeeRange")
	}
	var b [feeRangeSize]byte
	binary.BigEndian.PutUint64(b[:8], r.Min)
	binary.BigEndian.PutUint64(b[8:], r.Max)
	_, err := w.Write(b[:])
	return err
}

func decodeFeeRange(rd io.Reader, v any, _ *[8]byte, l uint64) error {
	r, ok := v.(*FeeRange)
	if !ok || l != feeRangeSize {
		return tlv.NewTypeForDecodingErr(v, "FeeRange", l, feeRangeSize)
	}
	var b [feeRangeSize]byte
	if _, err := io.ReadFull(rd, b[:]); err != nil {
		return err
	}
	r.Min, r.Max = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return nil
}

// feeRangeOf reads the fee_range of a received closing_signed: nil where there is none, an error where it can't be one.
func feeRangeOf(m *lnwire.ClosingSigned) (*FeeRange, error) {
	if len(m.ExtraData) == 0 {
		return nil, nil
	}
	var r FeeRange
	found, err := m.ExtraData.ExtractRecords(&r)
	if err != nil {
		return nil, err
	}
	if v, ok := found[feeRangeType]; !ok || v != nil {
		return nil, nil
	}
	return &r, nil
}

// overlap is what two ranges have in common; ok is false where that is nothing.
func (r FeeRange) overlap(s FeeRange) (common FeeRange, ok bool) {
	common = FeeRange{Min: max(r.Min, s.Min), Max: min(r.Max, s.Max)}
	return common, common.Min <= common.Max
}

func (r FeeRange) has(fee uint64) bool { return r.Min <= fee && fee <= r.Max }

func (r FeeRange) nearest(fee uint64) uint64 { return min(max(fee, r.Min), r.Max) }
