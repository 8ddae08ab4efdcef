package peer

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Peer is the core: everything between this node and one other. Its methods are the inputs; Take returns what they ask for.
type Peer struct {
	cfg Config
	id  ln.NodeID
	out []Effect

	address  string // to dial; empty: the peer is only ever waited for
	failures int    // in a row
	attempt  uint64 // last one, or the one under way
	dialing  bool
	redial   bool // the timer is armed
	seq      [timers]uint64

	cur   *session // nil: not connected
	table map[ln.ChannelID]*entry

	// openers are the openings that have begun, by incarnation, with the session that each belongs to.
	openers map[uint64]uint64
}

// session is what ends with a connection.
type session struct {
	id      uint64
	inbound bool
	up      bool // init messages are exchanged
	heard   bool // something came since the last look
	pinged  bool // a ping waits for an answer
	queries bool // the peer offers gossip_queries

	opens map[ln.ChannelID]bool   // temporary ids that the peer chose
	held  map[ln.ChannelID]*held  // messages that wait for their channel
	bytes int                     // of all of them
	gone  map[ln.ChannelID]uint64 // channels that detached: their last incarnations
}

// New makes the core for one peer.
func New(cfg Config, id ln.NodeID) *Peer {
	return &Peer{cfg: cfg.withDefaults(), id: id, table: map[ln.ChannelID]*entry{}, openers: map[uint64]uint64{}}
}

// Take returns the effects of the inputs since the last Take.
func (p *Peer) Take() []Effect {
	out := p.out
	p.out = nil
	return out
}

func (p *Peer) do(e ...Effect) { p.out = append(p.out, e...) }

func (p *Peer) tell(to messages.Addr, msg any) {
	if to != "" {
		p.do(Tell{To: to, Msg: msg})
	}
}

func (p *Peer) arm(t Timer, after time.Duration, spread bool) {
	p.seq[t]++
	p.do(Arm{Timer: t, Seq: p.seq[t], After: after, Spread: spread})
}

func (p *Peer) disarm(t Timer) { p.seq[t]++ }

// Start begins: all channels of the peer are asked to attach.
func (p *Peer) Start() { p.tell(messages.MonitorsAddr, messages.PeersReattach{Peer: p.id}) }

// Up is the session if init messages are exchanged, else 0.
func (p *Peer) Up() uint64 {
	if p.cur == nil || !p.cur.up {
		return 0
	}
	return p.cur.id
}

// Inbound tells whether the peer made the connection.
func (p *Peer) Inbound() bool { return p.cur != nil && p.cur.inbound }

// Idle tells that nothing would be lost if the peer were forgotten.
func (p *Peer) Idle() bool { return p.address == "" && p.cur == nil && len(p.table) == 0 }

// Connect sets the address and dials, unless there is a connection.
func (p *Peer) Connect(address string) {
	p.address = address
	switch {
	case p.Up() != 0:
		p.do(Attempted{})
	case p.cur != nil: // Attempted follows
	default:
		p.dial()
	}
}

// ConnectLater sets the address, after so many failures, and dials when the delay that they bring is over.
func (p *Peer) ConnectLater(address string, failures int) {
	p.address, p.failures = address, failures
	p.retry()
}

func (p *Peer) dial() {
	if p.dialing {
		p.do(CancelDial{})
	}
	p.disarm(TimerRedial)
	p.redial, p.dialing = false, true
	p.attempt++
	p.do(Dial{Attempt: p.attempt, Address: p.address})
}

// retry dials later, if there is something to dial and nothing under way.
func (p *Peer) retry() {
	if p.address == "" || p.cur != nil || p.dialing || p.redial {
		return
	}
	p.redial = true
	p.arm(TimerRedial, p.cfg.Times.backoff(p.failures), true)
	p.failures++
}

// DialFailed is the end of an attempt.
func (p *Peer) DialFailed(attempt uint64, err error) {
	if !p.dialing || attempt != p.attempt {
		return
	}
	p.dialing = false
	if p.cur == nil {
		p.do(Attempted{Err: err})
	}
	p.retry()
}

// Dialled is the other end of an attempt. False if the connection is not wanted and must be closed.
func (p *Peer) Dialled(attempt, session uint64) bool {
	if !p.dialing || attempt != p.attempt {
		return false
	}
	p.dialing = false
	return p.adopt(session, false)
}

// Accepted is a connection that the peer made. False if it is not wanted and must be closed.
func (p *Peer) Accepted(session uint64) bool { return p.adopt(session, true) }

// adopt makes a connection the current one. If both sides dialled, the connection of the node with the lower id stays, so that both keep the
// same. A connection in the same direction replaces the old one: the peer makes no second one while it believes in the first.
func (p *Peer) adopt(id uint64, inbound bool) bool {
	ours := bytes.Compare(p.cfg.Self[:], p.id[:]) < 0
	if c := p.cur; c != nil && c.inbound != inbound && ours == inbound {
		if c.up { // the peer may know better that it is dead
			p.probe()
		}
		return false
	}
	if p.cur != nil {
		p.drop("replaced by a newer connection", nil)
	}
	if inbound && p.dialing && !ours {
		p.dialing = false
		p.do(CancelDial{})
	}
	p.redial = false
	p.disarm(TimerRedial)
	p.cur = &session{
		id: id, inbound: inbound,
		opens: map[ln.ChannelID]bool{}, held: map[ln.ChannelID]*held{}, gone: map[ln.ChannelID]uint64{},
	}
	p.do(Write{Session: p.cur.id, Msg: newInit(p.cfg.Chain, p.cfg.Gossip)})
	p.arm(TimerInit, p.cfg.Times.Init, false)
	return true
}

// Lost is the end of a connection that we did not ask for.
func (p *Peer) Lost(session uint64, err error) {
	if p.cur == nil || p.cur.id != session {
		return
	}
	p.drop(fmt.Sprintf("lost: %v", err), fmt.Errorf("%w by the peer or the network: %w", ErrClosed, err))
	p.retry()
}

// Reconnect drops a session, if it is the current one, and dials again.
func (p *Peer) Reconnect(m messages.PeerReconnect) {
	if m.Session != 0 && m.Session == p.Up() {
		p.failures = 0 // our own wish is no failure of the peer's
		p.end(m.Why, ErrClosed)
	}
}

// end drops the current session and dials again.
func (p *Peer) end(why string, err error) {
	p.drop(why, err)
	p.retry()
}

// drop ends the current session. Openings end with it; channels stay attached for the next.
func (p *Peer) drop(why string, err error) {
	c := p.cur
	p.cur = nil
	for _, t := range []Timer{TimerInit, TimerIdle, TimerStable} {
		p.disarm(t)
	}
	p.do(Close{Session: c.id, Why: why})
	if c.up && p.cfg.Gossip {
		p.tell(messages.GraphAddr, messages.GossipDown{Peer: p.id, Session: c.id})
	}
	for _, id := range p.ids() {
		e := p.table[id]
		if e.told == c.id {
			p.tell(e.to, messages.PeerDown{Session: c.id})
		}
		if e.opening && (e.told == c.id || e.since == c.id) {
			delete(p.table, id)
		}
	}
	for opener, began := range p.openers {
		if began < c.id { // it crashed, or it would have detached
			delete(p.openers, opener)
		}
	}
	if err != nil && !c.up && !p.dialing {
		p.do(Attempted{Err: err})
	}
}

// Stop ends the session for good.
func (p *Peer) Stop() {
	p.address = ""
	if p.dialing {
		p.dialing = false
		p.do(CancelDial{})
	}
	if p.cur != nil {
		p.drop("stopped", nil)
	}
}

// Tick is a timer that fired; false if it is out of date.
func (p *Peer) Tick(t Timer, seq uint64) bool {
	if t < 0 || t >= timers || seq != p.seq[t] {
		return false
	}
	switch t {
	case TimerRedial:
		p.redial = false
		if p.cur == nil && p.address != "" {
			p.dial()
		}
	case TimerInit:
		p.end("no init in time", ErrNoAnswer)
	case TimerIdle:
		p.look()
	case TimerStable:
		p.failures = 0
	}
	return true
}

// ids are the keys of the table in order, so that effects do not depend on the order of a map.
func (p *Peer) ids() []ln.ChannelID {
	ids := make([]ln.ChannelID, 0, len(p.table))
	for id := range p.table {
		ids = append(ids, id)
	}
	return sorted(ids)
}

func sorted(ids []ln.ChannelID) []ln.ChannelID {
	slices.SortFunc(ids, func(a, b ln.ChannelID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
