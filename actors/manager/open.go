package manager

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// openingTime is after how long an opening whose end was not heard of counts as over: longer than any negotiation may take.
const openingTime = 15 * time.Minute

// endKey is the first key index that there is not: keys of channels are not hardened (BIP 32).
const endKey = 1 << 31

// What a peer may open, and what all peers without an open channel may. At the second rate it takes 136 years to spend all key indices.
var (
	openRate      = graph.Rate{Burst: 128, PerMinute: 4}
	strangersRate = graph.Rate{Burst: 256, PerMinute: 30}
)

// opening is a negotiation under way.
type opening struct {
	since   time.Time
	replyTo messages.Addr // who asked for it, empty if the peer did
}

// onKeys learns the last channel key index that was ever used. A key index is never used twice: two channels with the same revocation secrets
// could rob each other. So it is a row of its own, not among the records that the manager may lose; the start of a node writes one into a store
// that is newer than its seed.
func (m *Manager) onKeys(rows []messages.Row, err error) {
	if err != nil || (len(rows) > 0 && len(rows[0].Key) != 4) {
		m.log.Error("channel key indices unreadable; no channel can be opened until they are", slog.Any("error", err))
		m.stuck = append(m.stuck, func() { m.lookup(messages.GetRows{Bucket: messages.BucketKeys, Last: true}, m.onKeys) })
		return
	}
	if len(rows) > 0 {
		m.nextKey = min(binary.BigEndian.Uint32(rows[0].Key), endKey-1) + 1
	}
	m.keyed = true
	wanted := m.wanted
	m.wanted = nil
	for _, f := range wanted {
		f()
	}
}

// keys runs f once the last key index is known; false when too many wait for it.
func (m *Manager) keys(f func()) bool {
	switch {
	case m.keyed:
		f()
	case m.parked >= maxParked:
		return false
	default:
		m.wanted = append(m.wanted, m.park(f))
	}
	return true
}

// allot makes a key index durable and then starts the opening (rule 1). The row takes the place of the last one's: only the newest is ever read.
// m.nextKey is below endKey.
func (m *Manager) allot(peer ln.NodeID, replyTo messages.Addr, start func(index uint32, temporary ln.ChannelID) messages.StartOpening) {
	index := m.nextKey
	m.nextKey++
	temporary := ln.ChannelID(m.cfg.Derive(fmt.Sprintf("lnactor/temporary-channel-id/%d", index)))
	request := start(index, temporary)
	if m.openings[peer] == nil {
		m.openings[peer] = map[ln.ChannelID]opening{}
	}
	m.openings[peer][request.TemporaryID] = opening{since: m.now, replyTo: replyTo}
	row := func(index uint32, value []byte) messages.Row {
		return messages.Row{Bucket: messages.BucketKeys, Key: binary.BigEndian.AppendUint32(nil, index), Value: value}
	}
	rows := []messages.Row{row(index, request.TemporaryID[:])}
	if index > 0 {
		rows = append(rows, row(index-1, nil))
	}
	m.write(Append{
		Rows: rows,
		Then: []messages.Delivery{{To: messages.MonitorsAddr, Msg: request}},
	})
}

// countUnfunded keeps the count of channels that peers made and did not fund yet, whatever else became of them.
func (m *Manager) countUnfunded(s messages.ChannelSummary, by int) {
	if s.Channel == (ln.ChannelID{}) || s.HolderIsFunder || s.ShortChannelID != 0 {
		return
	}
	m.begging += by
	if m.unfunded[s.Peer] += by; m.unfunded[s.Peer] == 0 {
		delete(m.unfunded, s.Peer)
	}
}

// tooManyUnfunded tells that the peer has to fund channels before it makes others: each one is kept on disk.
func (m *Manager) tooManyUnfunded(peer ln.NodeID) bool {
	const peers = 64
	return m.unfunded[peer]+len(m.openings[peer]) >= m.cfg.MaxUnfunded || m.begging >= peers*m.cfg.MaxUnfunded
}

// slot tells whether one more channel may be opened with a peer. The count is in memory: a new incarnation begins at zero.
func (m *Manager) slot(peer ln.NodeID) bool {
	for id, o := range m.openings[peer] {
		if m.now.Sub(o.since) >= openingTime {
			delete(m.openings[peer], id)
		}
	}
	return len(m.openings[peer]) < m.cfg.MaxOpenings
}

func (m *Manager) onOpeningEnded(msg messages.OpeningEnded) {
	if delete(m.openings[msg.Peer], msg.TemporaryID); len(m.openings[msg.Peer]) == 0 {
		delete(m.openings, msg.Peer)
	}
}

// openingsLost: the openings ended with the Monitors that crashed. One whose start was on its way is begun all the same, so the callers learn
// only that nobody knows.
func (m *Manager) openingsLost() {
	for _, peer := range slices.SortedFunc(maps.Keys(m.openings), func(a, b ln.NodeID) int { return bytes.Compare(a[:], b[:]) }) {
		for _, id := range sortedKeys(m.openings[peer]) {
			m.tell(m.openings[peer][id].replyTo, messages.OpenReply{Err: ErrOpeningLost})
		}
	}
	clear(m.openings)
}

func (m *Manager) onRequestOpen(msg messages.RequestOpen) {
	parked := m.keys(func() {
		err := ErrOpenings
		switch {
		case m.nextKey >= endKey:
			err = ErrNoKeys
		case m.slot(msg.Peer):
			err = nil
		}
		if err != nil {
			m.tell(msg.ReplyTo, messages.OpenReply{Err: err})
			return
		}
		m.allot(msg.Peer, msg.ReplyTo, func(index uint32, temporary ln.ChannelID) messages.StartOpening {
			return messages.StartOpening{TemporaryID: temporary, Request: messages.OpenChannel{
				TemporaryID: temporary, Peer: msg.Peer, KeyIndex: index, CapacitySat: msg.CapacitySat, PushMsat: msg.PushMsat,
				FeePerKw: msg.FeePerKw, FundingFeePerKw: msg.FundingFeePerKw, Announce: msg.Announce, ReplyTo: msg.ReplyTo,
			}}
		})
	})
	if !parked {
		m.tell(msg.ReplyTo, messages.OpenReply{Err: ErrStarting})
	}
}

// onInboundOpen answers a peer's open_channel. The temporary id is the peer's choice; a repeat of one that is being negotiated is ignored.
func (m *Manager) onInboundOpen(msg messages.InboundOpen) {
	temporary := ln.ChannelID(msg.Msg.PendingChannelID)
	parked := m.keys(func() {
		free := m.slot(msg.Peer)
		if _, repeat := m.openings[msg.Peer][temporary]; repeat {
			return
		}
		if err := m.mayOpen(msg, free); err != nil {
			d := refuseOpen(msg, err)
			m.tell(d.To, d.Msg)
			return
		}
		m.allot(msg.Peer, "", func(index uint32, _ ln.ChannelID) messages.StartOpening {
			return messages.StartOpening{
				TemporaryID: temporary,
				Request:     messages.AcceptChannel{TemporaryID: temporary, Peer: msg.Peer, KeyIndex: index},
				First:       &messages.PeerMsg{Session: msg.Session, Msg: msg.Msg},
			}
		})
	})
	if !parked {
		d := refuseOpen(msg, ErrStarting)
		m.tell(d.To, d.Msg)
	}
}

// mayOpen tells whether a peer's open_channel gets a key index, which is spent whatever becomes of the channel. free says that not too many are being
// opened with the peer.
func (m *Manager) mayOpen(msg messages.InboundOpen, free bool) error {
	if m.cfg.CheckOpen != nil {
		if err := m.cfg.CheckOpen(msg.Msg); err != nil {
			return err
		}
	}
	switch {
	case !free || m.tooManyUnfunded(msg.Peer):
		return ErrOpenings
	case m.nextKey >= endKey:
		return ErrNoKeys
	case !m.inRate(msg.Peer):
		return ErrOpenRate
	}
	return nil
}

// inRate counts an open_channel. Those who have an open channel do not share their rate with all the others.
func (m *Manager) inRate(peer ln.NodeID) bool {
	const remembered = 1024 // more than the strangers that strangersRate lets in until theirs are full again
	if len(m.opened) >= remembered {
		maps.DeleteFunc(m.opened, func(_ ln.NodeID, b graph.Bucket) bool { // the order does not matter
			return b.Take(openRate, m.now, openRate.Burst) // a full one is as good as none
		})
	}
	own := m.opened[peer]
	if !own.Take(openRate, m.now, 1) || len(m.byPeer[peer]) == 0 && !m.begun.Take(strangersRate, m.now, 1) {
		return false
	}
	m.opened[peer] = own
	return true
}

// refuseOpen tells the peer that its channel is not opened.
func refuseOpen(msg messages.InboundOpen, err error) messages.Delivery {
	return messages.Delivery{To: messages.PeerAddr(msg.Peer), Msg: messages.PeerSend{
		Session: msg.Session,
		Msgs:    []lnwire.Message{&lnwire.Error{ChanID: lnwire.ChannelID(msg.Msg.PendingChannelID), Data: lnwire.ErrorData(err.Error())}},
	}}
}
