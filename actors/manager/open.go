package manager

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// onKeys learns the last channel key index that was ever used. A key index is never used twice: two channels with the same revocation secrets
// could rob each other. So it is a row of its own, not among the records that the manager may lose.
func (m *Manager) onKeys(rows []messages.Row, err error) {
	if err != nil || (len(rows) > 0 && len(rows[0].Key) != 4) {
		m.log.Error("channel key indices unreadable; no channel can be opened", slog.Any("error", err))
		return
	}
	if len(rows) > 0 {
		m.nextKey = binary.BigEndian.Uint32(rows[0].Key) + 1
	}
	m.keyed = true
	for _, f := range m.wanted {
		f()
	}
	m.wanted = nil
}

// allot makes a key index durable and then starts the opening (rule 1).
func (m *Manager) allot(start func(index uint32, temporary ln.ChannelID) messages.StartOpening) {
	if !m.keyed {
		m.wanted = append(m.wanted, func() { m.allot(start) })
		return
	}
	index := m.nextKey
	m.nextKey++
	temporary := ln.ChannelID(m.cfg.Derive(fmt.Sprintf("lnactor/temporary-channel-id/%d", index)))
	key := binary.BigEndian.AppendUint32(nil, index)
	m.write(Append{
		Rows: []messages.Row{{Bucket: messages.BucketKeys, Key: key, Value: temporary[:]}},
		Then: []messages.Delivery{{To: messages.MonitorsAddr, Msg: start(index, temporary)}},
	})
}

func (m *Manager) onRequestOpen(msg messages.RequestOpen) {
	m.allot(func(index uint32, temporary ln.ChannelID) messages.StartOpening {
		return messages.StartOpening{TemporaryID: temporary, Request: messages.OpenChannel{
			TemporaryID: temporary, Peer: msg.Peer, KeyIndex: index, CapacitySat: msg.CapacitySat, PushMsat: msg.PushMsat,
			FeePerKw: msg.FeePerKw, FundingFeePerKw: msg.FundingFeePerKw, Announce: msg.Announce, ReplyTo: msg.ReplyTo,
		}}
	})
}

// onInboundOpen answers a peer's open_channel. The temporary id is the peer's choice.
func (m *Manager) onInboundOpen(msg messages.InboundOpen) {
	temporary := ln.ChannelID(msg.Msg.PendingChannelID)
	m.allot(func(index uint32, _ ln.ChannelID) messages.StartOpening {
		return messages.StartOpening{
			TemporaryID: temporary,
			Request:     messages.AcceptChannel{TemporaryID: temporary, Peer: msg.Peer, KeyIndex: index},
			First:       &messages.PeerMsg{Session: msg.Session, Msg: msg.Msg},
		}
	})
}
