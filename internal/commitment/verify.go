package commitment

import (
	"runtime"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/lightningnetwork/lnd/lnwire"
)

// Verify checks what commitment_signed brings: the signature of the commitment
// transaction and one signature for each of its HTLCs, in order. The key is the
// one of the side that does not own the commitment. The error is a
// *SignatureError naming the first signature that fails; nothing may be kept of
// a message that fails here.
func (t *Tx) Verify(sig lnwire.Sig, htlcSigs []lnwire.Sig) error {
	if len(htlcSigs) != len(t.HTLCs) {
		return &SignatureError{Of: OfHTLC, Number: t.Number, Index: min(len(htlcSigs), len(t.HTLCs)), Reason: errSigCount}
	}
	hash, err := t.SigHash()
	if err != nil {
		return err
	}
	if err := verifySig(hash, sig, t.Keys.OtherFunding); err != nil {
		return &SignatureError{Of: OfCommitment, Number: t.Number, Reason: err}
	}
	return ForEachHTLC(len(htlcSigs), func(i int) error {
		hash, err := t.CounterSigHash(i)
		if err != nil {
			return err
		}
		if err := verifySig(hash, htlcSigs[i], t.Keys.OtherHTLC); err != nil {
			return &SignatureError{Of: OfHTLC, Number: t.Number, Index: i, HTLCID: t.HTLCs[i].ID, Reason: err}
		}
		return nil
	})
}

// perWorker is how many signatures are worth a goroutine of their own: one
// takes tens of microseconds, starting a goroutine less than one.
const perWorker = 4

// ForEachHTLC calls do(0) .. do(n-1), spread over the processors when n is worth
// it, and returns when all calls have ended. Calls may run at the same time, so
// each must only touch what is its own. The error is the one of the lowest i
// that failed, whatever the order of the calls was. A panic of a call is the
// caller's: an actor may die of it, the process must not.
func ForEachHTLC(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n/perWorker)
	if workers < 2 {
		return forRange(0, n, do)
	}
	// Contiguous ranges: each worker stops at its first failure, and the first
	// range that failed holds the lowest of all.
	errs, panics := make([]error, workers), make([]any, workers)
	part := func(w int) {
		defer func() { panics[w] = recover() }()
		errs[w] = forRange(w*n/workers, (w+1)*n/workers, do)
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { part(w) })
	}
	part(0)
	wg.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func forRange(from, to int, do func(i int) error) error {
	for i := from; i < to; i++ {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// verifySig checks a signature in the 64-byte form of the wire.
func verifySig(hash []byte, sig lnwire.Sig, key *btcec.PublicKey) error {
	parsed, err := parseSig(sig)
	if err != nil {
		return err
	}
	if !parsed.Verify(hash, key) {
		return errSigVerify
	}
	return nil
}

// parseSig turns the wire form into a signature. The fixed-size form is read
// directly: going through DER, as the library's converter does, costs more and
// checks less. A high s is refused because a transaction with it would not
// relay (BOLT 2, commitment_signed).
func parseSig(sig lnwire.Sig) (*ecdsa.Signature, error) {
	raw := sig.RawBytes()
	var r, s btcec.ModNScalar
	if r.SetByteSlice(raw[:32]) || s.SetByteSlice(raw[32:]) || r.IsZero() || s.IsZero() {
		return nil, errSigRange
	}
	if s.IsOverHalfOrder() {
		return nil, errSigHighS
	}
	return ecdsa.NewSignature(&r, &s), nil
}

// Sign signs a hash. It is deterministic (RFC 6979): the same key and hash give
// the same signature, so a commitment_signed can be made again after a crash,
// byte for byte.
func Sign(key *btcec.PrivateKey, hash []byte) (lnwire.Sig, error) {
	return lnwire.NewSigFromSignature(ecdsa.Sign(key, hash))
}
