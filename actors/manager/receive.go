package manager

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// inbound is an HTLC that waits for its decision to be durable, or for the user.
type inbound struct {
	event    ln.EventID
	replayed bool // an earlier incarnation may have seen it
	why      string
	htlc     facts.HTLCAccepted
	secret   onion.SharedSecret
	preimage *ln.Preimage        // when it pays an invoice of ours
	row      bool                // the invoice's row names this HTLC, or will
	sent     *facts.Resolution   // the decision given to the monitor, not answered yet
	decided  bool                // the decision is durable
	claimed  bool                // and it is to claim
	handled  bool                // the user handled PaymentClaimed
	ended    bool                // its removal is irrevocable
	paid     bool                // and it went with its preimage
	held     bool                // PaymentClaimable is out
	early    *messages.ClaimHeld // came before the payment was held again
	reply    messages.Addr
}

func (h *inbound) key() htlcKey { return htlcKey{h.event.Channel, h.htlc.HTLCID} }

// onAccepted decides about an inbound HTLC, or goes on after a decision that is durable already. Nothing is decided before all monitors have
// reported: another one may have claimed the same hash.
func (m *Manager) onAccepted(id ln.EventID, ev facts.HTLCAccepted, fate *messages.InboundHTLC) {
	h := &inbound{event: id, htlc: ev, replayed: m.replaying}
	m.inbound[id] = h
	m.byHTLC[h.key()] = id
	if !m.known(h, fate) {
		m.whenSettled(func() { m.decide(h) })
	}
}

// known goes on with what a report says that became of an HTLC, if it says anything.
func (m *Manager) known(h *inbound, fate *messages.InboundHTLC) bool {
	if fate == nil || fate.Resolution == nil && !fate.Resolved {
		return false
	}
	m.decided(h, fate.Resolution)
	if fate.Resolved {
		m.ended(h, fate.Fulfilled)
	}
	return true
}

// undecided tells whether an HTLC still waits for a decision of ours.
func (m *Manager) undecided(h *inbound) bool {
	return m.inbound[h.event] == h && !h.decided && h.sent == nil
}

// again: the event came once more while its effect is under way, because the monitor or the channel restarted. The decision or the answer to it
// may be lost with that, so it is given again, behind the row that it may wait for; the monitor answers repeats.
func (m *Manager) again(id ln.EventID, fate *messages.InboundHTLC) {
	h := m.inbound[id]
	switch {
	case h == nil || m.known(h, fate) || h.decided:
	case h.sent != nil:
		m.write(Append{Then: []messages.Delivery{m.decision(h, *h.sent)}})
	default:
		m.forwardAgain(h)
	}
}

// rememberPaid makes up the rows of invoices that a monitor knows to be paid, should they be lost (S18), but for those whose events wait.
func (m *Manager) rememberPaid(channel ln.ChannelID, live []messages.InboundHTLC, waits map[uint64]bool) {
	var rows []messages.Row
	for _, h := range live {
		if h.Resolution.Fulfilled() && len(h.Resolution.Parts) > 0 && !waits[h.HTLCID] { // else it was forwarded
			rows = append(rows, invoiceRow(h.Hash, InvoiceRecord{AmountMsat: h.AmountMsat, Channel: channel, HTLCID: h.HTLCID}))
		}
	}
	if len(rows) > 0 {
		m.write(Append{Rows: rows})
	}
}

func (m *Manager) decide(h *inbound) {
	if !m.undecided(h) {
		return
	}
	var packet [onion.PacketSize]byte
	if len(h.htlc.Onion) != len(packet) {
		m.send(h, facts.Resolution{Malformed: &facts.Malformed{
			OnionSHA256: sha256.Sum256(h.htlc.Onion), Code: uint16(lnwire.CodeInvalidOnionHmac),
		}})
		return
	}
	copy(packet[:], h.htlc.Onion)
	p, err := onion.Process(m.cfg.NodeKey, packet, h.htlc.Hash)
	h.secret = p.Secret
	var bad *onion.BadOnionError
	var payload *onion.PayloadError
	switch {
	case errors.As(err, &bad):
		m.send(h, facts.Resolution{Malformed: &facts.Malformed{OnionSHA256: bad.SHA256, Code: uint16(bad.Code)}})
	case errors.As(err, &payload):
		m.fail(h, payload.Failure())
	case err != nil:
		// The node's key is not at hand (a remote signer): undecided.
		m.log.Error("HTLC not decided yet", slog.String("event_id", h.event.String()), slog.Any("error", err))
		m.stuck = append(m.stuck, func() { m.decide(h) })
	case h.htlc.OverDust:
		m.fail(h, lnwire.NewTemporaryChannelFailure(nil))
	case !p.Payload.Final:
		m.forward(h, &p)
	default:
		m.receive(h, p.Payload)
	}
}

// receive checks an HTLC for us against its invoice.
func (m *Manager) receive(h *inbound, p *onion.Payload) {
	htlc := invoice.HTLC{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, CLTVExpiry: h.htlc.CLTVExpiry,
		Secret: p.PaymentSecret, TotalMsat: p.TotalMsat, OnionAmountMsat: p.AmountMsat, OnionCLTVExpiry: p.CLTVExpiry,
	}
	preimage, ours := m.cfg.Invoices.Preimage(htlc.Secret)
	if ours != h.htlc.Hash {
		// Check finds what is wrong; that something is was decided here, for whatever it says.
		_, _, err := invoice.Check(m.cfg.Invoices, htlc, m.height, m.now)
		m.reject(h, err)
		return
	}
	if m.claiming[ours] != nil {
		m.failUnknown(h) // one HTLC pays an invoice
		return
	}
	m.claiming[ours] = h
	m.lookup(messages.GetRows{Bucket: messages.BucketInvoices, Key: ours[:]}, func(rows []messages.Row, err error) {
		if !m.undecided(h) {
			return
		}
		var rec InvoiceRecord
		if err == nil && len(rows) > 0 {
			rec, err = decodeInvoice(rows[0].Value)
		}
		if err != nil {
			delete(m.claiming, ours)
			m.log.Error("invoice record unreadable; the HTLC waits", slog.String("payment_hash", ours.String()), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.decide(h) })
			return
		}
		h.preimage = &preimage
		if len(rows) > 0 {
			m.accepted(h, rec)
			return
		}
		m.first(h, htlc)
	})
}

// first decides about an HTLC for an invoice that no HTLC paid before.
func (m *Manager) first(h *inbound, htlc invoice.HTLC) {
	_, _, err := invoice.Check(m.cfg.Invoices, htlc, m.height, m.now)
	switch {
	case err != nil:
		m.reject(h, err)
	case htlc.TotalMsat != htlc.OnionAmountMsat:
		m.failUnknown(h) // a part of a set: this release makes no invoices that may be split
	case len(m.users) >= m.cfg.MaxUnhandled:
		m.fail(h, &lnwire.FailTemporaryNodeFailure{})
	case m.cfg.ManualClaim:
		m.hold(h)
	default:
		m.claim(h)
	}
}

// accepted goes on with an invoice that has a row: this HTLC was taken before a restart, or another one was. The checks that depend on time and
// height count once, but for the expiry: what can't be claimed safely any more is given up.
func (m *Manager) accepted(h *inbound, rec InvoiceRecord) {
	h.row = rec.Channel == h.event.Channel && rec.HTLCID == h.htlc.HTLCID
	switch {
	case !h.row:
		m.failUnknown(h) // an unlisted HTLC of a paid hash is failed (rule 13)
	case m.tooLate(h):
		m.failUnknown(h)
	case rec.Held && m.cfg.ManualClaim:
		m.hold(h)
	default:
		m.claim(h)
	}
}

func (m *Manager) reject(h *inbound, err error) {
	var rejection *invoice.Rejection
	if errors.As(err, &rejection) {
		m.fail(h, rejection.Failure())
		return
	}
	m.failUnknown(h)
}

// claim makes the invoice's paid record durable, and only then gives the preimage away (rule 13).
func (m *Manager) claim(h *inbound) {
	h.row = true
	m.write(Append{
		Rows: []messages.Row{h.invoiceRow(false)},
		Then: []messages.Delivery{m.decision(h, facts.Resolution{
			Preimage: h.preimage, Parts: []facts.Part{{Channel: h.event.Channel, HTLCID: h.htlc.HTLCID}},
		})},
	})
}

func (h *inbound) invoiceRow(held bool) messages.Row {
	return invoiceRow(h.htlc.Hash, InvoiceRecord{AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID, Held: held})
}

func invoiceRow(hash ln.Hash, rec InvoiceRecord) messages.Row {
	return messages.Row{Bucket: messages.BucketInvoices, Key: bytes.Clone(hash[:]), Value: encodeInvoice(rec)}
}

// noInvoiceRow lets the invoice be paid by another HTLC.
func (h *inbound) noInvoiceRow() messages.Row {
	return messages.Row{Bucket: messages.BucketInvoices, Key: bytes.Clone(h.htlc.Hash[:])}
}

func (m *Manager) decision(h *inbound, r facts.Resolution) messages.Delivery {
	h.sent = &r
	return messages.Delivery{To: messages.MonitorAddr(h.event.Channel), Msg: messages.DecideHTLC{
		Channel: h.event.Channel, HTLCID: h.htlc.HTLCID, Resolution: r,
	}}
}

// send gives a decision to fail to the monitor, which makes it durable before the peer learns of it (rule 12).
func (m *Manager) send(h *inbound, r facts.Resolution) {
	d := m.decision(h, r)
	if !h.row {
		if m.claiming[h.htlc.Hash] == h {
			delete(m.claiming, h.htlc.Hash) // it was never taken, so a better one may be
		}
		m.tell(d.To, d.Msg)
		return
	}
	h.row = false
	m.write(Append{Rows: []messages.Row{h.noInvoiceRow()}, Then: []messages.Delivery{d}})
}

func (m *Manager) fail(h *inbound, f lnwire.FailureMessage) {
	h.why = f.Code().String()
	reason, err := onion.EncryptFailure(h.secret, f)
	if err != nil {
		m.log.Error("failure not encoded", slog.Any("error", err))
		reason = []byte{} // the payer sees a failure that it can't attribute
	}
	m.send(h, facts.Resolution{Reason: reason})
}

func (m *Manager) failUnknown(h *inbound) {
	m.fail(h, lnwire.NewFailIncorrectDetails(lnwire.MilliSatoshi(h.htlc.AmountMsat), m.height))
}

// onDecided: the monitor's answer to a decision, which may be an earlier and different one.
func (m *Manager) onDecided(msg messages.InboundDecided) {
	m.forwardDecided(msg)
	id, ok := m.byHTLC[htlcKey{msg.Channel, msg.HTLCID}]
	if !ok {
		return // acknowledged before
	}
	m.decided(m.inbound[id], msg.Resolution)
}

// onInboundResolved: an HTLC is out of the commitments for good, or its fate on chain is irrevocable.
func (m *Manager) onInboundResolved(msg messages.InboundResolved) {
	if f := m.forwardAt(htlcKey{msg.Channel, msg.HTLCID}); f != nil {
		m.inboundEnded(f, msg.Fulfilled)
	}
	if id, ok := m.byHTLC[htlcKey{msg.Channel, msg.HTLCID}]; ok {
		m.ended(m.inbound[id], msg.Fulfilled)
	} // else acknowledged before, or in the report that comes
}

func (m *Manager) ended(h *inbound, paid bool) {
	if h.ended {
		return
	}
	h.ended, h.paid = true, paid
	switch {
	case h.claimed:
		m.claimDone(h)
	case !h.decided && h.sent == nil:
		m.decided(h, nil) // gone on chain without us
	} // else the answer to the decision is on its way, or it is a failure
}

// claimDone acknowledges a claimed HTLC when the user has handled PaymentClaimed and the money is irrevocably ours. If it went elsewhere, the user
// is told that first: the unacknowledged event is all that remembers it, so it holds the monitor back from the archive until then.
func (m *Manager) claimDone(h *inbound) {
	switch {
	case !h.handled || !h.ended:
	case h.paid:
		m.done(h)
	default:
		m.log.Error("a payment that was claimed did not come in: its channel was closed and the HTLC ended without our preimage",
			slog.String("payment_hash", h.htlc.Hash.String()), slog.String("channel_id", h.event.Channel.String()), slog.Uint64("htlc_id", h.htlc.HTLCID))
		m.queue(claimLostID(h), messages.ClaimLost{
			Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID,
		}, func() { m.done(h) })
	}
}

// decided: the fate of the HTLC is durable. A failure needs no more (rule 24); a claim is told to the user, and waits for the HTLC's end. A fate
// that the monitor does not know any more means the HTLC is gone without us. The invoice's row is brought in line with what stands.
func (m *Manager) decided(h *inbound, r *facts.Resolution) {
	if h.decided {
		return
	}
	h.decided = true
	if m.claiming[h.htlc.Hash] == h {
		delete(m.claiming, h.htlc.Hash)
	}
	m.answerClaim(h, r.Fulfilled())
	if r.Fulfilled() && len(r.Parts) == 0 {
		m.done(h) // it was forwarded, or settled by the interceptor: the preimage is where it belongs
		return
	}
	if r.Fulfilled() {
		h.claimed = true
		var a Append
		if ev := m.enqueue(claimedID(h), messages.PaymentClaimed{
			Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID,
		}, func() {
			h.handled = true
			m.claimDone(h)
		}); ev != nil {
			a.Then = []messages.Delivery{m.delivery(ev)}
		}
		if !h.row {
			a.Rows = []messages.Row{h.invoiceRow(false)} // decided by an earlier incarnation, whose row may be lost (S18)
		}
		m.write(a)
		return
	}
	if h.sent != nil && !h.row {
		m.done(h)
		return
	}
	hash := h.htlc.Hash
	m.lookup(messages.GetRows{Bucket: messages.BucketInvoices, Key: hash[:]}, func(rows []messages.Row, err error) {
		if err == nil && len(rows) > 0 {
			rec, err := decodeInvoice(rows[0].Value)
			if err == nil && rec.Channel == h.event.Channel && rec.HTLCID == h.htlc.HTLCID {
				m.write(Append{Rows: []messages.Row{h.noInvoiceRow()}})
			}
		}
		m.done(h)
	})
}

func (m *Manager) done(h *inbound) {
	delete(m.inbound, h.event)
	delete(m.byHTLC, h.key())
	delete(m.users, claimableID(h))
	m.ack(h.event)
	m.forwardDone(h)
}

func claimedID(h *inbound) string {
	return fmt.Sprintf("payment-claimed/%s/%d", h.event.Channel, h.htlc.HTLCID)
}

func claimableID(h *inbound) string {
	return fmt.Sprintf("payment-claimable/%s/%d", h.event.Channel, h.htlc.HTLCID)
}

func claimLostID(h *inbound) string {
	return fmt.Sprintf("claim-lost/%s/%d", h.event.Channel, h.htlc.HTLCID)
}
