package manager

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// forward is an HTLC on its way from one channel to another. Nothing of it is a record of ours: the monitor of the outbound channel holds the inbound
// HTLC's name with its own (rule 9), and the monitor of the inbound channel what was decided. It lives from the decision to forward, or from the
// first monitor that tells of it, until nothing waits for it.
type forward struct {
	key    htlcKey // inbound
	hash   ln.Hash
	secret onion.SharedSecret
	expiry uint32 // of the inbound HTLC
	inMsat uint64 // 0: not known

	h        *inbound      // its HTLCAccepted, while that is not acknowledged and was looked at
	hop      onion.Payload // what the payer says
	onion    []byte        // for the next hop, until that is committed to
	out      ln.ChannelID  // where it goes; zero: where the onion says
	sendMsat uint64
	ask      *ask           // an AddHTLC is out, and nobody said what became of it
	tried    []ln.ChannelID // channels that refused it
	unknown  bool           // a channel that nothing is known of may hold it
	held     *blockAlarm    // the interceptor was asked: until then
	since    time.Time      // when it was offered first
	homing   *clockAlarm    // it waits for the next node: until then
	next     ln.NodeID      // that node
	reply    messages.Addr  // who decided in its place, and is not answered yet
	chosen   bool           // the failure or the preimage
	last     *blockAlarm    // the 3-block rule
	burial   *blockAlarm    // of the channel that it came by

	committed bool    // the outbound HTLC is durable
	outKey    htlcKey // if so
	outMsat   uint64

	preimage *ln.Preimage // to claim the inbound HTLC with
	onChain  bool
	failed   bool              // downstream
	reason   *facts.Resolution // to fail it with
	why      string
	events   []ln.EventID // to acknowledge when that is done
	taught   bool         // counted in preimages
	doubt    bool         // the outbound monitor can't say what became of it, and never will
	decided  bool         // the inbound monitor has it
	ended    bool         // the inbound HTLC is gone for good
	paid     bool         // with its preimage
	looking  bool         // what became of it is being looked up
	looked   bool
}

// ask is an AddHTLC whose fate is open.
type ask struct {
	channel ln.ChannelID
	fence   uint64
	recall  *blockAlarm
}

// expiryMargin: an HTLC is not forwarded when that few blocks are left before the outgoing one expires.
const expiryMargin = 18

// earlyMargin is the 3-block rule: that near to its expiry an inbound HTLC whose fate nobody can tell is failed, to save its channel.
const earlyMargin = 3

func (m *Manager) forwardAt(k htlcKey) *forward { return m.forwards[k.channel][k.id] }

func (m *Manager) newForward(k htlcKey, hash ln.Hash, secret onion.SharedSecret, expiry uint32) *forward {
	f := &forward{key: k, hash: hash, secret: secret, expiry: expiry}
	if m.forwards[k.channel] == nil {
		m.forwards[k.channel] = map[uint64]*forward{}
	}
	m.forwards[k.channel][k.id] = f
	f.last = m.at(expiry-min(expiry, earlyMargin), func() { m.lastCall(f) })
	return f
}

// forwardOf is the forward that an outbound HTLC belongs to.
func (m *Manager) forwardOf(src *ln.ForwardSource, hash ln.Hash) *forward {
	k := htlcKey{src.Channel, src.HTLCID}
	f := m.forwardAt(k)
	if f == nil {
		f = m.newForward(k, hash, src.SharedSecret, src.CLTVExpiry)
	}
	f.inMsat = max(f.inMsat, src.AmountMsat)
	return f
}

func (m *Manager) forgetForward(f *forward) {
	m.unask(f)
	m.unlearn(f)
	m.sure(f)
	m.release(f)
	m.leaveHoming(f)
	f.last.stop()
	f.burial.stop()
	m.answerInterceptor(f, fmt.Errorf("%w: it is gone", ErrNotForwarded)) // unless it was answered
	if m.forwardAt(f.key) != f {
		return
	}
	if delete(m.forwards[f.key.channel], f.key.id); len(m.forwards[f.key.channel]) == 0 {
		delete(m.forwards, f.key.channel)
	}
}

func (m *Manager) living(f *forward) bool { return m.forwardAt(f.key) == f }

func (m *Manager) unask(f *forward) {
	if f.ask == nil {
		return
	}
	if delete(m.asked[f.ask.channel], f.key); len(m.asked[f.ask.channel]) == 0 {
		delete(m.asked, f.ask.channel)
	}
	f.ask.recall.stop()
	f.ask = nil
}

// forward decides about an HTLC that is not for us. All monitors have reported, or are quarantined: if none knows of an outbound HTLC that was made
// for it, there is none and will be none (S14).
func (m *Manager) forward(h *inbound, p *onion.Packet) {
	f := m.forwardAt(h.key())
	switch {
	case f == nil:
		f = m.newForward(h.key(), h.htlc.Hash, h.secret, h.htlc.CLTVExpiry)
	case f.committed:
		f.inMsat = h.htlc.AmountMsat
		m.done(h) // it went on already
		return
	}
	f.h, f.inMsat, f.hop, f.onion = h, h.htlc.AmountMsat, *p.Payload, bytes.Clone(p.Next[:])
	switch {
	case f.ask != nil:
	case h.replayed && m.uncertain(), m.doubtful > 0 && h.htlc.HTLCID < m.channels[h.event.Channel].before:
		// Of a restored node also one that is accepted only now: the peer repeats its revocation, behind which it may have gone on before.
		f.unknown = true
		m.unknown[f.key] = f
		m.log.Warn("an HTLC waits: a channel whose records can't be relied on may hold it already", slog.String("event_id", h.event.String()))
	default:
		m.begin(f)
	}
}

// begin is what a forward that is not known anywhere begins with.
func (m *Manager) begin(f *forward) {
	switch {
	case !m.living(f) || f.h == nil || !m.undecided(f.h):
	case f.expiry > m.height+maxInboundExpiry:
		m.refuse(f, &lnwire.FailExpiryTooFar{}, "it would be locked for too long")
	case m.cfg.Intercept:
		m.intercept(f)
	default:
		m.offer(f)
	}
}

// offer hands the HTLC to a channel, or fails it.
func (m *Manager) offer(f *forward) {
	if !m.living(f) || f.h == nil || !m.undecided(f.h) || f.ask != nil || f.committed {
		return
	}
	in := m.channels[f.key.channel]
	if in == nil || !in.reported {
		return // its report comes, and with it the event
	}
	if in.summary.Phase != messages.PhaseOpen {
		m.refuse(f, &lnwire.FailTemporaryNodeFailure{}, "its channel is being closed, or its funding transaction left the chain")
		return
	}
	m.leaveHoming(f)
	if f.since.IsZero() {
		f.since = m.now
	}
	if m.overloaded() { // nothing is asked of the outbound channel: when it ends, the user has to be told of it
		m.refuse(f, &lnwire.FailTemporaryNodeFailure{}, "too many user events are not handled")
		return
	}
	w := m.route(f)
	switch {
	case w.restarting != nil:
		w.restarting.later = append(w.restarting.later, func() { m.offer(f) })
		return
	case w.away && m.comesBack(f):
		return
	case w.failure != nil:
		m.refuse(f, w.failure, w.failure.Code().String())
		return
	}
	c := w.channel
	id := c.summary.Channel
	f.ask = &ask{channel: id, fence: c.fence}
	if m.asked[id] == nil {
		m.asked[id] = map[htlcKey]*forward{}
	}
	m.asked[id][f.key] = f
	m.tell(messages.ChannelAddr(id), messages.AddHTLC{
		Fence: c.fence, AmountMsat: f.sendMsat, Hash: f.hash, CLTVExpiry: f.hop.CLTVExpiry, Onion: f.onion,
		Source: ln.Source{Forward: &ln.ForwardSource{Channel: f.key.channel, HTLCID: f.key.id, SharedSecret: f.secret, CLTVExpiry: f.expiry, AmountMsat: f.inMsat}},
	})
	f.ask.recall = m.at(f.hop.CLTVExpiry-min(f.hop.CLTVExpiry, expiryMargin), func() { m.recall(f.ask) })
}

// recall takes back an AddHTLC that the channel could not commit to yet: a fence drops it, or finds it committed.
func (m *Manager) recall(a *ask) {
	if c := m.channels[a.channel]; c != nil && c.reported && c.fence == a.fence {
		m.draw(a.channel)
	}
}

// refuse fails an HTLC here.
func (m *Manager) refuse(f *forward, failure lnwire.FailureMessage, why string) {
	f.why = why
	m.fail(f.h, failure)
}

// onHTLCCommitted: the outbound HTLC is durable. Of a forward that was not asked for under this incarnation, the report tells.
func (m *Manager) onHTLCCommitted(msg messages.HTLCCommitted) {
	f := m.forwardAt(htlcKey{msg.Source.Channel, msg.Source.HTLCID})
	if f != nil && f.ask != nil && f.ask.channel == msg.Channel {
		m.went(f, htlcKey{msg.Channel, msg.HTLCID}, f.sendMsat)
	}
}

// went: the outbound HTLC is in a monitor, so the inbound one is not offered again, whatever happens, and its event is done (rule 9).
func (m *Manager) went(f *forward, out htlcKey, msat uint64) {
	m.unask(f)
	m.sure(f)
	m.release(f)
	m.leaveHoming(f)
	f.committed, f.outKey, f.outMsat, f.onion = true, out, msat, nil
	m.answerInterceptor(f, nil)
	if h := f.h; h != nil {
		f.h = nil
		if m.inbound[h.event] == h && !h.decided && h.sent == nil {
			m.done(h)
		}
	}
}

// onOwnForward: a live HTLC in a report that was made for an inbound one, and whose outcome is not among the events there.
func (m *Manager) onOwnForward(channel ln.ChannelID, h messages.OwnHTLC) {
	if h.Preimage != nil {
		return // claimed, and the event is acknowledged: all is done
	}
	m.went(m.forwardOf(h.Source.Forward, h.Hash), htlcKey{channel, h.HTLCID}, h.AmountMsat)
}

// forwardNotCommitted: the channel refused the HTLC under its current fence, so no monitor ever holds it.
func (m *Manager) forwardNotCommitted(msg messages.NotCommitted) {
	src := msg.Source.Forward
	f := m.forwardAt(htlcKey{src.Channel, src.HTLCID})
	if f == nil || f.ask == nil || f.ask.channel != msg.Channel || f.ask.fence != msg.Fence {
		return // decided by a report already
	}
	m.unask(f)
	if !msg.Down {
		f.tried = append(f.tried, msg.Channel)
	}
	m.reoffer(f)
}

// reoffer goes on with an HTLC that was in no commitment and never will be.
func (m *Manager) reoffer(f *forward) {
	if f.h == nil || f.ended || !m.undecided(f.h) {
		m.forgetForward(f) // gone, or failed meanwhile
		return
	}
	m.offer(f)
}

// reportedForwards goes on with what a report says, and lacks. Live HTLCs and events of the report were taken in before.
func (m *Manager) reportedForwards(msg messages.MonitorReport, fence uint64) {
	for _, f := range sortedForwards(m.asked[msg.Channel]) {
		if f.ask.fence < fence {
			m.unask(f)
			m.reoffer(f)
		}
	}
	if fs := m.forwards[msg.Channel]; len(fs) > 0 {
		told := map[uint64]messages.InboundHTLC{}
		for _, h := range msg.Inbound {
			told[h.HTLCID] = h
		}
		for _, f := range sortedByID(fs) {
			h := told[f.key.id]
			f.inMsat = max(f.inMsat, h.AmountMsat)
			if h.Resolved {
				m.inboundEnded(f, h.Fulfilled)
			} else {
				m.upstream(f) // what was asked before, or the answer, may be lost
			}
		}
	}
	m.knownAgain()
}

// uncertain tells whether there is a channel that may hold HTLCs that nobody told of.
func (m *Manager) uncertain() bool { return m.quarantined+m.doubtful+m.waiting > 0 }

// knownAgain decides what waited for channels that nothing is known of, once there is none.
func (m *Manager) knownAgain() {
	if m.uncertain() || !m.settled {
		return
	}
	for _, f := range sortedForwards(m.unknown) {
		m.sure(f)
		m.begin(f)
	}
}

// sure: it is known whether a channel holds an HTLC, or it does not matter any more.
func (m *Manager) sure(f *forward) {
	f.unknown = false
	if m.unknown[f.key] == f {
		delete(m.unknown, f.key)
	}
}

// lastCall: the inbound HTLC is about to expire. The fate of an outbound one is the business of its monitor, which has a 3-block rule of its own. Where
// no monitor can say anything, the inbound channel is saved: without the preimage there is nothing else to save, and the peer takes the HTLC back anyway.
func (m *Manager) lastCall(f *forward) {
	if f.ended || f.preimage != nil || f.reason != nil {
		return
	}
	if c := m.channels[f.outKey.channel]; f.committed && !f.doubt && (c == nil || !c.quarantined) {
		f.last = m.at(m.height+1, func() { m.lastCall(f) }) // it may be quarantined yet
		return
	}
	m.atRisk(f.key.channel, "an HTLC is failed although it may have gone on: its channel would be closed over it, and the one that may hold it does not answer; "+
		"if it is claimed there, its amount is lost", slog.Uint64("htlc_id", f.key.id),
		slog.Uint64("amount_msat", f.outMsat))
	m.sure(f)
	m.failForward(f, m.sealed(f, &lnwire.FailPermanentChannelFailure{}), "what became of it is not known")
}

// sortedByID are the forwards of one inbound channel.
func sortedByID(fs map[uint64]*forward) []*forward {
	return slices.SortedFunc(maps.Values(fs), func(a, b *forward) int { return cmp.Compare(a.key.id, b.key.id) })
}

func sortedForwards(fs map[htlcKey]*forward) []*forward {
	return slices.SortedFunc(maps.Values(fs), func(a, b *forward) int { return compareKeys(a.key, b.key) })
}

// forwardAgain: the event of an HTLC that nothing was decided about came once more, because its channel restarted.
func (m *Manager) forwardAgain(h *inbound) {
	if f := m.forwardAt(h.key()); f != nil && f.h == h && !f.unknown && f.held == nil {
		m.offer(f)
	}
}

// forwardDone: an HTLCAccepted is acknowledged. If that is because the HTLC was failed here, or is gone, its forward is over.
func (m *Manager) forwardDone(h *inbound) {
	f := m.forwardAt(h.key())
	if f != nil && f.h == h {
		f.h = nil
		m.release(f)
		switch {
		case f.reply == "" || f.committed:
		case f.chosen && h.decided && !h.ended:
			m.answerInterceptor(f, nil)
		default:
			m.answerInterceptor(f, fmt.Errorf("%w: %s", ErrNotForwarded, cmp.Or(f.why, "it is gone")))
		}
		if !f.committed && f.ask == nil && f.preimage == nil && f.reason == nil {
			m.forgetForward(f)
		}
	}
	if h.sent == nil || h.sent.Preimage != nil || f != nil && f.preimage != nil {
		return
	}
	if f == nil { // it was for us, or could not be read
		f = &forward{key: h.key(), hash: h.htlc.Hash, inMsat: h.htlc.AmountMsat}
	}
	m.handlingFailed(f, cmp.Or(f.why, h.why, "the onion can't be read"))
}
