package commitment

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
)

// MaxNumber is the last commitment number a channel can have (BOLT 3).
const MaxNumber = 1<<48 - 1

// The upper bytes of locktime and sequence of a commitment transaction: a time
// long past, and a sequence number without a relative lock (BOLT 3).
const (
	lockTimeMark = 0x20 << 24
	sequenceMark = 0x80 << 24
	low24        = 1<<24 - 1
)

// obscurer is the mask over the commitment numbers of a channel: the lower 48
// bits of SHA256(opener's payment basepoint || accepter's).
func obscurer(s *Static) uint64 {
	opener, accepter := s.Holder.Payment, s.Counterparty.Payment
	if !s.HolderIsFunder {
		opener, accepter = accepter, opener
	}
	var both [2 * btcec.PubKeyBytesLenCompressed]byte
	copy(both[:], opener.SerializeCompressed())
	copy(both[btcec.PubKeyBytesLenCompressed:], accepter.SerializeCompressed())
	sum := sha256.Sum256(both[:])
	return binary.BigEndian.Uint64(sum[24:]) & MaxNumber
}

// setNumber writes the obscured commitment number into locktime and sequence.
func setNumber(tx *wire.MsgTx, s *Static, number uint64) {
	obscured := number ^ obscurer(s)
	tx.LockTime = lockTimeMark | uint32(obscured&low24)
	tx.TxIn[0].Sequence = sequenceMark | uint32(obscured>>24)
}

// NumberOf reads the commitment number from a transaction that spends the
// funding output. It is ErrNotCommitment when the transaction does not look
// like a commitment, for example a mutual close. Which side owns the
// commitment cannot be read from it: compare txids.
func NumberOf(tx *wire.MsgTx, s *Static) (uint64, error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	if tx == nil || len(tx.TxIn) != 1 || tx.TxIn[0].PreviousOutPoint != s.Funding ||
		tx.LockTime&^low24 != lockTimeMark || tx.TxIn[0].Sequence&^low24 != sequenceMark {
		return 0, ErrNotCommitment
	}
	obscured := uint64(tx.TxIn[0].Sequence&low24)<<24 | uint64(tx.LockTime&low24)
	return obscured ^ obscurer(s), nil
}
