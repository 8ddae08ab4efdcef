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
	htlc     facts.HTLCAccepted
	secret   onion.SharedSecret
	preimage *ln.Preimage      // when it pays an invoice of ours
	sent     *facts.Resolution // the decision given to the monitor, not answered yet
	held     bool              // PaymentClaimable is out
	reply    messages.Addr
}

func (h *inbound) key() htlcKey { return htlcKey{h.event.Channel, h.htlc.HTLCID} }

// onAccepted decides about an inbound HTLC, or goes on after a decision that is durable already.
func (m *Manager) onAccepted(id ln.EventID, ev facts.HTLCAccepted, fate *messages.InboundHTLC) {
	h := &inbound{event: id, htlc: ev}
	m.inbound[id] = h
	m.byHTLC[h.key()] = id
	if fate != nil && (fate.Resolution != nil || fate.Resolved) {
		m.decided(h, fate.Resolution)
		return
	}
	m.decide(h)
}

// again: the event came once more while its effect is under way, because the monitor or the channel restarted. The decision or the answer to it
// may be lost with that, so it is given again; the monitor answers repeats.
func (m *Manager) again(id ln.EventID, fate *messages.InboundHTLC) {
	h := m.inbound[id]
	switch {
	case h == nil || m.users[claimedID(h)] != nil:
	case fate != nil && (fate.Resolution != nil || fate.Resolved):
		m.decided(h, fate.Resolution)
	case h.sent != nil:
		m.send(h, *h.sent)
	}
}

func (m *Manager) decide(h *inbound) {
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
		// The node's key is not at hand (a remote signer): undecided, the event stays and comes again.
		m.log.Error("HTLC not decided", slog.String("event_id", h.event.String()), slog.Any("error", err))
	case !p.Payload.Final:
		m.fail(h, &lnwire.FailUnknownNextPeer{})
	default:
		m.receive(h, p.Payload)
	}
}

// receive checks an HTLC for us against its invoice.
func (m *Manager) receive(h *inbound, p *onion.Payload) {
	preimage, _, err := invoice.Check(m.cfg.Invoices, invoice.HTLC{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, CLTVExpiry: h.htlc.CLTVExpiry,
		Secret: p.PaymentSecret, TotalMsat: p.TotalMsat, OnionAmountMsat: p.AmountMsat, OnionCLTVExpiry: p.CLTVExpiry,
	}, m.height, m.now)
	var rejection *invoice.Rejection
	if errors.As(err, &rejection) {
		m.fail(h, rejection.Failure())
		return
	}
	if err != nil {
		m.fail(h, lnwire.NewFailIncorrectDetails(lnwire.MilliSatoshi(h.htlc.AmountMsat), m.height))
		return
	}
	h.preimage = &preimage
	if other := m.claiming[h.htlc.Hash]; other != nil && other != h {
		m.failUnknown(h) // one HTLC pays an invoice
		return
	}
	m.claiming[h.htlc.Hash] = h
	hash := h.htlc.Hash
	m.lookup(messages.GetRows{Bucket: messages.BucketInvoices, Key: hash[:]}, func(rows []messages.Row, err error) {
		if m.inbound[h.event] != h {
			return
		}
		if err == nil && len(rows) > 0 {
			var rec InvoiceRecord
			if rec, err = decodeInvoice(rows[0].Value); err == nil && (rec.Channel != h.event.Channel || rec.HTLCID != h.htlc.HTLCID) {
				// Paid by another HTLC: an unlisted HTLC of a paid hash is failed (rule 13).
				delete(m.claiming, hash)
				m.failUnknown(h)
				return
			}
		}
		switch {
		case err != nil:
			delete(m.claiming, hash)
			m.log.Error("invoice record unreadable; the HTLC waits", slog.String("payment_hash", hash.String()), slog.Any("error", err))
		case len(rows) == 0 && m.cfg.ManualClaim:
			m.hold(h)
		default:
			m.claim(h)
		}
	})
}

// claim makes the invoice's paid record durable, and only then gives the preimage away (rule 13).
func (m *Manager) claim(h *inbound) {
	hash := h.htlc.Hash
	m.write(Append{
		Rows: []messages.Row{{
			Bucket: messages.BucketInvoices, Key: bytes.Clone(hash[:]),
			Value: encodeInvoice(InvoiceRecord{AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID}),
		}},
		Then: []messages.Delivery{m.decision(h, facts.Resolution{
			Preimage: h.preimage, Parts: []facts.Part{{Channel: h.event.Channel, HTLCID: h.htlc.HTLCID}},
		})},
	})
}

func (m *Manager) decision(h *inbound, r facts.Resolution) messages.Delivery {
	h.sent = &r
	return messages.Delivery{To: messages.MonitorAddr(h.event.Channel), Msg: messages.DecideHTLC{
		Channel: h.event.Channel, HTLCID: h.htlc.HTLCID, Resolution: r,
	}}
}

// send gives a decision to the monitor, which makes it durable before the peer learns of it (rule 12).
func (m *Manager) send(h *inbound, r facts.Resolution) {
	d := m.decision(h, r)
	m.tell(d.To, d.Msg)
}

func (m *Manager) fail(h *inbound, f lnwire.FailureMessage) {
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
	id, ok := m.byHTLC[htlcKey{msg.Channel, msg.HTLCID}]
	if !ok {
		return // acknowledged before
	}
	m.decided(m.inbound[id], msg.Resolution)
}

// decided: the fate of the HTLC is durable. A failure needs no more (rule 24); a claim is told to the user first. A fate that the monitor does
// not know any more means the HTLC is gone without us.
func (m *Manager) decided(h *inbound, r *facts.Resolution) {
	if m.claiming[h.htlc.Hash] == h {
		delete(m.claiming, h.htlc.Hash)
	}
	if h.reply != "" {
		var err error
		if h.held && (r == nil || r.Fulfilled() != (h.preimage != nil)) {
			err = fmt.Errorf("%w: it is gone", ErrNotHeld)
		}
		m.tell(h.reply, messages.ClaimReply{Err: err})
		h.reply = ""
	}
	if !r.Fulfilled() {
		m.done(h)
		return
	}
	m.queue(claimedID(h), messages.PaymentClaimed{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID,
	}, func() { m.done(h) })
}

func (m *Manager) done(h *inbound) {
	delete(m.inbound, h.event)
	delete(m.byHTLC, h.key())
	delete(m.users, claimableID(h))
	m.ack(h.event)
}

func claimedID(h *inbound) string {
	return fmt.Sprintf("payment-claimed/%s/%d", h.event.Channel, h.htlc.HTLCID)
}

func claimableID(h *inbound) string {
	return fmt.Sprintf("payment-claimable/%s/%d", h.event.Channel, h.htlc.HTLCID)
}
