package claim_test

import (
	"bytes"
	"errors"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// monitor does with the resolution what a monitor does: blocks in, claims out. It is the shell around the machine under test, and no more.
type monitor struct {
	s       *side
	r       *claim.Resolution // of the facts as they are, nil if it has to be made
	watched map[wire.OutPoint]bool
	wallet  *wallet
	down    bool            // the side is dead, or an adversary drives it
	plunder func()          // what the adversary does
	behind  bool            // its facts are older than the peer's
	early   map[uint64]bool // outbound HTLCs that the 3-block rule may fail

	thorough  bool                    // look at every block, and compare with a restart; otherwise only when WakeAt says so
	dirty     bool                    // something happened since the last plan
	wake      uint32                  // WakeAt then
	spendable []facts.SpendableOutput // handed to the wallet
	handed    map[wire.OutPoint]int   // how often
	made      map[chainhash.Hash]bool // transactions of this side
	bumps     int
	raced     bool // a transaction of the peer kept one of ours out of the mempool at this block
	height    uint32
	totals    map[phase]uint64
}

func newMonitor(s *side) *monitor {
	return &monitor{
		s: s, watched: map[wire.OutPoint]bool{}, wallet: newWallet(s.w, s.name), handed: map[wire.OutPoint]int{}, made: map[chainhash.Hash]bool{},
		totals: map[phase]uint64{}, early: map[uint64]bool{}, height: s.w.height(),
	}
}

func (s *side) points(n uint64) (*btcec.PublicKey, error) {
	return s.keys.PerCommitmentPoint(keyIndex, n)
}

// res is the resolution of the facts.
func (s *side) res() *claim.Resolution {
	s.w.Helper()
	if s.r == nil {
		r, err := claim.Resolve(s.f, s.points)
		if err != nil {
			s.w.Fatalf("%s: resolve: %v", s.name, err)
		}
		s.r = r
	}
	return s.r
}

// connect takes a block in.
func (s *side) connect(height uint32, block *wire.MsgBlock) {
	s.w.Helper()
	s.wallet.connect(block)
	s.monitor.height = height
	if s.down {
		return
	}
	for _, tx := range block.Transactions[1:] {
		s.see(tx, height)
	}
	s.apply(facts.BlockSeen{Height: height, Hash: block.BlockHash()})
	if s.dirty = s.dirty || s.thorough || s.wake != 0 && s.wake <= height; !s.dirty {
		return
	}
	s.watch(height)
	if n, ok := s.res().NeedsRevoked(); ok {
		row, ok := s.rows[n]
		if !ok {
			row = facts.Revoked{Number: n} // a commitment without HTLC outputs has no row
		}
		s.apply(facts.RevokedRead{Revoked: row})
		if _, again := s.res().NeedsRevoked(); again {
			s.w.Fatalf("%s: needs the row of commitment %d again", s.name, n)
		}
		s.watch(height)
	}
	s.due()
}

// see looks at a confirmed transaction.
func (s *side) see(tx *wire.MsgTx, height uint32) {
	s.w.Helper()
	txid, matches := tx.TxHash(), false
	for _, in := range tx.TxIn {
		if in.PreviousOutPoint == s.w.funding {
			if sp := s.f.Spent; sp == nil || sp.Txid != txid || sp.Height != height {
				s.apply(facts.FundingSpent{Txid: txid, Height: height, Spend: s.classify(txid), Tx: tx})
			}
		}
		matches = matches || s.watched[in.PreviousOutPoint]
	}
	if matches {
		for _, u := range s.res().Match(tx, txid, height) {
			s.apply(u)
		}
		if again := s.res().Match(tx, txid, height); len(again) > 0 {
			s.w.Fatalf("%s: a transaction that was told before means %+v", s.name, again)
		}
	}
}

// watch follows the outputs that are to be watched, and looks back at what spent new ones already.
func (s *side) watch(height uint32) {
	s.w.Helper()
	for again := true; again; {
		again = false
		for _, o := range s.res().Watches() {
			if s.watched[o.Output] {
				continue
			}
			s.watched[o.Output], again = true, true
			txid, ok := s.w.chain.Spender(o.Output)
			if !ok {
				continue
			}
			tx, loc, err := s.w.chain.Tx(txid)
			if err != nil {
				panic(err)
			}
			if uint32(loc.Height) < o.FromHeight {
				s.w.Fatalf("%s: %v is watched from %d, it was spent at %d", s.name, o.Output, o.FromHeight, loc.Height)
			}
			if uint32(loc.Height) <= height {
				s.see(tx, uint32(loc.Height))
			}
		}
	}
}

// classify knows every commitment there is, and what this side knows of it.
func (s *side) classify(txid chainhash.Hash) facts.SpendKind {
	h := s.w.find(txid)
	switch {
	case h == nil:
		return facts.SpendMutualClose
	case h.owner == s.name && h.tx.Number == s.f.HolderNumber:
		return facts.SpendHolder
	case h.owner == s.name:
		panic(s.name + " has broadcast what it revoked")
	case h.tx.Number < s.f.CounterpartyNumber:
		return facts.SpendRevoked
	}
	return facts.SpendCounterparty
}

// due takes in what the height makes final.
func (s *side) due() {
	s.w.Helper()
	for round := 0; ; round++ {
		r := s.res()
		updates := r.Due()
		if len(updates) == 0 {
			return
		}
		if round == 10 {
			s.w.Fatalf("%s: there is always something due: %+v", s.name, updates)
		}
		for _, u := range updates {
			if o, ok := u.(facts.OutputsSpendable); ok {
				list := r.Spendable(o.Outputs)
				if len(list) != len(o.Outputs) {
					s.w.Fatalf("%s: %d of %d spendable outputs are described", s.name, len(list), len(o.Outputs))
				}
				s.spendable = append(s.spendable, list...)
				for _, out := range o.Outputs {
					if s.handed[out]++; s.handed[out] > 1 && !s.w.deep {
						s.w.Fatalf("%s: %v was handed to the wallet before", s.name, out)
					}
				}
			}
			s.apply(u)
		}
	}
}

// disconnect takes back what is above a height.
func (s *side) disconnect(height uint32, hash chainhash.Hash) {
	s.w.Helper()
	s.wallet.rescan()
	s.monitor.height = height
	if s.down {
		return
	}
	for _, u := range claim.Disconnected(s.f, height) {
		s.apply(u)
	}
	if sp := s.f.Spent; sp != nil && sp.Height > height {
		s.apply(facts.FundingUnspent{})
	}
	s.apply(facts.BlockSeen{Height: height, Hash: hash})
	s.dirty = true
	s.watched = map[wire.OutPoint]bool{} // a monitor asks for its watches again
	s.watch(height)
}

// act does at the tip what there is to do: commitment, claims, sweeps.
func (s *side) act() {
	s.w.Helper()
	if s.raced = false; s.down {
		return
	}
	if s.f.Spent == nil && s.f.ForceClose != nil && !s.f.ProvenBehind {
		s.offer(s.current().signed, true)
	}
	for round := 0; s.dirty && s.plan(); round++ {
		if round == 4 {
			s.w.Fatalf("%s: claims are built again and again: %+v", s.name, s.res().Plan().Build)
		}
	}
	s.sweep()
	if s.dirty && !s.raced && !s.w.deep && !s.behind {
		s.prompt()
	}
}

// prompt checks that what can be claimed in the next block is about to be: L4, and no cheater gets time.
func (s *side) prompt() {
	s.w.Helper()
	txid, ok := s.w.chain.Spender(s.w.funding)
	c := s.w.find(txid)
	if !ok || c == nil {
		return
	}
	pending := map[wire.OutPoint]bool{}
	for _, tx := range s.w.chain.Mempool() {
		for _, in := range tx.TxIn {
			pending[in.PreviousOutPoint] = true
		}
	}
	revoked := c.owner != s.name && c.tx.Number < s.f.CounterpartyNumber
	want := func(what string, index int, due bool) {
		op := wire.OutPoint{Hash: txid, Index: uint32(index)}
		if out, err := s.w.chain.TxOut(op); err == nil && due && !pending[op] && out.TxOut.Value >= 8_000 {
			s.w.Fatalf("%s: at height %d nothing claims %s of %d sat: %+v", s.name, s.w.height(), what, out.TxOut.Value, s.res().Plan())
		}
	}
	for i := range c.tx.HTLCs {
		h := &c.tx.HTLCs[i]
		due := revoked
		if outbound := h.Offered == (c.owner == s.name); outbound {
			due = due || h.CLTVExpiry <= s.w.height()
		} else if in := s.f.Inbound[h.ID]; in != nil {
			due = due || in.Preimage != nil
		}
		want("the htlc", int(h.OutputIndex), due)
	}
	if revoked && c.tx.ToOwnerIndex >= 0 {
		want("to_local", c.tx.ToOwnerIndex, true)
	}
}

// plan carries out one plan and tells whether it asked for a claim that it got.
func (s *side) plan() (built bool) {
	s.w.Helper()
	r := s.res()
	p := r.Plan()
	for _, id := range p.Ended {
		s.apply(facts.ClaimEnded{ID: id})
		s.wallet.release(id)
	}
	for _, c := range p.Keep {
		s.offer(c.Tx, false)
	}
	for i := range p.Build {
		q := &p.Build[i]
		answer := s.wallet.build(&q.Build, q.ID)
		if answer.Err != nil {
			var why *messages.ClaimError
			if !errors.As(answer.Err, &why) || why.Code == messages.ClaimInvalid || why.Code == messages.ClaimNoCoins {
				s.w.Fatalf("%s: claim %x: %v", s.name, q.ID, answer.Err)
			}
			continue
		}
		_, was := s.f.OnChain.Claims[q.ID]
		c, err := r.Sign(s.keys, q, answer)
		if err != nil {
			s.w.Fatalf("%s: sign claim %x: %v", s.name, q.ID, err)
		}
		s.wallet.checkWeight(&q.Build, c.Tx, answer)
		if c.ID != q.ID || c.FeeSat != answer.FeeSat {
			s.w.Fatalf("%s: asked for claim %x with fee %d, signed %x with %d", s.name, q.ID, answer.FeeSat, c.ID, c.FeeSat)
		}
		if was {
			s.bumps++
		}
		s.made[c.Tx.TxHash()] = true
		s.apply(c)
		s.offer(c.Tx, true)
		built = true
	}
	return built
}

// offer broadcasts a transaction. The chain has to take it, unless the peer was faster.
func (s *side) offer(tx *wire.MsgTx, fresh bool) {
	s.w.Helper()
	txid := tx.TxHash()
	s.made[txid] = true
	err := s.w.chain.Broadcast(tx)
	if chain.IsKnown(err) {
		return
	}
	var be *chain.BroadcastError
	if errors.As(err, &be) {
		if be.Spender != (chainhash.Hash{}) && !s.made[be.Spender] || s.lostRace(tx) {
			s.raced = true
			return
		}
		if be.Code == chain.BroadcastMissingInputs && s.f.Spent == nil && !s.w.chain.InMempool(s.current().tx.Txid) {
			return // it is to pay for our commitment, and the mempool has the peer's
		}
	}
	s.w.Fatalf("%s: at height %d the chain refuses (fresh %v) %v", s.name, s.w.height(), fresh, err)
}

// lostRace tells whether an unconfirmed transaction of the peer spends an input of tx.
func (s *side) lostRace(tx *wire.MsgTx) bool {
	for _, other := range s.w.chain.Mempool() {
		for _, in := range other.TxIn {
			if !s.made[other.TxHash()] && slices.ContainsFunc(tx.TxIn, func(i *wire.TxIn) bool { return i.PreviousOutPoint == in.PreviousOutPoint }) {
				return true
			}
		}
	}
	return false
}

// sweep pays what was handed over to the wallet.
func (s *side) sweep() {
	s.w.Helper()
	pending := map[wire.OutPoint]bool{}
	for _, tx := range s.w.chain.Mempool() {
		for _, in := range tx.TxIn {
			pending[in.PreviousOutPoint] = true
		}
	}
	tx, total := wire.NewMsgTx(2), uint64(0)
	var outs []facts.SpendableOutput
	for _, o := range s.spendable {
		if o.Kind == facts.SpendableAnchor || pending[o.Output] {
			continue
		}
		got, err := s.w.chain.TxOut(o.Output)
		if err != nil {
			continue // swept, or out of the chain
		}
		if depth := int64(s.w.height()) - int64(got.Height) + 1; depth < int64(o.Sequence) {
			if !s.w.deep {
				s.w.Fatalf("%s: %v was handed over with %d of %d confirmations", s.name, o.Output, depth, o.Sequence)
			}
			continue
		}
		if got.TxOut.Value != int64(o.ValueSat) {
			s.w.Fatalf("%s: %v has %d sat, said to have %d", s.name, o.Output, got.TxOut.Value, o.ValueSat)
		}
		pending[o.Output] = true
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: o.Output, Sequence: o.Sequence})
		outs, total = append(outs, o), total+o.ValueSat
	}
	if len(outs) == 0 {
		return
	}
	fee := uint64(200 + 150*len(outs))
	if total < fee+330 {
		return // not worth it
	}
	tx.AddTxOut(wire.NewTxOut(int64(total-fee), s.wallet.script))
	for i, o := range outs {
		spend := &chankeys.Spend{Path: chankeys.PathDelayed, WitnessScript: o.WitnessScript, Value: btcutil.Amount(o.ValueSat)}
		if o.Kind == facts.SpendableToRemote {
			spend.Path = chankeys.PathToRemote
		} else {
			spend.Point = must(btcec.ParsePubKey(o.Point[:]))
		}
		witness, err := s.keys.SignSpend(o.KeyIndex, spend, tx, i)
		if err != nil {
			s.w.Fatalf("%s: sign the sweep of %+v: %v", s.name, o, err)
		}
		tx.TxIn[i].Witness = witness
	}
	s.offer(tx, true)
}

// restarted checks that the facts on disk give the same resolution (S10).
func (s *side) restarted() {
	s.w.Helper()
	snap := &record.Snapshot{Channel: s.f}
	b := snap.Write()
	read := must(record.ReadSnapshot(b))
	if !bytes.Equal(read.Write(), b) {
		s.w.Fatalf("%s: S10: reading changes the snapshot", s.name)
	}
	r, err := claim.Resolve(read.Channel, s.points)
	if err != nil {
		s.w.Fatalf("%s: resolve after a restart: %v", s.name, err)
	}
	for what, pair := range map[string][2]any{
		"plan":    {s.res().Plan(), r.Plan()},
		"due":     {s.res().Due(), r.Due()},
		"watches": {s.res().Watches(), r.Watches()},
		"balance": {s.res().Balance(), r.Balance()},
		"wake":    {s.res().WakeAt(), r.WakeAt()},
	} {
		if path := record.Differ(pair[0], pair[1]); path != "" {
			s.w.Fatalf("%s: after a restart at height %d the %s differs%s: %+v, was %+v", s.name, s.w.height(), what, path, pair[1], pair[0])
		}
	}
}
