package manager

import (
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// learnFrom reads why a part failed. What the other parts of the payment have to avoid is kept with it, since what the graph remembers is only a cache,
// and is read again out of the event after a restart.
func (m *Manager) learnFrom(p *payment, src ln.PaymentSource, ev facts.Failed) {
	var hops []route.Hop
	if r := p.record(src.PartID); r != nil && len(r.Hops) == len(src.Path) {
		hops = r.Hops
	}
	l := lesson{payment: p, hops: hops, nodes: len(src.Path), graph: m.cfg.Graph, now: m.now}
	switch r := ev.Resolution; {
	case ev.Local == facts.OnChainTimeout:
		p.fail(src.PartID, "the channel was closed and the payment timed out on chain")
	case r.Malformed != nil:
		p.fail(src.PartID, fmt.Sprintf("the first hop could not read the onion (BOLT 4 code %#x)", r.Malformed.Code))
		l.unreadable(0)
	default:
		f, err := open(src, r.Reason)
		if err != nil {
			p.fail(src.PartID, "it failed for a reason that cannot be read")
			l.garbled()
			break
		}
		p.fail(src.PartID, fmt.Sprintf("hop %d answered %s", f.Hop+1, f.Code))
		l.read(f)
	}
	if l.final {
		p.hopeless = p.last
	}
	if o := l.outcome; m.cfg.Graph && (len(o.Passed) > 0 || o.Failed != nil || o.FailedNode != nil || o.Update != nil) {
		m.tell(messages.GraphAddr, o)
	}
}

// open decrypts a failure.
func open(src ln.PaymentSource, reason []byte) (onion.Failure, error) {
	path := make([]*btcec.PublicKey, 0, len(src.Path))
	for _, n := range src.Path {
		k, err := btcec.ParsePubKey(n[:])
		if err != nil {
			return onion.Failure{}, err
		}
		path = append(path, k)
	}
	session, _ := btcec.PrivKeyFromBytes(src.SessionKey[:])
	return onion.DecryptFailure(session, path, reason)
}

// lesson is what a failure teaches.
type lesson struct {
	payment *payment
	hops    []route.Hop // empty if the route is not known any more
	nodes   int         // of the route
	graph   bool
	now     time.Time

	final   bool // no other part will fare better
	outcome messages.RouteOutcome
}

// passed: the HTLC came as far as to the node with this index. The first hop is over a channel of our own, which we know better.
func (l *lesson) passed(node int) {
	if len(l.hops) > 1 {
		l.outcome.Passed = l.hops[1 : node+1]
	}
}

// avoid leaves a channel of the route out from now on.
func (l *lesson) avoid(hop int, most uint64) {
	if hop < len(l.hops) {
		l.payment.avoid(edgeOf(&l.hops[hop]), most)
	}
}

// avoidAWhile leaves it out for a reason that may pass.
func (l *lesson) avoidAWhile(hop int, most uint64) {
	if hop < len(l.hops) {
		l.payment.avoidAWhile(edgeOf(&l.hops[hop]), most, l.now, withOthers)
	}
}

// unreadable: the node with this index could not read the onion, which may be its fault or that of the one before it.
func (l *lesson) unreadable(node int) {
	if node == l.nodes-1 && node == 0 {
		l.final = true
		return
	}
	l.avoid(node, 0)
}

// garbled: nobody knows who failed it. A payee that answers so would do it again; on longer routes, all channels of strangers are left out.
func (l *lesson) garbled() {
	l.final = l.nodes == 1
	for i := 1; i < len(l.hops); i++ {
		l.avoid(i, 0)
	}
}

// read takes the answer of a node (BOLT 4, failure messages).
func (l *lesson) read(f onion.Failure) {
	if f.Hop == l.nodes-1 {
		l.passed(f.Hop)
		// The payee's refusal stands, but for what has to do with time: the rest of the set was late, or the node is busy.
		l.final = f.Code != lnwire.CodeMPPTimeout && f.Code != lnwire.CodeTemporaryNodeFailure
		if f.Code == lnwire.CodeTemporaryNodeFailure {
			l.avoidAWhile(f.Hop, 0)
		}
		return
	}
	at := f.Hop + 1 // the hop that was not made
	if at >= len(l.hops) {
		return
	}
	l.passed(f.Hop)
	failed := &l.hops[at]
	switch {
	case f.Code&lnwire.FlagBadOnion != 0:
		l.avoid(at, 0) // the node says so of the next one
		l.outcome.Failed = failed
	case f.Code&lnwire.FlagNode != 0:
		l.outcome.FailedNode = &failed.From
		avoid := l.avoid
		if f.Code == lnwire.CodeTemporaryNodeFailure {
			avoid = l.avoidAWhile
		}
		avoid(at, 0)
		if f.Hop > 0 {
			avoid(f.Hop, 0)
		}
	case f.Code == lnwire.CodeTemporaryChannelFailure:
		l.avoidAWhile(at, failed.AmountMsat-1)
		l.outcome.Failed = failed
		l.outcome.Update = updateOf(f.Message, failed)
	default:
		if u := updateOf(f.Message, failed); u != nil && l.graph && l.payment.chance(failed.SCID) {
			l.outcome.Update = u // it asks for something else than the graph knew: once more, with that
			return
		}
		l.avoid(at, 0)
		l.outcome.Failed = failed
	}
}

// chance tells that a channel's policy was not corrected before: a node that answers each attempt with another policy is left alone.
func (p *payment) chance(scid uint64) bool {
	if p.chances[scid] {
		return false
	}
	if p.chances == nil {
		p.chances = map[uint64]bool{}
	}
	p.chances[scid] = true
	return true
}

// updateOf is the channel_update of a failure, if it is about the hop that failed.
func updateOf(msg lnwire.FailureMessage, hop *route.Hop) *lnwire.ChannelUpdate1 {
	var u *lnwire.ChannelUpdate1
	switch m := msg.(type) {
	case *lnwire.FailTemporaryChannelFailure:
		u = m.Update
	case *lnwire.FailAmountBelowMinimum:
		u = &m.Update
	case *lnwire.FailFeeInsufficient:
		u = &m.Update
	case *lnwire.FailIncorrectCltvExpiry:
		u = &m.Update
	case *lnwire.FailExpiryTooSoon:
		u = &m.Update
	case *lnwire.FailChannelDisabled:
		u = &m.Update
	}
	if u == nil || u.ShortChannelID.ToUint64() != hop.SCID {
		return nil
	}
	return u
}

// passed tells the graph that all channels of a part's route carried it.
func (m *Manager) passed(p *payment, part uint64) {
	r := p.record(part)
	if r == nil {
		return
	}
	r.State = messages.PartClaimed
	if m.cfg.Graph && len(r.Hops) > 1 {
		m.tell(messages.GraphAddr, messages.RouteOutcome{Passed: r.Hops[1:]})
	}
}
