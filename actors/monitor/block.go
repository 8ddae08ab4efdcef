package monitor

import (
	"bytes"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Block takes in a block that chainwatch told of. Height and events are one record (rule 20).
func (m *Monitor) Block(b messages.ChainBlock) (Step, error) {
	var s Step
	for i := range b.Matches {
		// One at a time: what a spend of an output means follows from the transaction that made it, which may be the one before.
		for _, what := range []func(*messages.ChainMatch) ([]facts.Update, error){m.match, m.matchOutputs} {
			found, err := what(&b.Matches[i])
			if err != nil {
				return Step{}, err
			}
			if err := m.extend(&s, found...); err != nil {
				return Step{}, err
			}
		}
	}
	if b.Height > m.facts.Height {
		if err := m.extend(&s, facts.BlockSeen{Height: b.Height, Hash: b.Hash}); err != nil {
			return Step{}, err
		}
	}
	if err := m.decide(&s); err != nil {
		return Step{}, err
	}
	err := m.resolve(&s)
	return s, err
}

// decide adds to a step what the new height makes due, in the same record.
func (m *Monitor) decide(s *Step) error {
	if m.frozen {
		return nil
	}
	var u facts.Update
	if h := m.readyHeight(); h != 0 && h <= m.facts.Height {
		u = facts.HolderReady{} // the watch on the funding output is older than this record (rule 4)
	}
	if end := m.giveUpUnfunded(); end != nil {
		u = end
	}
	if m.lostFor() >= claim.Irrevocable {
		u = facts.ForceClosed{Reason: facts.CloseByReorganisation, Detail: "the transaction that closed the channel left the chain and did not come back"}
	}
	if why := m.due(); why != "" && m.facts.Unverified {
		s.Alarm = m.alarmUnverified(why)
	} else if why != "" {
		u = facts.ForceClosed{Reason: facts.CloseByHTLCDeadline, Detail: why}
	}
	if u == nil {
		return nil
	}
	return m.extend(s, u)
}

// join makes one record of two that follow each other.
func (s *Step) join(m *Monitor, t *Step) {
	if s.Record == nil {
		s.Record = t.Record
	} else {
		m.index--
		s.Record.Updates = append(s.Record.Updates, t.Record.Updates...)
		s.Record.Events = append(s.Record.Events, t.Record.Events...)
	}
	s.Rows = append(s.Rows, t.Rows...)
	s.Events = append(s.Events, t.Events...)
	s.Resolved = append(s.Resolved, t.Resolved...)
	s.Facts = append(s.Facts, t.Facts...)
	s.Broadcast = append(s.Broadcast, t.Broadcast...)
	s.Withdraw = append(s.Withdraw, t.Withdraw...)
	s.wake(t.Wake)
}

// match says what a transaction means for the channel. Repeats mean nothing, so that a block may be told again.
func (m *Monitor) match(t *messages.ChainMatch) (found []facts.Update, err error) {
	txid := t.Tx.TxHash()
	if txid == m.facts.Tx.Funding.Hash && m.paysFunding(t.Tx) {
		u := facts.FundingConfirmed{Height: t.Height, TxIndex: t.TxIndex}
		if m.facts.Funding == nil || *m.facts.Funding != u {
			found = append(found, u)
		}
	}
	for _, in := range t.Tx.TxIn {
		if in.PreviousOutPoint != m.facts.Tx.Funding {
			continue
		}
		spend, err := m.classify(t.Tx, txid)
		if err != nil {
			return nil, err
		}
		u := facts.FundingSpent{Txid: txid, Height: t.Height, Spend: spend, Tx: t.Tx}
		if s := m.facts.Spent; s == nil || s.Txid != u.Txid || s.Height != u.Height || s.Spend != u.Spend {
			found = append(found, u)
		}
	}
	return found, nil
}

// paysFunding checks the funding output: the peer may have announced one and made another.
func (m *Monitor) paysFunding(tx *wire.MsgTx) bool {
	s := &m.facts.Tx
	if int(s.Funding.Index) >= len(tx.TxOut) {
		return false
	}
	out := tx.TxOut[s.Funding.Index]
	return out.Value == int64(s.Capacity) && bytes.Equal(out.PkScript, m.fundingScript())
}

func (m *Monitor) fundingScript() []byte {
	_, script, err := commitment.FundingScript(m.facts.Tx.Holder.Funding, m.facts.Tx.Counterparty.Funding)
	if err != nil {
		return nil // the keys were checked when the channel was made
	}
	return script
}

// Disconnect takes back what was above the fork point. It never makes an event: what was told stays told, and what takes its place is told anew.
func (m *Monitor) Disconnect(height uint32, hash chainhash.Hash) (Step, error) {
	updates := claim.Disconnected(m.facts, height)
	if f := m.facts.Funding; f != nil && f.Height > height {
		updates = append(updates, facts.FundingUnconfirmed{})
	}
	if s := m.facts.Spent; s != nil && s.Height > height {
		updates = append(updates, facts.FundingUnspent{})
	}
	if m.facts.Height > height {
		updates = append(updates, facts.BlockSeen{Height: height, Hash: hash})
	}
	s := Step{Alarm: m.alarm(height)}
	m.noteLost(height)
	if err := m.extend(&s, updates...); err != nil {
		return Step{}, err
	}
	err := m.plan(&s)
	return s, err
}
