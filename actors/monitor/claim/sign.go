package claim

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

var (
	// ErrStale means that the request is of another resolution: an output is gone or was spent. Plan again.
	ErrStale = errors.New("claim: an output of the request can't be claimed any more")

	// ErrBuilt means that the wallet built something else than was asked for. It is a bug; nothing was signed.
	ErrBuilt = errors.New("claim: the transaction is not the one that was asked for")

	// ErrFee means that the transaction pays more than the claim is worth, or less than it takes to replace the former.
	ErrFee = errors.New("claim: the fee is out of bounds")

	// ErrScript means that a witness of ours does not satisfy its output: the transaction would never confirm, so it is not broadcast.
	ErrScript = errors.New("claim: a witness does not satisfy its output")
)

// SignError says what is wrong with a claim that was to be signed.
type SignError struct {
	Claim uint64
	Input int // -1 if it is not about one of them
	Err   error
}

func (e *SignError) Error() string {
	if e.Input < 0 {
		return fmt.Sprintf("claim %016x: %v", e.Claim, e.Err)
	}
	return fmt.Sprintf("claim %016x, input %d: %v", e.Claim, e.Input, e.Err)
}

func (e *SignError) Unwrap() error { return e.Err }

// Sign completes what the wallet built for a request of this resolution, and executes every script of ours. Errors are *SignError around ErrStale,
// ErrBuilt, ErrFee, ErrScript or what the signer returned; of a wallet that built nothing it is the wallet's error.
func (r *Resolution) Sign(signer chankeys.Signer, q *Request, built messages.ClaimBuilt) (facts.ClaimSigned, error) {
	if built.Err != nil {
		return facts.ClaimSigned{}, built.Err
	}
	outs, err := r.check(q, &built)
	if err != nil {
		return facts.ClaimSigned{}, err
	}
	tx := built.Tx.Copy()
	for i, o := range outs {
		if tx, err = r.sign(signer, tx, i, o); err != nil {
			return facts.ClaimSigned{}, &SignError{q.ID, i, err}
		}
	}
	for i, o := range outs {
		if err := execute(tx, i, o); err != nil {
			return facts.ClaimSigned{}, &SignError{q.ID, i, fmt.Errorf("%w: %w", ErrScript, err)}
		}
	}
	return facts.ClaimSigned{ID: q.ID, Tx: tx, FeeSat: built.FeeSat, FeePerKw: built.FeePerKw, Height: r.f.Height, Deadline: q.Deadline}, nil
}

// check holds the wallet's transaction against the request: the inputs asked for first and in order, each with the output that has to stand beside
// it, and a fee within bounds.
func (r *Resolution) check(q *Request, built *messages.ClaimBuilt) ([]*output, error) {
	fail := func(i int, err error, format string, args ...any) ([]*output, error) {
		return nil, &SignError{q.ID, i, fmt.Errorf("%w: %s", err, fmt.Sprintf(format, args...))}
	}
	tx, b := built.Tx, &q.Build
	switch {
	case tx == nil || len(tx.TxOut) == 0 || len(b.Inputs) == 0 || len(tx.TxIn) < len(b.Inputs):
		return fail(-1, ErrBuilt, "inputs or outputs are missing")
	case tx.Version != 2 || tx.LockTime != b.LockTime:
		return fail(-1, ErrBuilt, "version %d and lock time %d, want 2 and %d", tx.Version, tx.LockTime, b.LockTime)
	case built.FeeSat > b.MaxFeeSat || built.FeeSat < b.MinFeeSat && !built.Anew:
		return fail(-1, ErrFee, "%d sat, want %d to %d", built.FeeSat, b.MinFeeSat, b.MaxFeeSat)
	}
	outs := make([]*output, len(b.Inputs))
	for i := range b.Inputs {
		want, got := &b.Inputs[i], tx.TxIn[i]
		if got.PreviousOutPoint != want.OutPoint || got.Sequence != want.Sequence {
			return fail(i, ErrBuilt, "spends %v with sequence %d", got.PreviousOutPoint, got.Sequence)
		}
		if o := want.Output; o != nil && (i >= len(tx.TxOut) || tx.TxOut[i].Value != o.Value || string(tx.TxOut[i].PkScript) != string(o.PkScript)) {
			return fail(i, ErrBuilt, "the output beside it is another")
		}
		outs[i] = r.byOp[want.OutPoint]
		if outs[i] == nil || r.claimableAt(outs[i]) > r.f.Height {
			return fail(i, ErrStale, "%v", want.OutPoint)
		}
	}
	return outs, checkRest(q, built, fail, outs)
}

// checkRest looks at what the wallet added. Only without inputs of its own the fee can be read from the transaction.
func checkRest(q *Request, built *messages.ClaimBuilt, fail func(int, error, string, ...any) ([]*output, error), outs []*output) error {
	seen := make(map[wire.OutPoint]bool, len(built.Tx.TxIn))
	for i, in := range built.Tx.TxIn {
		if seen[in.PreviousOutPoint] || (i >= len(outs) && len(in.Witness) == 0) {
			_, err := fail(i, ErrBuilt, "input twice, or not signed")
			return err
		}
		seen[in.PreviousOutPoint] = true
	}
	if len(built.Tx.TxIn) > len(q.Build.Inputs) {
		return nil
	}
	out := uint64(0)
	for _, o := range built.Tx.TxOut {
		out += uint64(o.Value)
	}
	if total := sum(outs); out > total || total-out != built.FeeSat {
		_, err := fail(-1, ErrBuilt, "%d sat in, %d sat out, and a fee of %d sat", total, out, built.FeeSat)
		return err
	}
	return nil
}

// sign makes the witness of input i, which spends o, in a transaction that is final but for its witnesses.
func (r *Resolution) sign(signer chankeys.Signer, tx *wire.MsgTx, i int, o *output) (*wire.MsgTx, error) {
	if o.kind == htlcOwn {
		if o.index >= len(r.f.HolderHTLCSigs) {
			return nil, fmt.Errorf("%w: no signature of the counterparty", ErrContradiction)
		}
		sig, err := signer.SignHolderHTLC(r.f.KeyIndex, &r.f.Tx, r.tx, o.index, tx)
		if err != nil {
			return nil, err
		}
		var preimage *[32]byte
		if p := o.htlc.preimage(); p != nil && !o.htlc.outbound {
			preimage = (*[32]byte)(p)
		}
		return r.tx.CompleteHTLC(o.index, tx, sig, r.f.HolderHTLCSigs[o.index], preimage)
	}
	s := chankeys.Spend{Path: o.path(), WitnessScript: o.script, Value: btcutil.Amount(o.value)}
	if r.keys != nil {
		s.Point = r.keys.PerCommitmentPoint
	}
	switch s.Path {
	case chankeys.PathHTLCPreimage:
		s.Preimage = (*[32]byte)(o.htlc.preimage())
	case chankeys.PathRevokedDelayed, chankeys.PathRevokedHTLC:
		s.Secret = r.secret
	case chankeys.PathDelayed, chankeys.PathToRemote, chankeys.PathAnchor, chankeys.PathHTLCTimeout:
	}
	w, err := signer.SignSpend(r.f.KeyIndex, &s, tx, i)
	if err != nil {
		return nil, err
	}
	tx.TxIn[i].Witness = w
	return tx, nil
}

// execute runs the scripts of an input, as nodes do before they relay.
func execute(tx *wire.MsgTx, i int, o *output) error {
	fetcher := txscript.NewCannedPrevOutputFetcher(o.pk, o.value) // the wallet's inputs are not looked at
	engine, err := txscript.NewEngine(o.pk, tx, i, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(tx, fetcher), o.value, fetcher)
	if err != nil {
		return err
	}
	return engine.Execute()
}
