package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// labelFunding names the transaction that the wallet paid for.
const labelFunding = "funding"

// ForceClose decides to close with the current holder commitment, which is never revoked from then on (rule 18). It is decided once; asking
// again records nothing.
func (m *Monitor) ForceClose(reason facts.CloseReason, detail string) (Step, error) {
	switch {
	case m.facts.ProvenBehind:
		return Step{}, ErrBehind
	case m.facts.ForceClose != nil || m.facts.Spent != nil:
		return Step{}, nil
	case m.facts.Unverified:
		return Step{}, ErrUnverified
	}
	s, err := m.record(0, facts.ForceClosed{Reason: reason, Detail: detail})
	if err != nil {
		return Step{}, err
	}
	err = m.plan(&s)
	return s, err
}

// Broadcasts is what the chain should have and does not: handed over when it is decided, and again at every start until it confirms.
func (m *Monitor) Broadcasts() ([]Broadcast, error) {
	f := m.facts
	if f.Spent != nil || f.ProvenBehind || f.Unverified || m.frozen || f.ForceClose != nil && m.unfunded() {
		return nil, nil
	}
	var out []Broadcast
	if f.Funding == nil && len(f.FundingTx) > 0 {
		var tx wire.MsgTx
		if err := tx.Deserialize(bytes.NewReader(f.FundingTx)); err != nil {
			return nil, fmt.Errorf("funding transaction: %w", err)
		}
		out = append(out, Broadcast{Tx: &tx, Label: labelFunding})
	}
	if f.MutualClose != nil {
		out = append(out, Broadcast{Tx: f.MutualClose, Label: "mutual close"})
	}
	if m.lost != nil && len(out) == 0 && f.ForceClose == nil {
		out = append(out, Broadcast{Tx: m.lost, Label: "lost close"})
	}
	if f.ForceClose != nil {
		tx, err := m.signedHolder()
		if err != nil {
			return nil, err
		}
		out = append(out, Broadcast{Tx: tx, Label: "holder commitment"})
	}
	return out, nil
}

// wanted is Broadcasts before updates that may change it, nil before all others: signing the holder commitment is not for free.
func (m *Monitor) wanted(updates []facts.Update) ([]Broadcast, error) {
	if !slices.ContainsFunc(updates, changesBroadcasts) {
		return nil, nil
	}
	return m.Broadcasts()
}

func changesBroadcasts(u facts.Update) bool {
	switch u.(type) {
	case facts.ForceClosed, facts.ProvenBehind, facts.Verified, facts.FundingConfirmed, facts.FundingUnconfirmed, facts.FundingSpent, facts.FundingUnspent:
		return true
	}
	return false
}

// rebroadcast notes how Broadcasts differs from what it was.
func (m *Monitor) rebroadcast(s *Step, before []Broadcast, updates []facts.Update) error {
	if !slices.ContainsFunc(updates, changesBroadcasts) {
		return nil
	}
	after, err := m.Broadcasts()
	if err != nil {
		return err
	}
	has := func(list []Broadcast, txid chainhash.Hash) bool {
		return slices.ContainsFunc(list, func(b Broadcast) bool { return b.Tx.TxHash() == txid })
	}
	for _, b := range after {
		if !has(before, b.Tx.TxHash()) {
			s.Broadcast = append(s.Broadcast, b)
		}
	}
	for _, b := range before {
		// What confirmed ends by itself, and comes back by itself after a reorganisation.
		if txid := b.Tx.TxHash(); !has(after, txid) && txid != m.facts.Tx.Funding.Hash && (m.facts.Spent == nil || m.facts.Spent.Txid != txid) {
			s.Withdraw = append(s.Withdraw, txid)
		}
	}
	return nil
}

// holder is the current holder commitment, unsigned.
func (m *Monitor) holder() (*commitment.Tx, error) {
	point, err := m.signer.PerCommitmentPoint(m.facts.KeyIndex, m.facts.HolderNumber)
	if err != nil {
		return nil, err
	}
	return m.build(facts.Holder, point)
}

func (m *Monitor) build(w facts.Which, point *btcec.PublicKey) (*commitment.Tx, error) {
	v, err := m.facts.View(w, point)
	if err != nil {
		return nil, err
	}
	return commitment.Build(&m.facts.Tx, v)
}

// signedHolder is the current holder commitment, ready to broadcast.
func (m *Monitor) signedHolder() (*wire.MsgTx, error) {
	tx, err := m.holder()
	if err != nil {
		return nil, fmt.Errorf("holder commitment %d: %w", m.facts.HolderNumber, err)
	}
	sig, err := m.signer.SignHolder(m.facts.KeyIndex, &m.facts.Tx, tx)
	if err != nil {
		return nil, fmt.Errorf("signing holder commitment %d: %w", m.facts.HolderNumber, err)
	}
	return tx.Complete(sig, m.facts.HolderSig)
}

// classify says whose transaction spent the funding output. Any spender has both signatures, so what is no commitment is a mutual close.
func (m *Monitor) classify(tx *wire.MsgTx, txid chainhash.Hash) (facts.SpendKind, error) {
	if f := m.facts.MutualClose; f != nil && f.TxHash() == txid {
		return facts.SpendMutualClose, nil
	}
	number, err := commitment.NumberOf(tx, &m.facts.Tx)
	if errors.Is(err, commitment.ErrNotCommitment) {
		return facts.SpendMutualClose, nil
	}
	if err != nil {
		return facts.SpendUnknown, err
	}
	if number == m.facts.HolderNumber {
		ours, err := m.holder()
		if err != nil {
			return facts.SpendUnknown, err
		}
		if ours.Txid == txid {
			return facts.SpendHolder, nil
		}
	}
	switch oldest := m.facts.CounterpartyNumber; {
	case number < oldest:
		old, err := m.oldOfOurs(tx, number)
		if err != nil || old {
			return facts.SpendUnknown, err
		}
		return facts.SpendRevoked, nil
	case number == oldest:
		return m.theirs(facts.Counterparty, txid)
	case number == oldest+1 && m.facts.Unrevoked:
		return m.theirs(facts.CounterpartyNext, txid)
	}
	// A commitment that we know nothing of: we are behind. Our output on it needs no secret (static_remotekey).
	return facts.SpendCounterparty, nil
}

func (m *Monitor) theirs(w facts.Which, txid chainhash.Hash) (facts.SpendKind, error) {
	tx, err := m.build(w, nil)
	if err != nil {
		return facts.SpendUnknown, err
	}
	if tx.Txid != txid {
		return facts.SpendUnknown, nil
	}
	return facts.SpendCounterparty, nil
}

// spentNumber is the number of the commitment that spent the funding output.
func (m *Monitor) spentNumber() (uint64, error) {
	return commitment.NumberOf(m.facts.Spent.Tx, &m.facts.Tx)
}

// oldOfOurs tells whether a commitment that is not the newest is the holder's: one that we revoked, and that somebody with a copy of our keys has
// broadcast. Its number says nothing, as both sides count alike; the output without a per-commitment point does, or else the one with it.
func (m *Monitor) oldOfOurs(tx *wire.MsgTx, number uint64) (bool, error) {
	s := &m.facts.Tx
	theirs, err := commitment.ToOtherScript(s.Holder.Payment)
	if err != nil {
		return false, err
	}
	ours, err := commitment.ToOtherScript(s.Counterparty.Payment)
	if err != nil {
		return false, err
	}
	point, err := m.signer.PerCommitmentPoint(m.facts.KeyIndex, number)
	if err != nil {
		return false, err
	}
	keys, err := commitment.DeriveKeys(s, true, point)
	if err != nil {
		return false, err
	}
	delayed, err := commitment.ToOwnerScript(keys, s.HolderToSelfDelay)
	if err != nil {
		return false, err
	}
	for _, out := range tx.TxOut {
		switch {
		case bytes.Equal(out.PkScript, commitment.PayTo(theirs)):
			return false, nil
		case bytes.Equal(out.PkScript, commitment.PayTo(ours)), bytes.Equal(out.PkScript, commitment.PayTo(delayed)):
			return true, nil
		}
	}
	return false, nil
}
