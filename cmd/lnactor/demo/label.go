package demo

import (
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// TxKind says what a transaction is for. The values are those of the JSON form.
type TxKind string

// Kinds of transactions in the course of a close. One that is several things is the first of them in this order.
const (
	TxCooperative TxKind = "cooperative_close"
	TxCommitment  TxKind = "commitment"
	TxRevoked     TxKind = "revoked_commitment"
	TxJustice     TxKind = "justice"      // takes outputs of a revoked commitment with its revocation secret
	TxHTLCSuccess TxKind = "htlc_success" // second stage: the owner of the commitment claims a payment with its preimage
	TxHTLCTimeout TxKind = "htlc_timeout" // second stage: the owner takes an expired payment back
	TxHTLCClaim   TxKind = "htlc_claim"   // the other side claims a payment with its preimage
	TxHTLCRefund  TxKind = "htlc_refund"  // the other side takes an expired payment back
	TxSweep       TxKind = "sweep"        // brings outputs that nobody else can take into the wallet
	TxAnchor      TxKind = "anchor_cpfp"  // pays for its parent, a commitment
	TxOther       TxKind = "other"        // has nothing to do with the channel
)

var txKinds = []TxKind{TxCooperative, TxCommitment, TxRevoked, TxJustice, TxHTLCSuccess, TxHTLCTimeout, TxHTLCClaim, TxHTLCRefund, TxSweep, TxAnchor, TxOther}

var txNames = map[TxKind]string{
	TxCooperative: "cooperative close", TxCommitment: "commitment", TxRevoked: "revoked commitment", TxJustice: "justice",
	TxHTLCSuccess: "HTLC-success", TxHTLCTimeout: "HTLC-timeout", TxHTLCClaim: "claim by preimage", TxHTLCRefund: "claim by time-out",
	TxSweep: "sweep", TxAnchor: "CPFP on the anchor", TxOther: "other",
}

// shape is how an output of a commitment, or of a second stage, is spent. It follows from the witness alone (BOLT 3).
type shape uint8

const (
	unknownShape shape = iota
	anchorShape
	toRemoteShape
	delayedShape        // to_local or a second stage's output, by its owner
	justiceShape        // any of them, by revocation
	successShape        // HTLC-success
	timeoutShape        // HTLC-timeout
	directSuccessShape  // on the other side's commitment
	directTimeoutShape  //
	anchorForAllShape   // an anchor that anyone may take after 16 blocks
	preimageLen         = 32
	compressedKeyLen    = 33
	secondStageElements = 5 // 0, two signatures, preimage or nothing, script
	directElements      = 3 // signature, what decides the path, script
)

// shapeOf reads a witness. Any witness may come, as anybody may spend anything in a block.
func shapeOf(w wire.TxWitness) shape {
	if len(w) < 2 || len(w[len(w)-1]) == 0 {
		return unknownShape
	}
	script := w[len(w)-1]
	last := script[len(script)-1]
	switch script[0] {
	case txscript.OP_DATA_33:
		switch {
		case len(w) != 2:
		case last == txscript.OP_ENDIF && len(w[0]) == 0:
			return anchorForAllShape
		case last == txscript.OP_ENDIF:
			return anchorShape
		case last == txscript.OP_CHECKSEQUENCEVERIFY:
			return toRemoteShape
		}
	case txscript.OP_IF:
		switch {
		case len(w) != directElements:
		case len(w[1]) > 0:
			return justiceShape
		default:
			return delayedShape
		}
	case txscript.OP_DUP:
		return htlcShape(w)
	}
	return unknownShape
}

func htlcShape(w wire.TxWitness) shape {
	switch len(w) {
	case secondStageElements:
		switch len(w[3]) {
		case preimageLen:
			return successShape
		case 0:
			return timeoutShape
		}
	case directElements:
		switch len(w[1]) {
		case preimageLen:
			return directSuccessShape
		case compressedKeyLen:
			return justiceShape
		case 0:
			return directTimeoutShape
		}
	}
	return unknownShape
}

// kind is what a transaction with such an input is, and whether the owner of the commitment made it.
func (s shape) kind() (kind TxKind, byOwner bool) {
	switch s {
	case anchorShape, anchorForAllShape:
		return TxAnchor, true
	case toRemoteShape:
		return TxSweep, false
	case delayedShape:
		return TxSweep, true
	case justiceShape:
		return TxJustice, false
	case successShape:
		return TxHTLCSuccess, true
	case timeoutShape:
		return TxHTLCTimeout, true
	case directSuccessShape:
		return TxHTLCClaim, false
	case directTimeoutShape:
		return TxHTLCRefund, false
	}
	return TxOther, false
}

// output of the channel: of the transaction that closed it, or of a second stage.
type output struct {
	owner string // of the commitment
	value int64
}

// explorer labels transactions and counts fees, from the chain alone: it asks no node.
type explorer struct {
	sides   [2]string
	funding wire.OutPoint
	values  map[wire.OutPoint]int64  // of all outputs of the chain
	open    map[wire.OutPoint]output // of the channel, unspent
}

func newExplorer(sides [2]string, funding wire.OutPoint) *explorer {
	return &explorer{sides: sides, funding: funding, values: map[wire.OutPoint]int64{}, open: map[wire.OutPoint]output{}}
}

// learn takes in a transaction of the chain and returns its fee, which is negative for a coinbase.
func (x *explorer) learn(tx *wire.MsgTx) (fee int64) {
	txid := tx.TxHash()
	for _, in := range tx.TxIn {
		fee += x.values[in.PreviousOutPoint]
	}
	for i, out := range tx.TxOut {
		fee -= out.Value
		x.values[wire.OutPoint{Hash: txid, Index: uint32(i)}] = out.Value //nolint:gosec // a transaction has fewer outputs
	}
	return fee
}

// label says what a transaction is. closer says whose transaction spent the funding output: the name of its side, and its kind.
func (x *explorer) label(tx *wire.MsgTx, height int32, closer func() (by string, kind TxKind)) ChainTx {
	txid := tx.TxHash()
	t := ChainTx{Txid: txid.String(), Height: height, Kind: TxOther, Inputs: len(tx.TxIn)}
	t.FeeSat = uint64(max(0, x.learn(tx))) //nolint:gosec // not negative
	for _, out := range tx.TxOut {
		t.OutputsSat = append(t.OutputsSat, uint64(out.Value)) //nolint:gosec // valid transactions only
	}
	counts, anchorOf := map[TxKind]int{}, ""
	for i, in := range tx.TxIn {
		if in.PreviousOutPoint == x.funding {
			by, kind := closer()
			t.Kind, t.By, t.Label = kind, by, txNames[kind]
			if by != "" {
				t.Label = by + "'s " + t.Label
			}
			x.opened(tx, by)
			return t
		}
		from, ours := x.open[in.PreviousOutPoint]
		if !ours {
			continue
		}
		delete(x.open, in.PreviousOutPoint)
		t.TakesSat += uint64(from.value) //nolint:gosec // valid transactions only
		s := shapeOf(in.Witness)
		kind, byOwner := s.kind()
		counts[kind]++
		by := from.owner
		if !byOwner {
			by = x.other(from.owner)
		}
		switch {
		case kind == TxAnchor:
			anchorOf = by
		case kind != TxOther:
			t.By = by
		}
		if s == successShape || s == timeoutShape { // SIGHASH_SINGLE: the output stands at the input's index
			op := wire.OutPoint{Hash: txid, Index: uint32(i)} //nolint:gosec // an index
			x.open[op] = output{from.owner, tx.TxOut[i].Value}
		}
	}
	if t.By == "" {
		t.By = anchorOf
	}
	x.name(&t, counts)
	return t
}

// closes is the transaction of a block that spends the funding output, nil if there is none.
func (x *explorer) closes(block *wire.MsgBlock) *chainhash.Hash {
	for _, tx := range block.Transactions {
		for _, in := range tx.TxIn {
			if in.PreviousOutPoint == x.funding {
				txid := tx.TxHash()
				return &txid
			}
		}
	}
	return nil
}

// opened takes in the outputs of the transaction that closed the channel. Those of a cooperative close are in the wallets.
func (x *explorer) opened(tx *wire.MsgTx, by string) {
	if by == "" {
		return
	}
	txid := tx.TxHash()
	for i, out := range tx.TxOut {
		x.open[wire.OutPoint{Hash: txid, Index: uint32(i)}] = output{by, out.Value} //nolint:gosec // an index
	}
}

func (x *explorer) other(name string) string {
	if name == x.sides[0] {
		return x.sides[1]
	}
	return x.sides[0]
}

// name makes the label of what was counted.
func (x *explorer) name(t *ChainTx, counts map[TxKind]int) {
	var parts []string
	for _, kind := range txKinds {
		n := counts[kind]
		if n == 0 || kind == TxAnchor && (counts[TxSweep] > 0 || counts[TxJustice] > 0) { // taken along
			continue
		}
		if len(parts) == 0 {
			t.Kind = kind
		}
		part := txNames[kind]
		if n > 1 {
			part += fmt.Sprintf(" ×%d", n)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = []string{txNames[TxOther]}
	}
	t.Label = strings.Join(parts, " + ")
	if t.By != "" {
		t.Label = t.By + "'s " + t.Label
	}
}

// left is the value of the channel's outputs that nobody took, and how many they are.
func (x *explorer) left() (sat uint64, outputs int) {
	for _, out := range x.open {
		sat += uint64(out.value) //nolint:gosec // valid transactions only
	}
	return sat, len(x.open)
}
