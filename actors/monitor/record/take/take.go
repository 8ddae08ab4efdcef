// Package take turns bytes of unknown origin into typed values: what a record holds is checked before a core sees it. Nothing here panics.
package take

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"
)

// Reader checks values and keeps the first thing that was wrong: a codec reads a whole record and looks at Err once. The zero value is ready.
type Reader struct{ err error }

// Err is the first failure, nil if there was none.
func (r *Reader) Err() error { return r.err }

// Fail notes a failure, unless there was one before.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// B32 takes exactly 32 bytes.
func (r *Reader) B32(what string, b []byte) (v [32]byte) {
	if len(b) != len(v) {
		r.Fail("%s of %d bytes, want 32", what, len(b))
		return v
	}
	return [32]byte(b)
}

// B33 takes exactly 33 bytes.
func (r *Reader) B33(what string, b []byte) (v [33]byte) {
	if len(b) != len(v) {
		r.Fail("%s of %d bytes, want 33", what, len(b))
		return v
	}
	return [33]byte(b)
}

// Optional32 takes 32 bytes, or none.
func (r *Reader) Optional32(what string, b []byte) *[32]byte {
	if len(b) == 0 {
		return nil
	}
	v := r.B32(what, b)
	return &v
}

// Sig takes a signature in its 64-byte form.
func (r *Reader) Sig(what string, b []byte) lnwire.Sig {
	if len(b) != 64 {
		r.Fail("%s of %d bytes, want 64", what, len(b))
		return lnwire.Sig{}
	}
	s, err := lnwire.NewSigFromWireECDSA(b)
	if err != nil {
		r.Fail("%s: %w", what, err)
	}
	return s
}

// PubKey takes a public key in either of its forms.
func (r *Reader) PubKey(what string, b []byte) *btcec.PublicKey {
	k, err := btcec.ParsePubKey(b)
	if err != nil {
		r.Fail("%s: %w", what, err)
		return nil
	}
	return k
}

// Tx takes a transaction, or nothing.
func (r *Reader) Tx(what string, b []byte) *wire.MsgTx {
	if len(b) == 0 {
		return nil
	}
	var tx wire.MsgTx
	in := bytes.NewReader(b)
	if err := tx.Deserialize(in); err != nil {
		r.Fail("%s: %w", what, err)
		return nil
	}
	if in.Len() > 0 {
		r.Fail("%s: %d bytes follow it", what, in.Len())
		return nil
	}
	return &tx
}

// U16 takes a number that fits into 16 bits.
func (r *Reader) U16(what string, v uint32) uint16 {
	if v > 1<<16-1 {
		r.Fail("%s of %d", what, v)
	}
	return uint16(v)
}

// U8 takes a number from 0 to limit.
func (r *Reader) U8(what string, v, limit uint32) uint8 {
	if v > limit {
		r.Fail("%s of %d, at most %d is known", what, v, limit)
		return 0
	}
	return uint8(v)
}

// Int64 takes an amount that is not negative.
func (r *Reader) Int64(what string, v uint64) int64 {
	if v > 1<<63-1 {
		r.Fail("%s of %d", what, v)
		return 0
	}
	return int64(v)
}

// TxBytes is what Tx reads; nil for nil.
func TxBytes(tx *wire.MsgTx) []byte {
	if tx == nil {
		return nil
	}
	var b bytes.Buffer
	b.Grow(tx.SerializeSize())
	if err := tx.Serialize(&b); err != nil {
		panic(fmt.Sprintf("take: a buffer refused to grow: %v", err))
	}
	return b.Bytes()
}

// Slice is a slice of an array's own, for a codec that writes it: a loop variable would be gone.
func Slice(v []byte) []byte { return bytes.Clone(v) }
