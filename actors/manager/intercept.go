package manager

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"log/slog"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// An interceptor is asked about each HTLC that is to be forwarded, until it has decided. That it was asked is in memory only: an HTLC that no monitor
// holds a decision of is asked about again by the next incarnation. Its decision is durable where any other is, in the monitors.

// interceptDeadline is the height at which an HTLC is failed that nobody decided about: later it could be neither forwarded nor claimed safely.
func (f *forward) interceptDeadline() uint32 {
	return min(f.hop.CLTVExpiry-min(f.hop.CLTVExpiry, expiryMargin), f.expiry-min(f.expiry, HoldDeadline))
}

// intercept asks the interceptor about an HTLC.
func (m *Manager) intercept(f *forward) {
	if !m.living(f) || f.h == nil || !m.undecided(f.h) {
		return
	}
	if f.interceptDeadline() <= m.height {
		m.overrule(f)
		return
	}
	m.release(f)
	f.held = m.at(f.interceptDeadline(), func() { m.overrule(f) })
	m.tellInterceptor(f)
}

// release: the interceptor has nothing to decide about an HTLC any more.
func (m *Manager) release(f *forward) {
	f.held.stop()
	f.held = nil
}

// overrule decides in the place of an interceptor that did not.
func (m *Manager) overrule(f *forward) {
	m.release(f)
	if f.h != nil && m.undecided(f.h) {
		m.refuse(f, &onion.ForwardFailure{FailCode: lnwire.CodeTemporaryChannelFailure}, "the interceptor did not decide in time")
	}
}

func (m *Manager) tellInterceptor(f *forward) {
	m.tell(messages.InterceptorAddr, messages.InterceptHTLC{
		Channel: f.key.channel, HTLCID: f.key.id, Hash: f.hash, AmountMsat: f.inMsat, CLTVExpiry: f.expiry, NextSCID: f.hop.NextSCID,
		ForwardMsat: f.hop.AmountMsat, OutgoingCLTVExpiry: f.hop.CLTVExpiry, Deadline: f.interceptDeadline(),
	})
}

// interceptorRestarted tells a new incarnation of the interceptor's actor what is not decided.
func (m *Manager) interceptorRestarted() {
	for _, id := range sortedKeys(m.forwards) {
		for _, f := range sortedByID(m.forwards[id]) {
			if f.held != nil {
				m.tellInterceptor(f)
			}
		}
	}
}

// onIntercepted carries out what an interceptor decided. A decision that is no good changes nothing: another one may follow, until the deadline.
func (m *Manager) onIntercepted(msg messages.DecideIntercepted) {
	f := m.forwardAt(htlcKey{msg.Channel, msg.HTLCID})
	err := m.intercepted(f, msg)
	switch {
	case err == nil:
	case msg.ReplyTo == "":
		m.log.Warn("the interceptor's decision was not carried out", slog.String("channel_id", msg.Channel.String()), slog.Uint64("htlc_id", msg.HTLCID),
			slog.Any("error", err))
	default:
		m.tell(msg.ReplyTo, messages.InterceptReply{Err: err})
	}
}

func (m *Manager) intercepted(f *forward, msg messages.DecideIntercepted) error {
	if f == nil || f.held == nil || f.h == nil || !m.undecided(f.h) {
		return fmt.Errorf("%w: %s/%d", ErrNotIntercepted, msg.Channel, msg.HTLCID)
	}
	switch msg.Action {
	case messages.InterceptForward:
		switch {
		case msg.Out != (ln.ChannelID{}) && (m.channels[msg.Out] == nil || msg.Out == msg.Channel):
			return fmt.Errorf("%w: %s", ErrNoChannel, msg.Out)
		case msg.ForwardMsat > f.hop.AmountMsat:
			return fmt.Errorf("%w: %d msat are to go out, the onion says %d", ErrAmount, msg.ForwardMsat, f.hop.AmountMsat)
		}
		f.reply = msg.ReplyTo
		m.release(f)
		f.out, f.sendMsat = msg.Out, cmp.Or(msg.ForwardMsat, f.hop.AmountMsat)
		m.offer(f)
	case messages.InterceptFail:
		r, why, err := m.failureOf(f, lnwire.FailCode(msg.Code))
		if err != nil {
			return err
		}
		f.reply, f.why, f.chosen = msg.ReplyTo, why, true
		m.release(f)
		m.send(f.h, r)
	case messages.InterceptSettle:
		if sha256.Sum256(msg.Preimage[:]) != [32]byte(f.hash) {
			return ErrPreimage
		}
		f.reply, f.chosen = msg.ReplyTo, true
		m.release(f)
		m.send(f.h, facts.Resolution{Preimage: &msg.Preimage, Settled: true})
	default:
		return fmt.Errorf("%w: action %d", ErrInterception, msg.Action)
	}
	return nil
}

// settledEnd acknowledges an HTLC that was claimed with an interceptor's preimage, once its end is irrevocable. If it ended without that preimage, the user
// is told first: nothing else remembers the HTLC.
func (m *Manager) settledEnd(h *inbound) {
	switch {
	case !h.ended:
	case h.paid:
		m.done(h)
	default:
		m.tellLost(h, func() { m.done(h) })
	}
}

// failureOf makes the failure that an interceptor wants. Codes whose fields only the final node or a blinded route can fill are none of them.
func (m *Manager) failureOf(f *forward, code lnwire.FailCode) (facts.Resolution, string, error) {
	if code == 0 {
		code = lnwire.CodeTemporaryChannelFailure
	}
	var failure lnwire.FailureMessage
	switch code { //nolint:exhaustive // see above
	case lnwire.CodeTemporaryChannelFailure, lnwire.CodeAmountBelowMinimum, lnwire.CodeFeeInsufficient, lnwire.CodeIncorrectCltvExpiry,
		lnwire.CodeExpiryTooSoon, lnwire.CodeChannelDisabled:
		failure = m.updated(f, m.channels[m.byScid[f.hop.NextSCID]], code)
	case lnwire.CodeTemporaryNodeFailure:
		failure = &lnwire.FailTemporaryNodeFailure{}
	case lnwire.CodePermanentNodeFailure:
		failure = &lnwire.FailPermanentNodeFailure{}
	case lnwire.CodeRequiredNodeFeatureMissing:
		failure = &lnwire.FailRequiredNodeFeatureMissing{}
	case lnwire.CodePermanentChannelFailure:
		failure = &lnwire.FailPermanentChannelFailure{}
	case lnwire.CodeRequiredChannelFeatureMissing:
		failure = &lnwire.FailRequiredChannelFeatureMissing{}
	case lnwire.CodeUnknownNextPeer:
		failure = &lnwire.FailUnknownNextPeer{}
	case lnwire.CodeExpiryTooFar:
		failure = &lnwire.FailExpiryTooFar{}
	case lnwire.CodeIncorrectOrUnknownPaymentDetails:
		failure = m.unknownPayment(f.h)
	case lnwire.CodeInvalidOnionVersion, lnwire.CodeInvalidOnionHmac, lnwire.CodeInvalidOnionKey:
		sum := sha256.Sum256(f.h.htlc.Onion)
		return facts.Resolution{Malformed: &facts.Malformed{OnionSHA256: sum, Code: uint16(code)}}, code.String(), nil
	default:
		return facts.Resolution{}, "", fmt.Errorf("%w: failure code %#x", ErrInterception, uint16(code))
	}
	return *m.sealed(f, failure), code.String(), nil
}

// answerInterceptor tells what became of a decision of the interceptor's, once that is durable. err is why it could not be carried out.
func (m *Manager) answerInterceptor(f *forward, err error) {
	if f.reply != "" {
		m.tell(f.reply, messages.InterceptReply{Err: err})
		f.reply = ""
	}
}
