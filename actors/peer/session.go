package peer

import (
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Receive handles a message as it came from the connection.
func (p *Peer) Receive(session uint64, raw []byte) {
	if p.cur == nil || p.cur.id != session {
		return
	}
	p.cur.heard = true
	msg, err := decode(raw, p.cfg.Gossip)
	var bad *malformedError
	switch {
	case errors.As(err, &bad):
		p.reject(bad.text)
	case !p.cur.up:
		p.first(msg)
	case msg != nil:
		p.handle(msg, len(raw))
	}
}

// reject ends the session with a warning that says why (BOLT 1). Channels are not failed for it.
func (p *Peer) reject(why string) {
	p.do(Write{Session: p.cur.id, Msg: &lnwire.Warning{Data: lnwire.WarningData(why)}})
	p.end(why, fmt.Errorf("%w: %s", ErrMisbehaved, why))
}

// first handles the peer's first message, which must be init.
func (p *Peer) first(msg lnwire.Message) {
	init, ok := msg.(*lnwire.Init)
	if !ok {
		if said := said(msg); said != "" { // some say why they refuse us without an init
			p.do(Note{"refused by the peer: " + said})
			p.end("refused by the peer", fmt.Errorf("%w by the peer, which says: %s", ErrClosed, said))
			return
		}
		p.reject("the first message is not init")
		return
	}
	if err := checkInit(init, p.cfg.Chain); err != nil {
		p.do(Write{Session: p.cur.id, Msg: &lnwire.Warning{Data: lnwire.WarningData(err.Error())}})
		p.end(err.Error(), err)
		return
	}
	p.cur.up = true
	p.failures = min(p.failures, answered)
	p.cur.queries = offers(init, lnwire.GossipQueriesOptional)
	p.disarm(TimerInit)
	p.arm(TimerIdle, p.cfg.Times.Ping, false)
	p.arm(TimerStable, p.cfg.Times.Stable, false)
	p.do(Attempted{})
	p.GraphStarted()
	for _, id := range p.ids() {
		p.announce(p.table[id])
	}
}

func said(msg lnwire.Message) string {
	switch m := msg.(type) {
	case *lnwire.Error:
		return printable(m.Data)
	case *lnwire.Warning:
		return printable(m.Data)
	}
	return ""
}

func (p *Peer) handle(msg lnwire.Message, size int) {
	switch m := msg.(type) {
	case *lnwire.Init:
		p.reject("a second init")
	case *lnwire.Ping:
		if m.NumPongBytes <= lnwire.MaxPongBytes {
			p.do(Write{Session: p.cur.id, Msg: lnwire.NewPong(make([]byte, m.NumPongBytes)), Optional: true})
		}
	case *lnwire.Pong:
	case *lnwire.Error:
		p.complaint(ln.ChannelID(m.ChanID), m, "error: "+printable(m.Data), size)
	case *lnwire.Warning:
		p.complaint(ln.ChannelID(m.ChanID), m, "warning: "+printable(m.Data), size)
	case *lnwire.OpenChannel:
		p.open(m)
	default:
		if gossip(uint16(msg.MsgType())) {
			p.tell(messages.GraphAddr, messages.Gossip{Peer: p.id, Session: p.cur.id, Msgs: []lnwire.Message{msg}})
			return
		}
		if id, ok := channelOf(msg); ok {
			p.route(id, msg, size)
		}
	}
}

// complaint passes an error or warning on: to all channels and openings if it names none.
func (p *Peer) complaint(id ln.ChannelID, msg lnwire.Message, text string, size int) {
	p.do(Note{text})
	if id != (ln.ChannelID{}) {
		if _, isWarning := msg.(*lnwire.Warning); !isWarning || p.table[id] != nil {
			p.route(id, msg, size)
		}
		return
	}
	for _, id := range p.ids() {
		p.tell(p.table[id].to, messages.PeerMsg{Session: p.cur.id, Msg: msg})
	}
}

// open passes an open_channel to the manager.
func (p *Peer) open(m *lnwire.OpenChannel) {
	id := ln.ChannelID(m.PendingChannelID)
	switch {
	case id == (ln.ChannelID{}):
		p.reject("open_channel with an all-zero temporary channel id")
	case p.table[id] != nil || p.cur.opens[id] || p.cur.held[id] != nil:
		// An error would fail the channel that has the id.
		p.do(Write{Session: p.cur.id, Msg: &lnwire.Warning{ChanID: m.PendingChannelID, Data: lnwire.WarningData("temporary channel id is in use")}})
	case len(p.cur.opens) >= p.cfg.Limits.Opens:
		p.do(Write{Session: p.cur.id, Msg: &lnwire.Error{ChanID: m.PendingChannelID, Data: lnwire.ErrorData("too many channels are being opened")}})
	default:
		p.cur.opens[id] = true
		p.tell(messages.ManagerAddr, messages.InboundOpen{Peer: p.id, Session: p.cur.id, Msg: m})
	}
}

// Send sends the messages of an actor, if they are meant for the current session.
func (p *Peer) Send(m messages.PeerSend) {
	if m.Session == 0 || m.Session != p.Up() {
		return
	}
	for _, msg := range m.Msgs {
		if e, ok := msg.(*lnwire.Error); ok { // the manager or an opening refuses
			delete(p.cur.opens, ln.ChannelID(e.ChanID))
		}
		p.do(Write{Session: p.cur.id, Msg: msg, Optional: m.Optional})
	}
}

// GraphStarted tells the graph of the session: at its begin, and when the graph asks.
func (p *Peer) GraphStarted() {
	if up := p.Up(); up != 0 && p.cfg.Gossip {
		p.tell(messages.GraphAddr, messages.GossipUp{Peer: p.id, Session: up, Queries: p.cur.queries})
	}
}

// look pings a peer that is silent, and leaves one that stays so.
func (p *Peer) look() {
	c := p.cur
	switch {
	case c.heard:
		c.heard, c.pinged = false, false
		p.arm(TimerIdle, p.cfg.Times.Ping, false)
	case c.pinged:
		p.end("no answer to a ping", fmt.Errorf("%w: the peer is silent", ErrClosed))
	default:
		p.probe()
	}
}

// probe finds out soon whether the peer is alive.
func (p *Peer) probe() {
	p.cur.heard, p.cur.pinged = false, true
	p.do(Write{Session: p.cur.id, Msg: lnwire.NewPing(0)})
	p.arm(TimerIdle, p.cfg.Times.Pong, false)
}
