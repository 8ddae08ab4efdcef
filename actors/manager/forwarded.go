package manager

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// A forwarded HTLC ends downstream first. Its end is an event of the outbound monitor, and stays one until the end of the inbound HTLC is irrevocable
// (rules 11, 12): whatever crashes, the event comes again, the decision is given to the inbound monitor again, and its answer tells how far it got.

// burial is how deep the transaction that closed a channel is when it counts as irrevocable.
const burial = 6

// forwardClaimed: downstream revealed the preimage. It goes upstream at once and waits for nothing (rule 10, L4).
func (m *Manager) forwardClaimed(id ln.EventID, ev facts.Claimed) {
	f := m.forwardOf(ev.Source.Forward, ev.Hash)
	m.went(f, htlcKey{id.Channel, ev.HTLCID}, ev.AmountMsat)
	f.events = append(f.events, id)
	f.preimage, f.onChain, f.failed, f.decided = &ev.Preimage, ev.OnChain, false, false
	m.learn(f, ev.Preimage)
	m.toUpstream(f)
}

// forwardFailed: the outbound HTLC can't be claimed any more (rule 12), or its fate is not waited for (the 3-block rule).
func (m *Manager) forwardFailed(id ln.EventID, ev facts.Failed) {
	f := m.forwardOf(ev.Source.Forward, ev.Hash)
	m.went(f, htlcKey{id.Channel, ev.HTLCID}, ev.AmountMsat)
	f.events = append(f.events, id)
	f.doubt = ev.Local == facts.OutcomeUnknown
	f.failed = f.preimage == nil && !f.doubt
	if f.doubt {
		f.why = "what became of it is not known"
	}
	if ev.Local == facts.InboundExpiring {
		m.atRisk(f.key.channel, "an HTLC is failed upstream while it can still be claimed downstream, to save the inbound channel; if it is claimed, its amount is lost",
			slog.Uint64("htlc_id", f.key.id), slog.Uint64("amount_msat", ev.AmountMsat))
	}
	// Another monitor may tell of the preimage: a claim beats a failure (S7).
	m.whenSettled(func() {
		switch r, known := m.preimages[f.hash]; {
		case !m.living(f):
		case f.preimage != nil || f.reason != nil:
			m.toUpstream(f)
		case known:
			f.preimage = &r.preimage
			m.toUpstream(f)
		case f.doubt:
			m.finishForward(f) // or lastCall fails it: until then downstream may yet show the preimage on chain
		default:
			reason, why := m.wrap(f, ev)
			m.failForward(f, reason, why)
		}
	})
}

// wrap is what the payer hears of a failure downstream.
func (m *Manager) wrap(f *forward, ev facts.Failed) (*facts.Resolution, string) {
	switch r := ev.Resolution; {
	case ev.Local == facts.InboundExpiring:
		return m.sealed(f, &lnwire.FailPermanentChannelFailure{}), "given up on the way, to save the inbound channel"
	case ev.Local != facts.FailedByPeer:
		return m.sealed(f, &lnwire.FailPermanentChannelFailure{}), "the outbound channel was closed and the HTLC timed out on chain"
	case r.Malformed != nil:
		failure, err := onion.MalformedFailure(lnwire.FailCode(r.Malformed.Code), r.Malformed.OnionSHA256)
		if err != nil {
			failure = &lnwire.FailTemporaryChannelFailure{} // the channel refuses such codes
		}
		return m.sealed(f, failure), "the next node could not read the onion"
	default:
		reason, err := onion.Wrap(f.secret, r.Reason)
		if err != nil {
			return m.sealed(f, &lnwire.FailTemporaryChannelFailure{}), "failed downstream, for a reason that can't be passed on"
		}
		return &facts.Resolution{Reason: reason}, "failed downstream"
	}
}

// sealed is a failure of ours, for the payer's eyes.
func (m *Manager) sealed(f *forward, failure lnwire.FailureMessage) *facts.Resolution {
	reason, err := onion.EncryptFailure(f.secret, failure)
	if err != nil {
		m.log.Error("failure not encoded", slog.Any("error", err))
		reason = []byte{} // the payer sees a failure that it can't attribute
	}
	return &facts.Resolution{Reason: reason}
}

func (m *Manager) failForward(f *forward, r *facts.Resolution, why string) {
	f.reason, f.why, f.decided = r, why, false
	m.toUpstream(f)
}

// toUpstream decides about the inbound HTLC, now, and again when everything is known: at a start nobody knows yet whether its channel still exists.
func (m *Manager) toUpstream(f *forward) {
	m.upstream(f)
	if !m.settled {
		m.later = append(m.later, func() {
			if m.living(f) && m.channels[f.key.channel] == nil {
				m.upstream(f)
			}
		})
	}
}

// upstream gives the decision to the inbound monitor. It is given again with each of its incarnations; a repeat is answered again.
func (m *Manager) upstream(f *forward) {
	var r facts.Resolution
	switch {
	case f.preimage != nil:
		r.Preimage = f.preimage
	case f.reason != nil:
		r = *f.reason
	default:
		return
	}
	id := f.key.channel
	switch {
	case f.ended:
		m.finishForward(f)
	case m.archived[id] || m.settled && m.channels[id] == nil:
		m.lookForFate(f)
	default:
		m.tell(messages.MonitorAddr(id), messages.DecideHTLC{Channel: id, HTLCID: f.key.id, Resolution: r})
	}
}

// forwardDecided: the decision that stands is durable. That need not be ours: the first one that is durable is final, since the peer may have been
// told, and a preimage that came later is kept for use on chain (S7).
func (m *Manager) forwardDecided(msg messages.InboundDecided) {
	f := m.forwardAt(htlcKey{msg.Channel, msg.HTLCID})
	if f == nil || f.ended || f.preimage == nil && f.reason == nil {
		return
	}
	if msg.Gone {
		m.lookForFate(f)
		return
	}
	switch {
	case f.preimage != nil && !msg.Resolution.Fulfilled() && !f.decided:
		m.atRisk(f.key.channel, "a preimage came after the HTLC was failed upstream; it can only be claimed if the inbound channel is closed with it",
			slog.Uint64("htlc_id", f.key.id))
	case f.preimage == nil && msg.Resolution.Fulfilled():
		f.preimage = msg.Resolution.Preimage
	}
	f.decided = true
	if msg.Buried && m.mayBury(f) {
		m.failedForward(f)
		return
	}
	m.bury(f)
}

// mayBury tells whether a failed forward is done with when what closed its inbound channel is irrevocable: the peer takes the HTLC back on chain, when it
// likes.
func (m *Manager) mayBury(f *forward) bool {
	return m.living(f) && f.reason != nil && f.preimage == nil && f.decided && !f.ended
}

// bury asks the inbound monitor again when what closed its channel should be deep enough. It knows: what is known here may be from before a reorganisation.
func (m *Manager) bury(f *forward) {
	c := m.channels[f.key.channel]
	if !m.mayBury(f) || c == nil || c.summary.Spent == nil {
		return
	}
	f.burial.stop()
	f.burial = m.at(max(c.summary.Spent.Height+burial-1, m.height+1), func() {
		if m.mayBury(f) {
			m.upstream(f)
		}
	})
}

// inboundEnded: the inbound HTLC is gone for good, with its preimage or without.
func (m *Manager) inboundEnded(f *forward, paid bool) {
	if f.ended {
		return
	}
	f.ended, f.paid = true, paid
	m.unlearn(f)
	if f.ask != nil {
		m.recall(f.ask) // it must not go out any more
	}
	m.finishForward(f)
}

// finishForward tells the user and acknowledges downstream's events, once both ends are known.
func (m *Manager) finishForward(f *forward) {
	over := f.preimage != nil || f.reason != nil || f.doubt // downstream
	switch {
	case !f.ended || !over && (f.committed || f.ask != nil):
	case !over:
		m.forgetForward(f)
	case !f.paid && (f.preimage == nil || f.failed):
		m.failedForward(f) // nobody was paid
	case f.inMsat == 0 && !f.looked:
		m.lookForFate(f) // for the amount
	default:
		m.claimedForward(f)
	}
}

func (m *Manager) claimedForward(f *forward) {
	ev := messages.PaymentForwarded{
		Hash: f.hash, InChannel: f.key.channel, InHTLCID: f.key.id, OutChannel: f.outKey.channel, OutHTLCID: f.outKey.id,
		InAmountMsat: f.inMsat, OutAmountMsat: f.outMsat, OnChain: f.onChain, ClaimLost: !f.paid,
	}
	if f.failed {
		ev.OutAmountMsat = 0 // all of it is ours
	}
	if f.paid && f.inMsat >= ev.OutAmountMsat {
		ev.FeeMsat = f.inMsat - ev.OutAmountMsat
	}
	if ev.ClaimLost {
		m.atRisk(f.key.channel, "a forwarded HTLC was claimed downstream and could not be claimed upstream any more: its amount is lost",
			slog.Uint64("htlc_id", f.key.id), slog.Uint64("amount_msat", f.outMsat))
	}
	m.queue(forwardedID(f.key), ev, func() {
		m.forgetForward(f)
		m.ack(f.events...)
	})
}

func (m *Manager) failedForward(f *forward) {
	m.forgetForward(f)
	m.ack(f.events...)
	m.handlingFailed(f, f.why)
}

// handlingFailed tells of a failed HTLC, unless the user has enough to handle: nothing waits for it.
func (m *Manager) handlingFailed(f *forward, why string) {
	if len(m.users) >= m.cfg.MaxUnhandled/2 {
		return
	}
	m.queue(fmt.Sprintf("htlc-failed/%s/%d", f.key.channel, f.key.id), messages.HTLCHandlingFailed{
		Channel: f.key.channel, HTLCID: f.key.id, Hash: f.hash, AmountMsat: f.inMsat, NextSCID: f.hop.NextSCID,
		OutChannel: f.outKey.channel, Reason: text(why),
	}, func() {})
}

// lookForFate asks the disk what became of an inbound HTLC that its monitor does not hold any more.
func (m *Manager) lookForFate(f *forward) {
	if f.looking {
		return
	}
	f.looking = true
	m.lookup(messages.GetRows{Bucket: messages.BucketFates, Key: f.key.bytes()}, func(rows []messages.Row, err error) {
		if !m.living(f) {
			return
		}
		fate, err := decodeFate(rows, err)
		if err != nil {
			f.looking = false
			m.log.Error("fate of an inbound HTLC unreadable; its forward waits", slog.String("channel_id", f.key.channel.String()),
				slog.Uint64("htlc_id", f.key.id), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.lookForFate(f) })
			return
		}
		f.looking, f.looked = false, true
		f.inMsat = max(f.inMsat, fate.GetAmountMsat())
		if f.ended {
			m.finishForward(f)
			return
		}
		m.inboundEnded(f, fate.GetFulfilled())
	})
}

// revealed is a preimage that is on its way upstream for one HTLC at least.
type revealed struct {
	preimage ln.Preimage
	htlcs    int
}

// learn remembers a preimage for other HTLCs of the same hash, which are parts of the same payment: one that failed downstream is claimed upstream all
// the same. That ends when the HTLC that taught it has ended: who pays a hash again later has made a mistake that is not ours to take.
func (m *Manager) learn(f *forward, p ln.Preimage) {
	if f.taught || f.ended {
		return
	}
	f.taught = true
	r := m.preimages[f.hash]
	m.preimages[f.hash] = revealed{p, r.htlcs + 1}
}

func (m *Manager) unlearn(f *forward) {
	if !f.taught {
		return
	}
	f.taught = false
	r := m.preimages[f.hash]
	if r.htlcs--; r.htlcs == 0 {
		delete(m.preimages, f.hash)
		return
	}
	m.preimages[f.hash] = r
}

// closedInbound goes on with what waits for the burial of a channel.
func (m *Manager) closedInbound(id ln.ChannelID) {
	for _, f := range sortedByID(m.forwards[id]) {
		m.bury(f)
	}
}

// archivedForwards: the log of a channel is gone. What waited for its monitor goes on with what its rows say.
func (m *Manager) archivedForwards(id ln.ChannelID) {
	delete(m.updates, id)
	for _, f := range sortedForwards(m.asked[id]) {
		m.unask(f)
		m.reoffer(f)
	}
	for _, f := range sortedByID(m.forwards[id]) {
		m.upstream(f)
	}
	m.knownAgain()
}

// bytes is the key of the HTLC's row.
func (k htlcKey) bytes() []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(k.channel[:]), k.id)
}

// onMayArchive lets a monitor go that nothing of another one names (rule 23). A channel that nobody can ask may: then it has to wait. So does one that may
// have held what waits for certainty: without it there would seem to be none.
func (m *Manager) onMayArchive(msg messages.MayArchive) {
	if c := m.channels[msg.Channel]; c != nil && c.doubtful && len(m.unknown)+len(m.attempts[msg.Channel]) > 0 {
		return
	}
	if m.settled && m.waiting+m.quarantined == 0 && len(m.forwards[msg.Channel]) == 0 {
		m.tell(messages.MonitorAddr(msg.Channel), messages.ArchiveGranted{Channel: msg.Channel, Incarnation: msg.Incarnation})
	}
}

func compareKeys(a, b htlcKey) int {
	return cmp.Or(bytes.Compare(a.channel[:], b.channel[:]), cmp.Compare(a.id, b.id))
}

func forwardedID(k htlcKey) string { return fmt.Sprintf("payment-forwarded/%s/%d", k.channel, k.id) }
