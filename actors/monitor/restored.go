package monitor

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Scenario: the disk is gone, and a node is restored from a copy of unknown age. Each commitment of ours in the copy may have been revoked since, and
// who broadcasts a revoked one forfeits the channel. So a restored channel is unverified, durably and before a node can start with it, until the peer's
// channel_reestablish fits the copy to the number (BOLT 2), which proves that nothing was signed or revoked since unless the peer lies.
//
// Until then the chain is watched and what happens on it recorded, and what the PEER has published is claimed from: no claim on a confirmed
// transaction can forfeit anything. But nothing else is broadcast, not even where an HTLC is lost by it: an alarm says so. The manager hears of no
// inbound HTLC to decide about either: it may have been decided, and forwarded, after the copy was made.

// alarmEvery is after how many blocks the alarm about an unverified channel is repeated.
const alarmEvery = 6

// MarkRestored makes the record that marks a channel as unverified, to be appended to what a copy holds of it before any node starts with that. The
// numbers of events jump by seqs, which no other restore of the copy may use. An error means that the log does not hold together: then MarkUnread.
func MarkRestored(snapshot []byte, records [][]byte, seqs uint64) ([]byte, error) {
	m, err := Read(snapshot, records)
	if err != nil {
		return nil, err
	}
	r := &record.Record{Index: m.index + 1, Updates: []facts.Update{facts.Restored{Seqs: seqs}}}
	if err := m.replay(r); err != nil {
		return nil, err
	}
	return r.Write(), nil
}

// MarkUnread makes the mark of a channel whose log can't be read. A node quarantines the channel, which broadcasts nothing; and should a later release
// be able to read what is before the mark, the channel is unverified there.
func MarkUnread(seqs uint64) []byte {
	r := &record.Record{Updates: []facts.Update{facts.Restored{Seqs: seqs}}}
	return r.Write()
}

// Read rebuilds a monitor that decides and signs nothing, for looking at.
func Read(snapshot []byte, records [][]byte) (*Monitor, error) {
	var s *record.Snapshot
	var err error
	if snapshot != nil {
		if s, err = record.ReadSnapshot(snapshot); err != nil {
			return nil, err
		}
	}
	rs := make([]*record.Record, len(records))
	for i, b := range records {
		if rs[i], err = record.Read(b); err != nil {
			return nil, fmt.Errorf("record %d after the snapshot: %w", i+1, err)
		}
	}
	return Restore(blind{}, s, rs)
}

// blind is the signer of a monitor that is only looked at: what needs keys is not known to it.
type blind struct{ chankeys.Signer }

func (blind) PerCommitmentPoint(uint32, uint64) (*btcec.PublicKey, error) { return nil, errBlind }

var errBlind = errors.New("without keys")

// Unacknowledged are the events in the queue, oldest first.
func (m *Monitor) Unacknowledged() []facts.Event { return m.events.all() }

// Trust ends the doubt at the operator's risk (rule 18): from here on the holder commitment may be broadcast, and if it was revoked all is lost.
// Proven to be behind is no doubt, and stays.
func (m *Monitor) Trust() (Step, error) {
	switch {
	case m.facts.ProvenBehind:
		return Step{}, ErrBehind
	case !m.facts.Unverified:
		return Step{}, ErrVerified
	}
	s, err := m.record(0, facts.Verified{Trusted: true})
	if err != nil {
		return Step{}, err
	}
	err = m.plan(&s)
	return s, err
}

// alarmUnverified is what to say of an HTLC that would make us close if the channel were verified, empty for nothing.
func (m *Monitor) alarmUnverified(why string) string {
	if m.alarmed != 0 && m.facts.Height < plus(m.alarmed, alarmEvery) {
		return ""
	}
	m.alarmed = m.facts.Height
	return fmt.Sprintf("%s, but the channel was restored from a copy and is not verified: nothing is broadcast, and the HTLC may be lost; "+
		"connect to the peer %s, which ends the doubt", why, m.facts.Peer)
}

// withheld tells whether inbound HTLCs are kept from the manager.
func (m *Monitor) withheld() bool { return m.facts.Unverified && !m.facts.Ended() }

// told is what the manager may hear of.
func (m *Monitor) told() []facts.Event {
	all := m.events.all()
	if !m.withheld() {
		return all
	}
	var out []facts.Event
	for _, e := range all {
		if _, ok := e.Kind.(facts.HTLCAccepted); !ok {
			out = append(out, e)
		}
	}
	return out
}

func (s *Session) trust(m messages.TrustRestored) (Output, error) {
	step, err := s.m.Trust()
	if err != nil && step.Record != nil {
		return Output{}, s.fatal(err) // memory is ahead of the disk
	}
	o := s.output(step)
	o.Refused = err
	o.tell(m.ReplyTo, messages.CloseReply{Err: err})
	return o, nil
}

// untold has the fence drawn again once nothing is withheld any more: the report then holds what the manager did not hear of.
func (s *Session) untold(o *Output) {
	if s.withheld && !s.m.withheld() {
		s.withheld = false
		s.sayHello(o)
	}
}
