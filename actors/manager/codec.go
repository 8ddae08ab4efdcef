package manager

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

const version = 1

func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("manager: a record does not encode: %v", err))
	}
	return b
}

func unmarshal(what string, b []byte, m interface {
	proto.Message
	GetVersion() uint32
},
) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRecords, what, err)
	}
	if v := m.GetVersion(); v != version {
		return fmt.Errorf("%w: %s has version %d, this release reads %d", ErrRecords, what, v, version)
	}
	return nil
}

// fixed copies a field that must have exactly the size of its type.
func fixed(what string, dst, src []byte) error {
	if len(src) != len(dst) {
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrRecords, what, len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

// text makes a string that protobuf takes: reasons may quote what a peer sent.
func text(s string) string { return strings.ToValidUTF8(s, "?") }

func outcomeToPB(o *Outcome) *pb.PaymentResult {
	switch {
	case o == nil:
		return nil
	case o.Preimage != nil:
		return &pb.PaymentResult{Preimage: o.Preimage[:], FeeMsat: o.FeeMsat}
	default:
		out := &pb.PaymentResult{Reason: text(o.Reason), Unproven: o.Unproven}
		if o.Lost != nil {
			out.Lost = o.Lost[:]
		}
		return out
	}
}

func outcomeFromPB(o *pb.PaymentResult) (*Outcome, error) {
	if o == nil {
		return nil, nil //nolint:nilnil // no outcome is a value
	}
	var p ln.Preimage
	switch {
	case len(o.GetPreimage()) > 0:
		err := fixed("preimage", p[:], o.GetPreimage())
		return &Outcome{Preimage: &p, FeeMsat: o.GetFeeMsat()}, err
	case len(o.GetLost()) > 0:
		err := fixed("preimage of a lost payment", p[:], o.GetLost())
		return &Outcome{Reason: o.GetReason(), Unproven: o.GetUnproven(), Lost: &p}, err
	}
	return &Outcome{Reason: o.GetReason(), Unproven: o.GetUnproven()}, nil
}

func encodePayment(r PaymentRecord) []byte { return marshal(paymentToPB(r)) }

func decodePayment(b []byte) (PaymentRecord, error) {
	var m pb.PaymentRecord
	if err := unmarshal("payment", b, &m); err != nil {
		return PaymentRecord{}, err
	}
	return paymentFromPB(&m)
}

func encodeInvoice(r InvoiceRecord) []byte {
	m := &pb.InvoiceRow{Version: version, Held: r.Held, Cancelled: r.Cancelled, At: timeToPB(r.At)}
	for _, p := range r.Parts {
		m.AmountMsat += p.AmountMsat
		m.Parts = append(m.Parts, &pb.InvoicePart{ChannelId: p.Channel[:], HtlcId: p.HTLCID, AmountMsat: p.AmountMsat})
	}
	if r.Preimage != nil {
		m.Preimage = r.Preimage[:]
	}
	for _, c := range r.Records {
		m.Records = append(m.Records, &pb.CustomRecord{Type: c.Type, Value: c.Value})
	}
	return marshal(m)
}

func decodeInvoice(b []byte) (InvoiceRecord, error) {
	var m pb.InvoiceRow
	if err := unmarshal("invoice", b, &m); err != nil {
		return InvoiceRecord{}, err
	}
	r := InvoiceRecord{Held: m.GetHeld(), Cancelled: m.GetCancelled(), At: timeFromPB(m.GetAt())}
	parts := m.GetParts()
	if len(parts) == 0 && !r.Cancelled { // of a release that took one HTLC an invoice
		parts = []*pb.InvoicePart{{ChannelId: m.GetChannelId(), HtlcId: m.GetHtlcId(), AmountMsat: m.GetAmountMsat()}}
	}
	for _, p := range parts {
		part := InvoicePart{HTLCID: p.GetHtlcId(), AmountMsat: p.GetAmountMsat()}
		if err := fixed("channel id", part.Channel[:], p.GetChannelId()); err != nil {
			return InvoiceRecord{}, err
		}
		r.Parts = append(r.Parts, part)
	}
	if len(m.GetPreimage()) > 0 {
		r.Preimage = new(ln.Preimage)
		if err := fixed("preimage", r.Preimage[:], m.GetPreimage()); err != nil {
			return InvoiceRecord{}, err
		}
	}
	for _, c := range m.GetRecords() {
		r.Records = append(r.Records, messages.CustomRecord{Type: c.GetType(), Value: c.GetValue()})
	}
	return r, nil
}

// EncodeRecord writes an entry of the log.
func EncodeRecord(r Record) []byte {
	m := &pb.ManagerRecord{Version: version}
	switch r := r.(type) {
	case PaymentStarted:
		m.Kind = &pb.ManagerRecord_PaymentStarted{PaymentStarted: paymentToPB(r.Payment)}
	case PartsStarted:
		m.Kind = &pb.ManagerRecord_PartsStarted{PartsStarted: &pb.PartsStarted{Id: r.ID[:], Parts: partsToPB(r.Parts)}}
	case PaymentAbandoned:
		m.Kind = &pb.ManagerRecord_PaymentAbandoned{PaymentAbandoned: r.ID[:]}
	case PaymentOutcome:
		m.Kind = &pb.ManagerRecord_PaymentOutcome{PaymentOutcome: &pb.PaymentOutcome{Id: r.ID[:], Result: outcomeToPB(&r.Outcome)}}
	case PaymentHandled:
		m.Kind = &pb.ManagerRecord_PaymentHandled{PaymentHandled: r.ID[:]}
	case ClosedHandled:
		m.Kind = &pb.ManagerRecord_ClosedHandled{ClosedHandled: r.Channel[:]}
	case ResolvedHandled:
		m.Kind = &pb.ManagerRecord_ResolvedHandled{ResolvedHandled: r.Channel[:]}
	}
	return marshal(m)
}

// DecodeRecord reads what EncodeRecord wrote. Errors wrap ErrRecords.
func DecodeRecord(b []byte) (Record, error) {
	var m pb.ManagerRecord
	if err := unmarshal("record", b, &m); err != nil {
		return nil, err
	}
	switch k := m.GetKind().(type) {
	case *pb.ManagerRecord_PaymentStarted:
		p, err := paymentFromPB(k.PaymentStarted)
		if err != nil {
			return nil, err
		}
		return PaymentStarted{Payment: p}, nil
	case *pb.ManagerRecord_PartsStarted:
		var r PartsStarted
		if err := fixed("payment id", r.ID[:], k.PartsStarted.GetId()); err != nil {
			return nil, err
		}
		var err error
		r.Parts, err = partsFromPB(k.PartsStarted.GetParts())
		return r, err
	case *pb.ManagerRecord_PaymentAbandoned:
		var r PaymentAbandoned
		if err := fixed("payment id", r.ID[:], k.PaymentAbandoned); err != nil {
			return nil, err
		}
		return r, nil
	case *pb.ManagerRecord_PaymentOutcome:
		var r PaymentOutcome
		if err := fixed("payment id", r.ID[:], k.PaymentOutcome.GetId()); err != nil {
			return nil, err
		}
		o, err := outcomeFromPB(k.PaymentOutcome.GetResult())
		if err != nil {
			return nil, err
		}
		if o == nil {
			return nil, fmt.Errorf("%w: an outcome without a result", ErrRecords)
		}
		r.Outcome = *o
		return r, nil
	case *pb.ManagerRecord_PaymentHandled:
		var r PaymentHandled
		if err := fixed("payment id", r.ID[:], k.PaymentHandled); err != nil {
			return nil, err
		}
		return r, nil
	case *pb.ManagerRecord_ClosedHandled:
		var r ClosedHandled
		if err := fixed("channel id", r.Channel[:], k.ClosedHandled); err != nil {
			return nil, err
		}
		return r, nil
	case *pb.ManagerRecord_ResolvedHandled:
		var r ResolvedHandled
		if err := fixed("channel id", r.Channel[:], k.ResolvedHandled); err != nil {
			return nil, err
		}
		return r, nil
	default:
		return nil, fmt.Errorf("%w: an entry of the manager's log has no kind this release knows", ErrRecords)
	}
}

// EncodeState writes a snapshot.
func EncodeState(s State) []byte {
	m := &pb.ManagerSnapshot{Version: version}
	for _, id := range sortedKeys(s.Payments) {
		m.Payments = append(m.Payments, paymentToPB(s.Payments[id]))
	}
	for _, id := range sortedKeys(s.Closed) {
		m.Closed = append(m.Closed, id[:])
	}
	return marshal(m)
}

// DecodeState reads what EncodeState wrote, nil being the empty state, and folds the records after it. Errors wrap ErrRecords.
func DecodeState(snapshot []byte, records [][]byte) (State, error) {
	s := newState()
	if snapshot != nil {
		var m pb.ManagerSnapshot
		if err := unmarshal("snapshot", snapshot, &m); err != nil {
			return s, err
		}
		for _, p := range m.GetPayments() {
			r, err := paymentFromPB(p)
			if err != nil {
				return s, err
			}
			s.Payments[r.ID] = r
		}
		for _, c := range m.GetClosed() {
			var id ln.ChannelID
			if err := fixed("channel id", id[:], c); err != nil {
				return s, err
			}
			s.Closed[id] = true
		}
	}
	for i, b := range records {
		r, err := DecodeRecord(b)
		if err != nil {
			return s, fmt.Errorf("record %d after the snapshot: %w", i, err)
		}
		s.fold(r)
	}
	return s, nil
}

// outcome is a row that a monitor wrote about a part of ours.
type outcome struct {
	at        htlcKey
	hash      ln.Hash
	totalMsat uint64
	preimage  *ln.Preimage // nil: failed
}

func decodeOutcomes(rows []messages.Row, err error) ([]outcome, error) {
	if err != nil {
		return nil, err
	}
	var out []outcome
	for _, row := range rows {
		var m pb.OutcomeRow
		if err := unmarshal("outcome", row.Value, &m); err != nil {
			return nil, err
		}
		o := outcome{totalMsat: m.GetTotalMsat(), at: htlcKey{id: m.GetHtlcId()}}
		if err := fixed("channel id", o.at.channel[:], m.GetChannelId()); err != nil {
			return nil, err
		}
		if err := fixed("payment hash", o.hash[:], m.GetHash()); err != nil {
			return nil, err
		}
		if len(m.GetPreimage()) > 0 {
			o.preimage = new(ln.Preimage)
			if err := fixed("preimage", o.preimage[:], m.GetPreimage()); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// foldOutcomes: one claimed part means that the payment was sent.
func foldOutcomes(known []outcome) *Outcome {
	for _, o := range known {
		if o.preimage != nil {
			return &Outcome{Preimage: o.preimage}
		}
	}
	return &Outcome{Reason: "it failed; the reason is in records that were lost"}
}

// decodeFate reads what became of an inbound HTLC, by a row that its monitor wrote. Without a row it was not fulfilled, and nothing is
// known to have come in.
func decodeFate(rows []messages.Row, err error) (*pb.FateRow, error) {
	out := &pb.FateRow{}
	if err == nil && len(rows) > 0 {
		err = unmarshal("fate", rows[0].Value, out)
	}
	return out, err
}
