package monitor

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Chain is what the chain and the wallet are asked for once a channel is closed or being closed. It follows from the facts: the session compares it
// with what it asked for before.
type Chain struct {
	Watch   []claim.Watch
	Keep    []facts.ClaimSigned // to be broadcast until they confirm
	Build   []claim.Request     // from the wallet
	Revoked *uint64             // number of the revoked commitment whose row has to be read
}

// closing tells whether there may be something to do on chain.
func (m *Monitor) closing() bool {
	return m.facts.Spent != nil || m.facts.ForceClose != nil && !m.frozen && !m.unfunded()
}

// resolution is what became of the channel on chain.
func (m *Monitor) resolution() (*claim.Resolution, error) {
	if m.resolved != nil {
		return m.resolved, nil
	}
	r, err := claim.Resolve(m.facts, func(n uint64) (*btcec.PublicKey, error) { return m.signer.PerCommitmentPoint(m.facts.KeyIndex, n) })
	if err != nil {
		return nil, fmt.Errorf("what became of the channel on chain: %w", err)
	}
	m.resolved = r
	return r, nil
}

// extend adds updates to a step, in the same record.
func (m *Monitor) extend(s *Step, updates ...facts.Update) error {
	if len(updates) == 0 {
		return nil
	}
	t, err := m.record(0, updates...)
	if err != nil {
		return err
	}
	s.join(m, &t)
	return nil
}

// settle records what the height makes final on chain (rules 12, 20).
func (m *Monitor) settle(s *Step) error {
	for m.closing() {
		r, err := m.resolution()
		if err != nil {
			return err
		}
		due := r.Due()
		if len(due) == 0 {
			return nil
		}
		if err := m.extend(s, due...); err != nil {
			return err
		}
	}
	return nil
}

// plan ends claims whose purpose is gone, and notes what has to be asked of the chain and the wallet.
func (m *Monitor) plan(s *Step) error {
	switch {
	case !m.closing() && m.facts.WasSpent:
		s.Chain = &Chain{} // a reorganisation: nothing of it is to be in the chain, for now
		return nil
	case !m.closing():
		return nil
	}
	r, err := m.resolution()
	if err != nil {
		return err
	}
	p := r.Plan()
	for _, id := range p.Ended {
		if err := m.extend(s, facts.ClaimEnded{ID: id}); err != nil {
			return err
		}
		s.Released = append(s.Released, id)
	}
	if len(p.Ended) > 0 {
		if r, err = m.resolution(); err != nil {
			return err
		}
	}
	s.Chain = &Chain{Watch: r.Watches(), Keep: p.Keep, Build: p.Build}
	if n, ok := r.NeedsRevoked(); ok {
		s.Chain.Revoked = &n
	}
	s.wake(m.above(r.WakeAt()))
	return nil
}

// Replan says what is asked of the chain and the wallet, at a start.
func (m *Monitor) Replan() (s Step, err error) {
	err = m.plan(&s)
	return s, err
}

// RevokedRead takes in the HTLC data of the revoked commitment that confirmed.
func (m *Monitor) RevokedRead(r facts.Revoked) (s Step, err error) {
	if f := m.facts; f.Spent == nil || f.Spent.Spend != facts.SpendRevoked || f.OnChain.Revoked != nil {
		return s, nil // a reorganisation was faster
	}
	if err = m.extend(&s, facts.RevokedRead{Revoked: r}); err == nil {
		err = m.resolve(&s)
	}
	return s, err
}

// resolve is what follows from any change to a closed channel.
func (m *Monitor) resolve(s *Step) error {
	if err := m.settle(s); err != nil {
		return err
	}
	return m.plan(s)
}

// Claim signs what the wallet built and records it, before it is broadcast (rule 22). What is not wanted any more is given back.
func (m *Monitor) Claim(q *claim.Request, built messages.ClaimBuilt) (s Step, err error) {
	if !m.closing() {
		return s, nil
	}
	r, err := m.resolution()
	if err != nil {
		return s, err
	}
	signed, err := r.Sign(m.signer, q, built)
	if err != nil {
		return s, err
	}
	if err = m.extend(&s, signed); err == nil {
		err = m.plan(&s)
	}
	return s, err
}

// matchOutputs says what a confirmed transaction means for the outputs of a closed channel.
func (m *Monitor) matchOutputs(t *messages.ChainMatch) ([]facts.Update, error) {
	if m.facts.Spent == nil {
		return nil, nil
	}
	r, err := m.resolution()
	if err != nil {
		return nil, err
	}
	return r.Match(t.Tx, t.Tx.TxHash(), t.Height), nil
}

// handOver is the event with which the wallet gets outputs.
func (m *Monitor) handOver(u facts.OutputsSpendable) (facts.SpendableOutputs, error) {
	r, err := m.resolution()
	if err != nil {
		return facts.SpendableOutputs{}, err
	}
	return facts.SpendableOutputs{Outputs: r.Spendable(u.Outputs)}, nil
}

// swept lists the SpendableOutputs events whose outputs are irrevocably spent.
func (m *Monitor) swept() (seqs []uint64) {
	if !m.closing() {
		return nil
	}
	r, err := m.resolution()
	if err != nil {
		return nil // said where it changes something
	}
	for _, e := range m.events.all() {
		if k, ok := e.Kind.(facts.SpendableOutputs); ok && r.Swept(k.Outputs) {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// balance says where the holder's money is.
func (m *Monitor) balance() messages.ChannelBalance {
	r, err := m.resolution()
	if err != nil {
		return messages.ChannelBalance{}
	}
	return r.Balance()
}

// alarm says what a reorganisation that reaches below height takes back although it was irrevocable, empty for nothing.
func (m *Monitor) alarm(height uint32) string {
	f := m.facts
	if t := f.Funding; t != nil && t.Height > height && f.HolderReady && !f.Ended() {
		return fmt.Sprintf("the funding transaction %s, %d blocks deep, left the chain: no new HTLCs until it is %d blocks deep again",
			f.Tx.Funding.Hash, f.Height-min(f.Height, t.Height)+1, max(f.MinDepth, 1))
	}
	if f.Height < plus(height, claim.Irrevocable) {
		return ""
	}
	deep := func(at uint32) bool { return at > height && f.Height >= plus(at, claim.Irrevocable-1) }
	if f.Spent != nil && deep(f.Spent.Height) {
		return fmt.Sprintf("the transaction %s that closed the channel, %d blocks deep, left the chain", f.Spent.Txid, f.Height-f.Spent.Height+1)
	}
	for _, out := range facts.SortedOutPoints(f.OnChain.Spends) {
		if s := f.OnChain.Spends[out]; deep(s.Height) {
			return fmt.Sprintf("the spend of %s, %d blocks deep, left the chain", out, f.Height-s.Height+1)
		}
	}
	return ""
}

// archivable tells whether the log may end: all is resolved and deep enough, every event acknowledged (rule 23, S17).
func (m *Monitor) archivable() bool {
	if m.events.len() > 0 || len(m.facts.OnChain.Claims) > 0 {
		return false
	}
	if m.unfunded() {
		return m.forgettable()
	}
	if !m.closing() || m.facts.Spent == nil {
		return false
	}
	r, err := m.resolution()
	if err != nil {
		return false
	}
	at, ok := r.ResolvedAt()
	return ok && m.facts.Height >= plus(at, m.archiveDepth-1)
}

// closedRow is what is kept of an archived channel.
func (m *Monitor) closedRow() *record.Closed {
	f := m.facts
	b := m.balance()
	row := &record.Closed{
		Channel: f.ID, Peer: f.Peer, KeyIndex: f.KeyIndex, Funding: f.Tx.Funding, CapacitySat: uint64(f.Tx.Capacity),
		SweptSat: b.Swept, LostSat: b.Lost, FeesSat: b.Fees,
	}
	if f.Spent != nil { // else it was never funded
		row.ClosingTxid, row.Spend, row.Height = f.Spent.Txid, f.Spent.Spend, f.Spent.Height
	}
	return row
}
