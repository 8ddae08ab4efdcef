package manager

import (
	"slices"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// State is the manager's log folded: everything durable that is not a row.
type State struct {
	Payments map[ln.PaymentID]PaymentRecord // not handled
	Closed   map[ln.ChannelID]bool          // channels whose ChannelClosed was handled, and ChannelResolved was not
}

func newState() State {
	return State{Payments: map[ln.PaymentID]PaymentRecord{}, Closed: map[ln.ChannelID]bool{}}
}

// Record is the closed set of records in the manager's log.
type Record interface{ record() }

// PaymentStarted is durable before its HTLC is committed to and before the API's answer (rule 14).
type PaymentStarted struct{ Payment PaymentRecord }

// PartsStarted are attempts behind the first ones, durable before their HTLCs are committed to (rule 14).
type PartsStarted struct {
	ID    ln.PaymentID
	Parts []PartRecord
}

// PaymentAbandoned ends the retries.
type PaymentAbandoned struct{ ID ln.PaymentID }

// PaymentOutcome is durable before the user event about it (rule 15). A claim that is the only attempt's needs none: the monitor's event holds it.
type PaymentOutcome struct {
	ID      ln.PaymentID
	Outcome Outcome
}

// PaymentHandled ends a payment: the user handled its outcome, its row says so.
type PaymentHandled struct{ ID ln.PaymentID }

// ClosedHandled remembers that the user handled ChannelClosed.
type ClosedHandled struct{ Channel ln.ChannelID }

// ResolvedHandled ends what ClosedHandled began: the user handled ChannelResolved, the channel is archived.
type ResolvedHandled struct{ Channel ln.ChannelID }

func (PaymentStarted) record()   {}
func (PartsStarted) record()     {}
func (PaymentAbandoned) record() {}
func (PaymentOutcome) record()   {}
func (PaymentHandled) record()   {}
func (ClosedHandled) record()    {}
func (ResolvedHandled) record()  {}

// PaymentRecord is an outbound payment. Under way it is in the log; handled, it is a row, for ever: a tombstone that refuses its id.
type PaymentRecord struct {
	ID         ln.PaymentID
	Hash       ln.Hash
	AmountMsat uint64
	Payee      ln.NodeID
	Bolt11     string
	Parts      []PartRecord
	Outcome    *Outcome // nil while open
	Terms      *Terms   // nil in rows
	Abandoned  bool
}

// Terms are what new parts are made by.
type Terms struct {
	Secret            [32]byte
	Metadata          []byte
	MinFinalCLTVDelta uint32
	Hints             [][]route.Hint
	Keysend           *ln.Preimage
	MaxFeeMsat        uint64
	MaxParts          int
	Deadline          time.Time
}

// PartRecord is an attempt: an HTLC that was asked for. State and Reason count in rows only: of a payment under way the monitors tell.
type PartRecord struct {
	ID         uint64
	Channel    ln.ChannelID
	AmountMsat uint64 // that arrives
	FeeMsat    uint64
	State      messages.PartState
	Reason     string
	Hops       []route.Hop
}

// Outcome ends a payment.
type Outcome struct {
	Preimage *ln.Preimage // sent
	FeeMsat  uint64       // sent
	Reason   string       // failed
	Unproven bool         // failed, by a person's word: its outcome was unknown, and it was abandoned
	Lost     *ln.Preimage // failed, claimed all the same, and PaymentLost was handled
}

// InvoiceRecord is a row: the payment hash is paid by these HTLCs, durable before the first fulfil (rule 13). It is deleted if they are failed after
// all.
type InvoiceRecord struct {
	Parts    []InvoicePart // by channel and HTLC
	Held     bool          // found good, and up to the user
	Preimage *ln.Preimage  // unless held
	Records  []messages.CustomRecord

	Cancelled bool      // no parts: whoever pays is refused
	At        time.Time // when the first row of this hash was written; zero if that is not known
}

// InvoicePart is an HTLC of a set.
type InvoicePart struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	AmountMsat uint64 // 0 if it is not known any more
}

// fold applies a record to the state.
func (s *State) fold(r Record) {
	switch r := r.(type) {
	case PaymentStarted:
		s.Payments[r.Payment.ID] = r.Payment
	case PartsStarted:
		if p, ok := s.Payments[r.ID]; ok {
			p.Parts = append(slices.Clone(p.Parts), r.Parts...)
			s.Payments[r.ID] = p
		}
	case PaymentAbandoned:
		if p, ok := s.Payments[r.ID]; ok {
			p.Abandoned = true
			s.Payments[r.ID] = p
		}
	case PaymentOutcome:
		if p, ok := s.Payments[r.ID]; ok {
			o := r.Outcome
			p.Outcome = &o
			s.Payments[r.ID] = p
		}
	case PaymentHandled:
		delete(s.Payments, r.ID)
	case ClosedHandled:
		s.Closed[r.Channel] = true
	case ResolvedHandled:
		delete(s.Closed, r.Channel)
	}
}
