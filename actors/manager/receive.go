package manager

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// inbound is an HTLC that waits for its decision to be durable, or for what follows from that.
type inbound struct {
	event    ln.EventID
	htlc     facts.HTLCAccepted
	replayed bool   // an earlier incarnation may have seen it
	why      string // it was failed
	secret   onion.SharedSecret
	payload  *onion.Payload    // if the onion ends here, once it was read
	sent     *facts.Resolution // the decision given to the monitor, not answered yet
	decided  bool              // the decision is durable, or the HTLC is gone without one
	ended    bool              // its removal is irrevocable
	paid     bool              // and it went with its preimage

	settled bool // the durable decision is the preimage that an interceptor gave

	// Of an HTLC for us.
	set      *set
	preimage *ln.Preimage // nil if the invoice's hash was given to the node
	claimed  bool         // the durable decision is to claim
	lost     bool         // the user handled ClaimLost
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
	case h.set != nil:
		m.touch(h.set)
	default:
		m.forwardAgain(h)
	}
}

func (m *Manager) decide(h *inbound) {
	if !m.undecided(h) {
		return
	}
	if len(h.htlc.Onion) != onion.PacketSize {
		m.send(h, facts.Resolution{Malformed: &facts.Malformed{
			OnionSHA256: sha256.Sum256(h.htlc.Onion), Code: uint16(lnwire.CodeInvalidOnionHmac),
		}})
		return
	}
	p, err := m.peel(h)
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
	case h.htlc.OverDust || h.htlc.Unburied:
		m.fail(h, lnwire.NewTemporaryChannelFailure(nil))
	case !p.Payload.Final:
		m.forward(h, &p)
	default:
		h.payload = p.Payload
		m.receive(h)
	}
}

// receive finds out what an HTLC for us pays, and hands it to the set of its hash.
func (m *Manager) receive(h *inbound) {
	p := h.payload
	htlc := invoice.HTLC{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, CLTVExpiry: h.htlc.CLTVExpiry,
		Secret: p.PaymentSecret, TotalMsat: p.TotalMsat, OnionAmountMsat: p.AmountMsat, OnionCLTVExpiry: p.CLTVExpiry,
	}
	pays := request{htlc: htlc}
	var ours bool
	if pays.Details, h.preimage, ours = m.cfg.Invoices.Open(htlc.Hash, htlc.Secret); !ours {
		if p.Keysend == nil || sha256.Sum256(p.Keysend[:]) != [32]byte(htlc.Hash) {
			_, _, err := invoice.Check(m.cfg.Invoices, htlc, m.height, m.now)
			m.reject(h, err) // it says what is wrong; that something is was decided here, for whatever it says
			return
		}
		// Nobody asked for it, so its terms are ours: any amount, in parts or not, at any time.
		pays.Details, pays.keysend, h.preimage = invoice.Details{MPP: true, MinFinalCLTVDelta: invoice.LeastMinFinalCLTVDelta}, true, p.Keysend
	}
	m.withSet(htlc.Hash, func(s *set) { m.join(h, s, pays) })
}

// request is what an HTLC for us pays: an invoice of ours, or keysend.
type request struct {
	invoice.Details
	keysend bool
	htlc    invoice.HTLC
}

func (r request) check(height uint32, now time.Time) error {
	if r.htlc.CLTVExpiry > height+maxInboundExpiry {
		return errTooFar // expiry_too_far is not for a payee to say (BOLT 4)
	}
	if r.keysend {
		r.ExpiresAt = now.Add(time.Second)
	}
	return invoice.CheckTerms(r.Details, r.htlc, height, now)
}

func (m *Manager) reject(h *inbound, err error) {
	var rejection *invoice.Rejection
	if errors.As(err, &rejection) {
		m.fail(h, rejection.Failure())
		return
	}
	m.failUnknown(h)
}

func (m *Manager) decision(h *inbound, r facts.Resolution) messages.Delivery {
	h.sent = &r
	return messages.Delivery{To: messages.MonitorAddr(h.event.Channel), Msg: messages.DecideHTLC{
		Channel: h.event.Channel, HTLCID: h.htlc.HTLCID, Resolution: r,
	}}
}

// send gives a decision that needs no record of ours to the monitor, which makes it durable before the peer learns of it (rule 12).
func (m *Manager) send(h *inbound, r facts.Resolution) {
	d := m.decision(h, r)
	m.tell(d.To, d.Msg)
}

func (m *Manager) fail(h *inbound, f lnwire.FailureMessage) { m.send(h, m.failure(h, f)) }

func (m *Manager) failure(h *inbound, f lnwire.FailureMessage) facts.Resolution {
	h.why = f.Code().String()
	reason, err := onion.EncryptFailure(h.secret, f)
	if err != nil {
		m.log.Error("failure not encoded", slog.Any("error", err))
		reason = []byte{} // the payer sees a failure that it can't attribute
	}
	return facts.Resolution{Reason: reason}
}

func (m *Manager) failUnknown(h *inbound) { m.fail(h, m.unknownPayment(h)) }

func (m *Manager) unknownPayment(h *inbound) lnwire.FailureMessage {
	return lnwire.NewFailIncorrectDetails(lnwire.MilliSatoshi(h.htlc.AmountMsat), m.height)
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
		m.touch(h.set)
	case h.settled:
		m.settledEnd(h)
	case !h.decided && h.sent == nil:
		m.decided(h, nil) // gone on chain without us
	} // else the answer to the decision is on its way, or it is a failure
}

// decided: the fate of the HTLC is durable. A failure needs no more (rule 24). A claim concerns the whole set. A fate that the monitor does not know
// any more means that the HTLC is gone without us.
func (m *Manager) decided(h *inbound, r *facts.Resolution) {
	if h.decided {
		return
	}
	h.decided = true
	switch {
	case r.Fulfilled() && r.Settled:
		h.settled = true
		m.forwardDone(h)
		m.settledEnd(h)
	case r.Fulfilled() && len(r.Parts) == 0:
		m.done(h) // it was forwarded: the preimage is where it belongs
	case r.Fulfilled():
		h.claimed = true
		h.set = m.evidence(h.htlc.Hash, *r)
		m.touch(h.set)
	case h.set != nil:
		m.touch(h.set)
	case h.sent != nil:
		m.done(h) // in no set, or it would have one
	default:
		m.whenSettled(func() { m.withoutUs(h) })
	}
}

// withoutUs: an HTLC that is gone, or was failed by an earlier incarnation. If it is of a set that is to be claimed, the set has to know.
func (m *Manager) withoutUs(h *inbound) {
	m.withSet(h.htlc.Hash, func(*set) {
		if m.inbound[h.event] != h {
			return
		}
		if h.set = m.setWith(h.key()); h.set == nil {
			m.done(h)
			return
		}
		m.touch(h.set)
	})
}

func (m *Manager) done(h *inbound) {
	m.ack(m.forget(h))
	m.forwardDone(h)
}

// forget drops an HTLC whose event is being acknowledged.
func (m *Manager) forget(h *inbound) ln.EventID {
	delete(m.inbound, h.event)
	delete(m.byHTLC, h.key())
	return h.event
}
