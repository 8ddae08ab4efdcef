package bboltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/lnactor/lnactor/actors/persister"
)

// A value is: version (1), CRC of the head (4), CRC of the data (4), length of the head (2), head, data. Integers are big endian.
//
// The head is what tells whose the value is. It has a checksum of its own so that damage to the data can still be attributed to its owner,
// and only that owner is lost. Both checksums cover bucket and key: a value under a wrong key does not verify.
const (
	version  = 1
	overhead = 1 + 4 + 4 + 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errVersion  = errors.New("unknown version")
	errShort    = errors.New("too short")
	errChecksum = errors.New("checksum does not match")
)

// codec makes and opens envelopes. It is for one goroutine at a time.
type codec struct{ scratch []byte }

// seal appends the envelope to buf.
func (c *codec) seal(buf []byte, bucket string, key, head, data []byte) []byte {
	at := len(buf)
	buf = append(buf, version, 0, 0, 0, 0, 0, 0, 0, 0)
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(head)))
	buf = append(buf, head...)
	sum := c.headSum(bucket, key, head)
	binary.BigEndian.PutUint32(buf[at+1:], sum)
	binary.BigEndian.PutUint32(buf[at+5:], crc32.Update(sum, castagnoli, data))
	return append(buf, data...)
}

func (c *codec) headSum(bucket string, key, head []byte) uint32 {
	b := append(c.scratch[:0], version) // one pass over all of it is faster than one over each
	b = binary.BigEndian.AppendUint16(b, uint16(len(bucket)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, bucket...)
	b = append(b, key...)
	b = append(b, head...)
	c.scratch = b
	return crc32.Update(0, castagnoli, b)
}

// unseal returns the parts of an envelope, which share memory with it. If the head verifies but the data does not, the head is returned with
// the error.
func (c *codec) unseal(bucket string, key, value []byte) (head, data []byte, err error) {
	if len(value) < overhead {
		return nil, nil, errShort
	}
	if value[0] != version {
		return nil, nil, fmt.Errorf("%w %d, want %d", errVersion, value[0], version)
	}
	n := int(binary.BigEndian.Uint16(value[9:]))
	if len(value) < overhead+n {
		return nil, nil, errShort
	}
	head, data = value[overhead:overhead+n], value[overhead+n:]
	sum := c.headSum(bucket, key, head)
	if binary.BigEndian.Uint32(value[1:]) != sum {
		return nil, nil, errChecksum
	}
	if binary.BigEndian.Uint32(value[5:]) != crc32.Update(sum, castagnoli, data) {
		return head, nil, errChecksum
	}
	return head, data, nil
}

func logKey(key uint64) []byte { return binary.BigEndian.AppendUint64(nil, key) }

// corrupt says which value is damaged.
func (s *Store) corrupt(op, bucket string, key []byte, err error) *persister.Error {
	return corruptFile(op, s.path, bucket, key, err)
}

func corruptFile(op, path, bucket string, key []byte, err error) *persister.Error {
	return &persister.Error{
		Kind: persister.ErrCorrupt, Op: op, Path: path, Bucket: bucket, Key: append([]byte(nil), key...), Err: err,
		Hint: "keep a copy of the directory, check the disk, and put no older store in its place by hand, which could broadcast a revoked state: 'lnactor restore' marks its channels",
	}
}
