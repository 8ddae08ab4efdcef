package peer

import (
	"fmt"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// entry is a channel, or an opening, that wants the messages for an id.
type entry struct {
	incarnation uint64
	to          messages.Addr // empty: the channel is being made
	opening     bool
	established bool   // within session since
	since       uint64 // session in which it attached, 0 if there was none
	told        uint64 // last session that it was told is up
}

// held are the messages that wait for an id.
type held struct {
	msgs   []lnwire.Message
	bytes  int
	speaks bool // there is more than a complaint, so that an unknown id is answered
	parked bool // no channel has the id yet
}

// Attach registers a channel or an opening.
func (p *Peer) Attach(m messages.PeerAttach) {
	old := p.table[m.ID]
	if old != nil && old.opening == m.Opening && m.Incarnation < old.incarnation {
		return // sent by an incarnation that is dead
	}
	e := &entry{incarnation: m.Incarnation, to: m.To, opening: m.Opening, since: p.Up()}
	if m.Opening {
		// What an opening calls its id is the peer's choice, by the temporary id or the funding outpoint: it takes nothing from a channel.
		if old != nil && !old.opening || m.To == "" && !p.openedNow(m.Incarnation) {
			return
		}
		p.table[m.ID] = e
		p.announce(e)
		p.release(m.ID, e)
		return
	}

	p.table[m.ID] = e
	if p.Up() == 0 {
		return
	}
	if again := p.again(m, old); again {
		p.end(fmt.Sprintf("channel %s starts over", m.ID), ErrClosed)
		return
	}
	switch {
	case old == nil:
	case old.opening:
		e.established = old.since == p.cur.id && !p.reestablishing(m.ID)
	case old.told == p.cur.id:
		e.established = old.established
	}
	p.announce(e)
	p.release(m.ID, e)
}

// again tells whether the channel was in this session before, as another incarnation, or was mistaken for an opening of the peer's.
func (p *Peer) again(m messages.PeerAttach, old *entry) bool {
	if p.cur.opens[m.ID] {
		return true
	}
	if old == nil {
		last, was := p.cur.gone[m.ID]
		return was && last != m.Incarnation
	}
	return !old.opening && old.told == p.cur.id && old.incarnation != m.Incarnation
}

// reestablishing tells whether the peer began to re-establish the channel, which it does not with one made in this session.
func (p *Peer) reestablishing(id ln.ChannelID) bool {
	h := p.cur.held[id]
	if h == nil {
		return false
	}
	for _, msg := range h.msgs {
		if _, ok := msg.(*lnwire.ChannelReestablish); ok {
			return true
		}
	}
	return false
}

// openedNow tells whether the channel that an opening hands over was negotiated in this session. If not, the peer will re-establish it.
func (p *Peer) openedNow(incarnation uint64) bool {
	up := p.Up()
	return up != 0 && p.openers[incarnation] == up
}

// announce tells an entry that the session is up, if it is.
func (p *Peer) announce(e *entry) {
	if up := p.Up(); up != 0 && e.to != "" {
		e.told = up
		if e.opening && p.openers[e.incarnation] == 0 {
			p.openers[e.incarnation] = up
		}
		p.tell(e.to, messages.PeerUp{Peer: p.id, Session: up, Established: e.established && e.since == up})
	}
}

// Detach takes an id out.
func (p *Peer) Detach(m messages.PeerDetach) {
	if p.openers[m.Incarnation] != 0 {
		delete(p.openers, m.Incarnation)
		defer p.askAgain()
	}
	e := p.table[m.ID]
	if e == nil || e.incarnation != m.Incarnation {
		return
	}
	delete(p.table, m.ID)
	if p.cur == nil {
		return
	}
	if e.opening {
		delete(p.cur.opens, m.ID)
		p.forget(m.ID)
	} else if e.told == p.cur.id {
		p.cur.gone[m.ID] = e.incarnation
	}
}

// route passes a message to whoever attached, or keeps it until somebody does.
func (p *Peer) route(id ln.ChannelID, msg lnwire.Message, size int) {
	e := p.table[id]
	if e != nil && e.to != "" {
		p.tell(e.to, messages.PeerMsg{Session: p.cur.id, Msg: msg})
		return
	}
	h := p.cur.held[id]
	if h == nil {
		h = &held{}
		p.cur.held[id] = h
		if e == nil {
			p.ask(id)
		}
	}
	l := p.cfg.Limits
	if len(p.cur.held) > l.HeldIDs || len(h.msgs) >= l.HeldEach || p.cur.bytes+size > l.HeldBytes {
		p.reject("too many messages for channels that are not ready")
		return
	}
	if _, complaint := msg.(*lnwire.Error); !complaint {
		h.speaks = true
	}
	h.msgs = append(h.msgs, msg)
	h.bytes += size
	p.cur.bytes += size
}

// release passes on what waited for an entry.
func (p *Peer) release(id ln.ChannelID, e *entry) {
	if p.cur == nil || e.to == "" || p.cur.held[id] == nil {
		return
	}
	for _, msg := range p.cur.held[id].msgs {
		p.tell(e.to, messages.PeerMsg{Session: p.cur.id, Msg: msg})
	}
	p.forget(id)
}

func (p *Peer) forget(id ln.ChannelID) {
	if h := p.cur.held[id]; h != nil {
		p.cur.bytes -= h.bytes
		delete(p.cur.held, id)
	}
}

// Unknown is the answer that no channel has the id of messages that wait.
func (p *Peer) Unknown(m messages.ChannelUnknown) {
	if m.Session == 0 || m.Session != p.Up() || p.table[m.ID] != nil {
		return
	}
	h := p.cur.held[m.ID]
	if h == nil {
		return
	}
	if len(p.openers) > 0 {
		// It may be a channel that an opening of the last session is about to hand over: the peer has it already, and an error would fail it.
		h.parked = true
		return
	}
	p.forget(m.ID)
	if h.speaks {
		p.do(Write{Session: p.cur.id, Msg: &lnwire.Error{ChanID: lnwire.ChannelID(m.ID), Data: lnwire.ErrorData("unknown channel")}})
	}
}

// askAgain asks about the ids whose answer waited for an opening to end. What that opening told Monitors is before this question.
func (p *Peer) askAgain() {
	if p.Up() == 0 || len(p.openers) > 0 {
		return
	}
	var ids []ln.ChannelID
	for id, h := range p.cur.held {
		if h.parked {
			h.parked = false
			ids = append(ids, id)
		}
	}
	for _, id := range sorted(ids) {
		p.ask(id)
	}
}

func (p *Peer) ask(id ln.ChannelID) {
	p.tell(messages.MonitorsAddr, messages.KnownChannel{ID: id, Session: p.cur.id, ReplyTo: messages.PeerAddr(p.id)})
}
