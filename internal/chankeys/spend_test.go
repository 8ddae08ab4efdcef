package chankeys

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/commitment"
)

const spendIndex, spendNumber = 11, 5

// spends is a channel with an HTLC each way, and commitment 5 of both sides, seen from the holder.
type spends struct {
	holder, counterparty *Local
	static               *commitment.Static
	ours, theirs         *commitment.Tx
	preimage             [32]byte
}

const spendExpiry = 500

func newSpends(t *testing.T) *spends {
	t.Helper()
	s := &spends{holder: NewLocal(testSource("holder")), counterparty: NewLocal(testSource("counterparty")), preimage: [32]byte{42}}
	s.static, _ = channelOf(t, s.holder, s.counterparty, spendIndex, 0)
	hash := sha256.Sum256(s.preimage[:])
	build := func(ownerIsHolder bool, keys *Local) *commitment.Tx {
		point, err := keys.PerCommitmentPoint(spendIndex, spendNumber)
		must(t, err)
		v := &commitment.View{
			OwnerIsHolder: ownerIsHolder, Number: spendNumber, PerCommitmentPoint: point, FeePerKw: chainfee.FeePerKwFloor,
			OwnerMsat: 4_900_000_000, OtherMsat: 4_900_000_000,
			HTLCs: []commitment.HTLC{
				{ID: 0, Offered: true, Amount: 150_000_000, Hash: hash, CLTVExpiry: spendExpiry},
				{ID: 1, Offered: false, Amount: 50_000_000, Hash: hash, CLTVExpiry: spendExpiry},
			},
		}
		tx, err := commitment.Build(s.static, v)
		must(t, err)
		return tx
	}
	s.ours, s.theirs = build(true, s.holder), build(false, s.counterparty)
	return s
}

// spendOf is a transaction with one input and the lock times that the path needs.
func spendOf(op wire.OutPoint, sequence, lockTime uint32) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.LockTime = lockTime
	tx.TxIn = []*wire.TxIn{{PreviousOutPoint: op, Sequence: sequence}}
	tx.TxOut = []*wire.TxOut{{Value: 300, PkScript: append([]byte{txscript.OP_1, txscript.OP_DATA_32}, make([]byte, 32)...)}}
	return tx
}

func executeSpend(tx *wire.MsgTx, script []byte, value btcutil.Amount) error {
	pk := commitment.PayTo(script)
	fetcher := txscript.NewCannedPrevOutputFetcher(pk, int64(value))
	engine, err := txscript.NewEngine(pk, tx, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(tx, fetcher), int64(value), fetcher)
	if err != nil {
		return err
	}
	return engine.Execute()
}

type spendCase struct {
	name     string
	spend    Spend
	op       wire.OutPoint
	sequence uint32
	lockTime uint32
}

// cases is every path, and each way to a path.
func (s *spends) cases(t *testing.T) []spendCase {
	t.Helper()
	secret, err := s.counterparty.ReleaseSecret(spendIndex, spendNumber)
	must(t, err)
	ours, theirs := s.ours.Keys.PerCommitmentPoint, s.theirs.Keys.PerCommitmentPoint
	anchor, err := commitment.AnchorScript(s.static.Holder.Funding)
	must(t, err)
	out := func(tx *commitment.Tx, i int) (wire.OutPoint, btcutil.Amount) {
		return wire.OutPoint{Hash: tx.Txid, Index: uint32(i)}, btcutil.Amount(tx.Tx.TxOut[i].Value)
	}
	second := wire.OutPoint{Hash: chainhash.Hash{1}}
	var cases []spendCase
	add := func(name string, p Path, tx *commitment.Tx, i int, script []byte, point *btcec.PublicKey, sequence, lockTime uint32) *spendCase {
		op, value := out(tx, i)
		cases = append(cases, spendCase{name, Spend{Path: p, Point: point, WitnessScript: script, Value: value}, op, sequence, lockTime})
		return &cases[len(cases)-1]
	}
	htlc := func(tx *commitment.Tx, offered bool) *commitment.HTLCTx {
		for i := range tx.HTLCs {
			if tx.HTLCs[i].Offered == offered {
				return &tx.HTLCs[i]
			}
		}
		t.Fatal("no such htlc")
		return nil
	}
	offered, received := htlc(s.theirs, true), htlc(s.theirs, false)
	add("to_local", PathDelayed, s.ours, s.ours.ToOwnerIndex, s.ours.ToOwnerScript, ours, uint32(s.static.HolderToSelfDelay), 0)
	add("own second stage", PathDelayed, s.ours, s.ours.ToOwnerIndex, s.ours.SecondStageScript, ours, uint32(s.static.HolderToSelfDelay), 0).op = second
	add("to_remote", PathToRemote, s.theirs, s.theirs.ToOtherIndex, s.theirs.ToOtherScript, nil, 1, 0)
	add("own anchor", PathAnchor, s.ours, s.ours.OwnerAnchorIndex, anchor, nil, 0xfffffffd, 0)
	add("anchor on theirs", PathAnchor, s.theirs, s.theirs.OtherAnchorIndex, anchor, nil, 0xfffffffd, 0)
	add("preimage", PathHTLCPreimage, s.theirs, int(offered.OutputIndex), offered.WitnessScript, theirs, 1, 0).spend.Preimage = &s.preimage
	add("time-out", PathHTLCTimeout, s.theirs, int(received.OutputIndex), received.WitnessScript, theirs, 1, spendExpiry)
	add("revoked to_local", PathRevokedDelayed, s.theirs, s.theirs.ToOwnerIndex, s.theirs.ToOwnerScript, theirs, 0xfffffffd, 0).spend.Secret = &secret
	add("revoked second stage", PathRevokedDelayed, s.theirs, s.theirs.ToOwnerIndex, s.theirs.SecondStageScript, theirs, 0xfffffffd, 0).spend.Secret = &secret
	add("revoked, offered by them", PathRevokedHTLC, s.theirs, int(offered.OutputIndex), offered.WitnessScript, theirs, 0xfffffffd, 0).spend.Secret = &secret
	add("revoked, offered by us", PathRevokedHTLC, s.theirs, int(received.OutputIndex), received.WitnessScript, theirs, 0xfffffffd, 0).spend.Secret = &secret
	return cases
}

// TestEveryPathSpends runs each path through the script engine, with the rules of relay, and holds the witness to the weight that is announced.
func TestEveryPathSpends(t *testing.T) {
	s := newSpends(t)
	for _, c := range s.cases(t) {
		t.Run(c.name, func(t *testing.T) {
			tx := spendOf(c.op, c.sequence, c.lockTime)
			w, err := s.holder.SignSpend(spendIndex, &c.spend, tx, 0)
			must(t, err)
			tx.TxIn[0].Witness = w
			must(t, executeSpend(tx, c.spend.WitnessScript, c.spend.Value))
			if got, most := w.SerializeSize(), c.spend.WitnessWeight(); got > most || got < most-3 {
				t.Errorf("the witness weighs %d, announced %d", got, most)
			}

			// What the script asks for beside the signature is asked for by the engine.
			if c.sequence < 1<<16 {
				early := spendOf(c.op, c.sequence-1, c.lockTime)
				early.TxIn[0].Witness, err = s.holder.SignSpend(spendIndex, &c.spend, early, 0)
				must(t, err)
				if executeSpend(early, c.spend.WitnessScript, c.spend.Value) == nil {
					t.Error("spends before its relative lock time")
				}
			}
			if c.lockTime != 0 {
				early := spendOf(c.op, c.sequence, c.lockTime-1)
				early.TxIn[0].Witness, err = s.holder.SignSpend(spendIndex, &c.spend, early, 0)
				must(t, err)
				if executeSpend(early, c.spend.WitnessScript, c.spend.Value) == nil {
					t.Error("spends before the HTLC expired")
				}
			}
			// The signature covers the whole transaction and the value.
			changed := tx.Copy()
			changed.TxOut[0].Value--
			if executeSpend(changed, c.spend.WitnessScript, c.spend.Value) == nil {
				t.Error("the signature does not cover the outputs")
			}
			if executeSpend(tx, c.spend.WitnessScript, c.spend.Value+1) == nil {
				t.Error("the signature does not cover the value")
			}
			// Nobody else's keys do.
			tx.TxIn[0].Witness, err = s.counterparty.SignSpend(spendIndex, &c.spend, tx, 0)
			must(t, err)
			if executeSpend(tx, c.spend.WitnessScript, c.spend.Value) == nil {
				t.Error("the counterparty's keys spend it as well")
			}
		})
	}
}

// TestSpendErrors: what is incomplete or contradicts itself is ErrSpend, never a panic and never a worthless signature.
func TestSpendErrors(t *testing.T) {
	s := newSpends(t)
	point := s.theirs.Keys.PerCommitmentPoint
	tx := spendOf(wire.OutPoint{}, 1, 0)
	script := []byte{txscript.OP_TRUE}
	for name, c := range map[string]struct {
		s  *Spend
		tx *wire.MsgTx
		in int
	}{
		"nothing":        {nil, tx, 0},
		"no transaction": {&Spend{Path: PathAnchor, WitnessScript: script}, nil, 0},
		"no such input":  {&Spend{Path: PathAnchor, WitnessScript: script}, tx, 1},
		"negative input": {&Spend{Path: PathAnchor, WitnessScript: script}, tx, -1},
		"no script":      {&Spend{Path: PathAnchor}, tx, 0},
		"no path":        {&Spend{Point: point, WitnessScript: script}, tx, 0},
		"unknown path":   {&Spend{Path: 99, Point: point, WitnessScript: script}, tx, 0},
		"no point":       {&Spend{Path: PathDelayed, WitnessScript: script}, tx, 0},
		"no preimage":    {&Spend{Path: PathHTLCPreimage, Point: point, WitnessScript: script}, tx, 0},
		"no secret":      {&Spend{Path: PathRevokedHTLC, Point: point, WitnessScript: script}, tx, 0},
		"wrong secret":   {&Spend{Path: PathRevokedDelayed, Point: point, Secret: &[32]byte{1}, WitnessScript: script}, tx, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.holder.SignSpend(spendIndex, c.s, c.tx, c.in); !errors.Is(err, ErrSpend) {
				t.Fatalf("got %v, want ErrSpend", err)
			}
		})
	}
}
