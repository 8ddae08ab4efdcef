package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Tokens of questions to the store.
const (
	tokenArchive = iota + 1
	tokenRevoked // and the number of the commitment
)

// asked is what this incarnation asked the chain and the wallet for. A new one asks for all of it again (rule 3).
type asked struct {
	watched map[wire.OutPoint]uint32  // from this height on
	cast    map[uint64]chainhash.Hash // claim -> its transaction that was broadcast
	build   map[uint64]question       // claim -> question to the wallet that is not answered
	swept   map[uint64]bool           // events whose sweep was announced
}

// question is what the wallet was asked, and at which height.
type question struct {
	*claim.Request
	height uint32
}

func newAsked() asked {
	return asked{
		watched: map[wire.OutPoint]uint32{}, cast: map[uint64]chainhash.Hash{}, build: map[uint64]question{}, swept: map[uint64]bool{},
	}
}

// chain asks for what a step makes necessary, behind its record.
func (s *Session) chain(o *Output, step *Step) {
	for _, id := range step.Released {
		delete(s.asked.build, id)
		o.tell(messages.FundsAddr, messages.ReleaseClaim{Channel: s.id, Claim: id})
	}
	c := step.Chain
	if c == nil {
		return
	}
	s.watch(o, c.Watch)
	s.cast(o, c.Keep)
	wanted := map[uint64]bool{}
	for i := range c.Build {
		wanted[c.Build[i].ID] = true
		s.build(o, &c.Build[i])
	}
	for _, id := range slices.Sorted(maps.Keys(s.asked.build)) {
		if !wanted[id] {
			s.unwanted(o, id)
		}
	}
	if c.Revoked != nil {
		o.tell(messages.PersisterAddr, messages.GetRows{
			Bucket: messages.BucketRevoked, Key: record.RevokedKey(s.id, *c.Revoked), Incarnation: s.incarnation, Token: tokenRevoked + *c.Revoked,
			ReplyTo: messages.MonitorAddr(s.id),
		})
	}
	if s.reported {
		for _, seq := range s.m.swept() {
			if !s.asked.swept[seq] {
				s.asked.swept[seq] = true
				o.tell(messages.ManagerAddr, messages.OutputsSwept{Channel: s.id, Seq: seq})
			}
		}
	}
}

// watch has new outputs watched from the block on that made them, the lowest first. Every ChainWatch has one height.
func (s *Session) watch(o *Output, watches []claim.Watch) {
	byHeight := map[uint32][]wire.OutPoint{}
	var heights []uint32
	for _, w := range watches {
		if from, ok := s.asked.watched[w.Output]; ok && from <= w.FromHeight {
			continue
		}
		s.asked.watched[w.Output] = w.FromHeight
		if byHeight[w.FromHeight] == nil {
			heights = append(heights, w.FromHeight)
		}
		byHeight[w.FromHeight] = append(byHeight[w.FromHeight], w.Output)
	}
	slices.Sort(heights)
	for _, h := range heights {
		o.tell(messages.ChainWatchAddr, messages.ChainWatch{
			Channel: s.id, Incarnation: s.incarnation, FromHeight: h, Outpoints: byHeight[h],
		})
	}
}

// cast hands claims to the chain, and takes back those that are over. The wallet hears of each first, so that nothing else spends its coins.
func (s *Session) cast(o *Output, keep []facts.ClaimSigned) {
	kept := map[uint64]bool{}
	for i := range keep {
		c := &keep[i]
		kept[c.ID] = true
		txid := c.Tx.TxHash()
		before, ok := s.asked.cast[c.ID]
		if ok && before == txid {
			continue
		}
		if ok {
			o.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: before})
		}
		s.asked.cast[c.ID] = txid
		o.tell(messages.FundsAddr, messages.WalletSpends{Channel: s.id, Claim: c.ID, Tx: c.Tx})
		o.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: c.Tx, Label: "claim", Channel: s.id})
	}
	var gone []uint64
	for id := range s.asked.cast {
		if !kept[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	for _, id := range gone {
		o.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: s.asked.cast[id]})
		delete(s.asked.cast, id)
	}
}

// reserve has the wallet hold the coins of all claims, before it gives any away (rule 22): also of those that are not to be broadcast now, because
// their commitment left the chain or something else took their outputs. It may come back, and they with it.
func (s *Session) reserve(o *Output) {
	if f := s.m.facts; f.Unverified && f.Funding == nil && len(f.FundingTx) > 0 {
		var tx wire.MsgTx
		if tx.Deserialize(bytes.NewReader(f.FundingTx)) == nil {
			o.tell(messages.FundsAddr, messages.WalletSpends{Channel: s.id, Tx: &tx, Held: true})
		}
	}
	claims := s.m.facts.OnChain.Claims
	for _, id := range slices.Sorted(maps.Keys(claims)) {
		o.tell(messages.FundsAddr, messages.WalletSpends{Channel: s.id, Claim: id, Tx: claims[id].Tx, Held: true})
	}
}

// unwanted gives the coins of a claim back that was never made.
func (s *Session) unwanted(o *Output, id uint64) {
	delete(s.asked.build, id)
	if _, made := s.m.facts.OnChain.Claims[id]; !made {
		o.tell(messages.FundsAddr, messages.ReleaseClaim{Channel: s.id, Claim: id})
	}
}

// build asks the wallet. An answer may be lost, so the question is repeated with every block for as long as it stands; not more often, since each
// of hundreds of answers makes a new plan.
func (s *Session) build(o *Output, q *claim.Request) {
	height := s.m.facts.Height
	if before, ok := s.asked.build[q.ID]; ok && before.height == height && reflect.DeepEqual(before.Request, q) {
		return
	}
	s.asked.build[q.ID] = question{q, height}
	m := q.Build
	m.Channel, m.Incarnation, m.Claim, m.ReplyTo = s.id, s.incarnation, q.ID, messages.MonitorAddr(s.id)
	o.tell(messages.FundsAddr, m)
}

// built takes the wallet's answer. It must be to what is asked for now: the chain may have moved on.
func (s *Session) built(m messages.ClaimBuilt) (Output, error) {
	var o Output
	q := s.asked.build[m.Claim].Request
	if q == nil || m.Incarnation != s.incarnation {
		if m.Err == nil && q == nil {
			s.unwanted(&o, m.Claim)
		}
		return o, nil
	}
	delete(s.asked.build, m.Claim)
	if m.Err != nil {
		var e *messages.ClaimError
		if !errors.As(m.Err, &e) || e.Code != messages.ClaimUnneeded {
			o.Refused = fmt.Errorf("claim %x can't be made now: %w", m.Claim, m.Err)
		}
		return o, nil
	}
	step, err := s.m.Claim(q, m)
	switch {
	case err != nil && step.Record != nil:
		return o, s.fatal(err) // memory is ahead of the disk
	case err != nil:
		// Nothing was recorded. The claim is planned anew with the next block.
		o.Refused = fmt.Errorf("claim %x: %w", m.Claim, err)
		s.unwanted(&o, m.Claim)
		return o, nil
	}
	return s.output(step), nil
}

// rows takes an answer of the store.
func (s *Session) rows(m messages.GotRows) (Output, error) {
	switch {
	case m.Incarnation != s.incarnation:
		return Output{}, nil
	case m.Token == tokenArchive:
		return s.page(m), nil
	case s.m.facts.Spent == nil || s.m.facts.Spent.Spend != facts.SpendRevoked:
		return Output{}, nil
	}
	if refused := m.Err; refused != nil {
		return Output{Refused: refused}, nil //nolint:nilerr // for the log: it is asked again with the next block
	}
	number, err := s.m.spentNumber()
	if err != nil {
		return Output{}, err
	}
	if m.Token != tokenRevoked+number {
		return Output{}, nil // of one that a reorganisation took out meanwhile
	}
	data := facts.Revoked{Number: number} // no row: no HTLC had an output
	var unread error
	if len(m.Rows) > 0 {
		row, err := record.ReadRow(m.Rows[0])
		r, ok := row.(*record.Revoked)
		if err == nil && (!ok || r.Commitment.Number != number) {
			err = errOtherRow
		}
		if err == nil {
			data = r.Commitment
		} else {
			// What can be punished without it is punished.
			unread = fmt.Errorf("HTLCs of the revoked commitment %d can't be read, their outputs are lost: %w", number, err)
		}
	}
	step, err := s.m.RevokedRead(data)
	if err != nil {
		return Output{}, s.fatal(err)
	}
	o := s.output(step)
	o.Refused = unread
	return o, nil
}
