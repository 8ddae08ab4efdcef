package chaintest

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

const (
	fee = 1_000 // about 10 sat/vB for a spend

	finalSequence       = wire.MaxTxInSequenceNum     // neither a lock time nor a replacement
	lockSequence        = wire.MaxTxInSequenceNum - 1 // lock time, no replacement
	replaceableSequence = wire.MaxTxInSequenceNum - 2 // BIP 125
)

// spend pays a coin back to its own script.
func (s *suite) spend(_ testing.TB, coin Coin, change ...func(*wire.MsgTx)) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	in := wire.NewTxIn(&coin.OutPoint, nil, coin.Witness)
	in.Sequence = finalSequence
	tx.AddTxIn(in)
	tx.AddTxOut(wire.NewTxOut(int64(coin.Value-fee), coin.PkScript))
	for _, f := range change {
		f(tx)
	}
	return tx
}

func pays(coin Coin, fee btcutil.Amount) func(*wire.MsgTx) {
	return func(tx *wire.MsgTx) { tx.TxOut[0].Value = int64(coin.Value - fee) }
}

func sequence(n uint32) func(*wire.MsgTx) {
	return func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = n }
}

func (s *suite) taken(t *testing.T, tx *wire.MsgTx) {
	t.Helper()
	if err := s.src.Broadcast(t.Context(), tx); !chain.IsKnown(err) {
		t.Fatalf("broadcast: %v", err)
	}
	s.Backend.AwaitTx(t, tx.TxHash())
}

// refuse broadcasts a transaction that is not taken, and checks the code. It
// returns the missing inputs that were named.
func (s *suite) refuse(t *testing.T, what string, tx *wire.MsgTx, want chain.BroadcastCode) []wire.OutPoint {
	t.Helper()
	err := s.src.Broadcast(t.Context(), tx)
	var be *chain.BroadcastError
	switch {
	case s.Blind && (err == nil || errors.As(err, &be)):
		return nil
	case !errors.As(err, &be):
		t.Errorf("%s: %v, want a BroadcastError", what, err)
		return nil
	case be.Code != want:
		t.Errorf("%s: %v, want %v", what, be, want)
	case be.Txid != tx.TxHash():
		t.Errorf("%s: the error is about %v, want %v", what, be.Txid, tx.TxHash())
	case be.Reason == "":
		t.Errorf("%s: no reason given", what)
	}
	return be.Missing
}

// broadcast takes a transaction from the mempool into a block and gives it
// again at each step.
func (s *suite) broadcast(t *testing.T) {
	tx := s.spend(t, s.Backend.Coin(t))
	before := tx.TxHash()
	s.taken(t, tx)
	if err := s.src.Broadcast(t.Context(), tx); !chain.IsKnown(err) {
		t.Errorf("a transaction in the mempool, again: %v", err)
	}
	if tx.TxHash() != before {
		t.Error("broadcast changed the transaction")
	}
	s.mine(t, 1)
	s.refuse(t, "a transaction in a block, again", tx, chain.BroadcastConfirmed)

	block, err := s.src.Block(t.Context(), s.Backend.Tip(t).Hash)
	if err != nil {
		t.Fatalf("block: %v", err)
	}
	if !slices.ContainsFunc(block.Transactions, func(in *wire.MsgTx) bool {
		return in.WitnessHash() == tx.WitnessHash()
	}) {
		t.Error("the block that confirmed a transaction does not hold it with its witness")
	}
}

func (s *suite) refused(t *testing.T) {
	tip := s.Backend.Tip(t)

	coin := s.Backend.Coin(t)
	first := s.spend(t, coin)
	s.taken(t, first)
	s.refuse(t, "another spend of an input in the mempool", s.spend(t, coin, pays(coin, 5*fee)), chain.BroadcastConflict)

	replaceable := s.Backend.Coin(t)
	s.taken(t, s.spend(t, replaceable, sequence(replaceableSequence)))
	s.refuse(t, "a replacement that pays less",
		s.spend(t, replaceable, sequence(replaceableSequence), pays(replaceable, fee-1)), chain.BroadcastFeeTooLow)
	s.taken(t, s.spend(t, replaceable, sequence(replaceableSequence), pays(replaceable, 4*fee)))

	s.mine(t, 1)
	spent := chain.BroadcastConflict
	if s.NoTxIndex {
		spent = chain.BroadcastMissingInputs
	}
	s.refuse(t, "another spend of an input that a block has spent", s.spend(t, coin, pays(coin, 5*fee)), spent)

	coin = s.Backend.Coin(t)
	s.refuse(t, "no fee", s.spend(t, coin, pays(coin, 0)), chain.BroadcastFeeTooLow)

	unknown := coin
	unknown.OutPoint = wire.OutPoint{Hash: chainhash.Hash{4, 5, 6}, Index: 1}
	missing := s.refuse(t, "an unknown input", s.spend(t, unknown), chain.BroadcastMissingInputs)
	if !s.Blind && !slices.Equal(missing, []wire.OutPoint{unknown.OutPoint}) {
		t.Errorf("missing inputs %v, want %v", missing, unknown.OutPoint)
	}

	s.refuse(t, "a lock time in the future", s.spend(t, coin, sequence(lockSequence), func(tx *wire.MsgTx) {
		tx.LockTime = uint32(tip.Height) + 1000
	}), chain.BroadcastNotFinal)
	s.refuse(t, "a relative lock in the future", s.spend(t, coin, sequence(60_000)), chain.BroadcastNotFinal)
	s.refuse(t, "a wrong witness", s.spend(t, coin, func(tx *wire.MsgTx) {
		tx.TxIn[0].Witness = wire.TxWitness{{0x00, 0x51}}
	}), chain.BroadcastRejected)
	s.refuse(t, "more out than in", s.spend(t, coin, pays(coin, -1)), chain.BroadcastRejected)

	// None of the refused transactions did any harm.
	last := s.spend(t, coin)
	if s.Blind {
		last = s.spend(t, coin, pays(coin, 2*fee)) // peers go by txid, and the wrong witness had the same one
	}
	s.taken(t, last)
	s.mine(t, 1)
}
