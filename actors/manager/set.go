package manager

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

const (
	// SetTimeout is how long the parts of a payment are waited for (BOLT 4: at least 60 s).
	SetTimeout = 60 * time.Second

	// MaxSetParts bounds the parts of a payment: each monitor keeps the list of all of them (rule 13).
	MaxSetParts = 128
)

// phase is where a set stands.
type phase uint8

const (
	gathering phase = iota // waits for parts; in memory only
	held                   // complete, and up to the user; durable in the row
	claimed                // to be claimed: durable in the row, or in a monitor
	failed                 // to be failed; no row
	cancelled              // whoever pays is refused: durable in the row
)

// set is the HTLCs that pay one payment hash, in one part or several. Each hash has one at a time, and what is decided about it is decided once, and
// of all parts (rule 13).
type set struct {
	hash  ln.Hash
	phase phase
	read  bool         // what the row says is known, and all monitors have reported
	then  []func(*set) // waits for that
	row   bool         // there is a row to delete when the set fails, or one that says what is durable
	at    time.Time    // of the first row; zero: there is none
	dirty bool

	// While it gathers.
	parts     []*inbound
	began     time.Time
	terms     request // of the first part
	totalMsat uint64
	atTime    *clockAlarm // when the rest of its parts is not waited for any more

	// While it gathers or is held.
	deadline uint32      // as far as its parts are known
	atHeight *blockAlarm // of that

	// Held or claimed.
	list     []InvoicePart // by channel and HTLC
	preimage *ln.Preimage
	records  []messages.CustomRecord
	recorded bool // records are what they should be
	asked    bool // PaymentClaimable is out
	told     bool // PaymentClaimed is out
	handled  bool // and the user handled it

	reply   messages.Addr       // of who decided
	refused bool                // and how
	early   *messages.ClaimHeld // came before the set was held again
}

// withSet calls then with the set of a hash, which is made up from what is durable if there is none.
func (m *Manager) withSet(hash ln.Hash, then func(*set)) {
	s := m.sets[hash]
	if s == nil {
		s = &set{hash: hash}
		m.sets[hash] = s
		m.read(s)
	}
	if s.read {
		then(s)
		m.touch(s)
		return
	}
	s.then = append(s.then, then)
}

// read looks the row of a set up.
func (m *Manager) read(s *set) {
	m.lookup(messages.GetRows{Bucket: messages.BucketInvoices, Key: s.hash[:]}, func(rows []messages.Row, err error) {
		m.whenSettled(func() { m.onRow(s, rows, err) })
	})
}

func (m *Manager) onRow(s *set, rows []messages.Row, err error) {
	var rec InvoiceRecord
	if err == nil && len(rows) > 0 {
		rec, err = decodeInvoice(rows[0].Value)
	}
	if err != nil {
		m.log.Error("invoice record unreadable; its HTLCs wait", slog.String("payment_hash", s.hash.String()), slog.Any("error", err))
		m.stuck = append(m.stuck, func() { m.read(s) })
		return
	}
	s.read = true
	if len(rows) > 0 {
		m.adopt(s, rec)
	}
	then := s.then
	s.then = nil
	for _, f := range then {
		f(s)
	}
	m.touch(s)
}

// adopt takes what a row says. What a monitor says counts more: the row may be lost, or older (S18).
func (m *Manager) adopt(s *set, rec InvoiceRecord) {
	s.row, s.at = true, rec.At
	if s.phase == claimed {
		if s.row = !rec.Held && sameParts(s.list, rec.Parts); s.row {
			s.list, s.records, s.recorded = rec.Parts, rec.Records, true
		}
		return
	}
	if rec.Cancelled {
		s.phase = cancelled
		return
	}
	s.list, s.phase = rec.Parts, claimed
	if rec.Held {
		s.phase = held
		if v := m.survey(s); v.over == len(s.list) {
			s.list, s.phase = nil, gathering // a row from before they were failed, that a restored backup brought back
			return
		}
	}
	s.preimage, s.records, s.recorded = rec.Preimage, rec.Records, true
	m.enlist(s)
}

// evidence is the set that a monitor knows to be claimed: a decision there, with its list, holds whatever our records say (rule 13).
func (m *Manager) evidence(hash ln.Hash, r facts.Resolution) *set {
	list := make([]InvoicePart, len(r.Parts))
	for i, p := range r.Parts {
		list[i] = InvoicePart{Channel: p.Channel, HTLCID: p.HTLCID}
	}
	s := m.sets[hash]
	switch {
	case s != nil && s.phase == claimed && sameParts(s.list, list):
		return s
	case s != nil && s.phase == claimed:
		// Two sets of one hash were claimed: the first by a monitor that was in quarantine while all records were lost.
		if l := m.setWith(list[0].key()); l != nil && l != s && sameParts(l.list, list) {
			return l
		}
		s = &set{hash: hash, read: true, row: true} // the row is the other's
	case s == nil:
		s = &set{hash: hash}
		m.sets[hash] = s
		m.read(s)
	default:
		s.row = false
	}
	parts := s.parts
	m.unlist(s)
	s.calm()
	s.phase, s.list, s.preimage, s.parts = claimed, list, r.Preimage, nil
	m.enlist(s)
	for _, h := range parts {
		if m.setWith(h.key()) != s {
			h.set = nil
			m.failUnknown(h)
		}
	}
	return s
}

// remember makes up the rows of invoices that a monitor knows to be paid, should they be lost (S18).
func (m *Manager) remember(live []messages.InboundHTLC) {
	for _, h := range live {
		if h.Resolution.Fulfilled() && len(h.Resolution.Parts) > 0 {
			m.touch(m.evidence(h.Hash, *h.Resolution))
		}
	}
}

// setWith is the set that is held or claimed and has an HTLC as its part.
func (m *Manager) setWith(k htlcKey) *set { return m.setOf[k.channel][k.id] }

func (m *Manager) enlist(s *set) {
	for _, p := range s.list {
		if m.setOf[p.Channel] == nil {
			m.setOf[p.Channel] = map[uint64]*set{}
		}
		m.setOf[p.Channel][p.HTLCID] = s
	}
}

func (m *Manager) unlist(s *set) {
	for _, p := range s.list {
		if m.setWith(p.key()) != s {
			continue
		}
		if delete(m.setOf[p.Channel], p.HTLCID); len(m.setOf[p.Channel]) == 0 {
			delete(m.setOf, p.Channel)
		}
	}
}

// drop forgets a set, which has a row or nothing that is worth one.
func (m *Manager) drop(s *set) {
	m.unlist(s)
	s.calm()
	if m.sets[s.hash] == s {
		delete(m.sets, s.hash)
	}
	m.refuseEarly(s)
}

// join adds an HTLC to the set of its hash, or fails it.
func (m *Manager) join(h *inbound, s *set, pays request) {
	if !m.undecided(h) {
		return
	}
	if l := m.setWith(h.key()); l != nil {
		h.set = l // the checks that depend on time and height count once
		m.touch(l)
		return
	}
	if s.phase != gathering || pays.keysend && !m.cfg.AcceptKeysend {
		m.failUnknown(h) // an unlisted HTLC of a paid hash is failed (rule 13)
		return
	}
	now, sum := m.now, uint64(0)
	if len(s.parts) > 0 {
		now = s.began // what began in time may be completed
		for _, p := range s.parts {
			sum += p.htlc.AmountMsat
		}
	}
	if err := pays.check(m.height, now); err != nil {
		m.reject(h, err)
		return
	}
	if typ, ok := m.notUnderstood(h, pays); ok {
		m.fail(h, lnwire.NewInvalidOnionPayload(typ, 0))
		return
	}
	switch {
	case len(s.parts) > 0 && sum >= s.totalMsat:
		m.failUnknown(h) // complete without it
		return
	case len(s.parts) > 0 && (pays.htlc.Secret != s.terms.htlc.Secret || pays.keysend != s.terms.keysend):
		m.failUnknown(h) // another invoice for the same hash
		return
	case len(s.parts) > 0 && pays.htlc.TotalMsat != s.totalMsat:
		// BOLT 4: the payer has to say the same in all parts, or it can't be said when the set is complete.
		s.parts = append(s.parts, h)
		h.set = s
		m.failSet(s, m.unknownPayment)
		return
	case pays.AmountMsat != 0 && h.htlc.AmountMsat > 2*pays.AmountMsat-min(sum, 2*pays.AmountMsat):
		m.reject(h, invoice.ErrAmountTooHigh) // BOLT 4: at most twice
		return
	case len(s.parts) >= MaxSetParts:
		m.fail(h, &lnwire.FailTemporaryNodeFailure{})
		return
	case len(s.parts) == 0:
		s.began, s.terms, s.totalMsat = m.now, pays, pays.htlc.TotalMsat
		if s.totalMsat > h.htlc.AmountMsat {
			m.waitForParts(s)
		}
	}
	s.parts = append(s.parts, h)
	h.set = s
	m.touch(s)
}

// notUnderstood is a record that has to be understood by somebody: whoever decides about the payment may, the node does not.
func (m *Manager) notUnderstood(h *inbound, pays request) (uint64, bool) {
	if m.cfg.ManualClaim || pays.Hold {
		return 0, false
	}
	for _, r := range h.payload.Custom {
		if r.Type%2 == 0 {
			return r.Type, true
		}
	}
	return 0, false
}

// waitForParts fails a set whose parts do not all come in time.
func (m *Manager) waitForParts(s *set) {
	s.atTime = m.after(SetTimeout, func() {
		if s.phase != gathering {
			return // decided, and its row must stay
		}
		if m.withheld > 0 && slices.ContainsFunc(s.parts, func(h *inbound) bool { return h.replayed }) {
			m.waitForParts(s) // the rest, or that it was claimed, may be in a restored channel that does not tell all yet
			return
		}
		m.failSet(s, mppTimeout)
	})
}

// calm ends what a set waits for.
func (s *set) calm() {
	s.atTime.stop()
	s.atHeight.stop()
	s.atTime, s.atHeight = nil, nil
}

func mppTimeout(*inbound) lnwire.FailureMessage { return &lnwire.FailMPPTimeout{} }

func (p InvoicePart) key() htlcKey { return htlcKey{p.Channel, p.HTLCID} }

func comparePart(a, b InvoicePart) int {
	return cmp.Or(bytes.Compare(a.Channel[:], b.Channel[:]), cmp.Compare(a.HTLCID, b.HTLCID))
}

func sameParts(a, b []InvoicePart) bool {
	return slices.EqualFunc(a, b, func(a, b InvoicePart) bool { return comparePart(a, b) == 0 })
}

// id of a user event. It comes from the list of parts, which is the same in the row and in every monitor: the first one, and a digest if there are
// others, since the first may be in another set if this one fails.
func (s *set) id(event string) string {
	id := fmt.Sprintf("%s/%s/%d", event, s.list[0].Channel, s.list[0].HTLCID)
	if len(s.list) == 1 {
		return id
	}
	d := sha256.New()
	for _, p := range s.list {
		d.Write(p.Channel[:])
		_ = binary.Write(d, binary.BigEndian, p.HTLCID)
	}
	return fmt.Sprintf("%s/%x", id, d.Sum(nil)[:8])
}

func claimLostID(h *inbound) string {
	return fmt.Sprintf("claim-lost/%s/%d", h.event.Channel, h.htlc.HTLCID)
}
