package journal

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

// hole is the offset of an event whose line can't be read.
const hole = ^uint32(0)

// hashOf is the digest that ids are looked up by. Whoever finds one compares the ids themselves.
func hashOf(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// index says where the events of a segment are: 24 bytes of memory an event.
type index struct {
	offsets []uint32 // of the lines, by position; hole: unreadable
	hashes  []uint64 // of the ids, by position; 0 for a hole
	order   []uint32 // positions by hash; of a segment that grows nil, and byHash instead
	byHash  map[uint64][]uint32
	size    int64     // end of the last line
	first   time.Time // of the first readable event
	last    time.Time // of the last
}

func newIndex() *index { return &index{byHash: map[uint64][]uint32{}} }

func (x *index) count() uint64 { return uint64(len(x.offsets)) }

// add adds the next event, whose line lies at the end.
func (x *index) add(at int64, length int, e *Entry) {
	h, n := hashOf(e.ID), uint32(len(x.offsets)) //nolint:gosec // a segment has fewer
	x.offsets = append(x.offsets, uint32(at))    //nolint:gosec // a segment is smaller, see maxBytes
	x.hashes = append(x.hashes, h)
	x.byHash[h] = append(x.byHash[h], n)
	x.size = at + int64(length)
	if x.first.IsZero() {
		x.first = e.Time
	}
	x.last = e.Time
}

// miss adds events that can't be read.
func (x *index) miss(n uint64) {
	for range n {
		x.offsets = append(x.offsets, hole)
		x.hashes = append(x.hashes, 0)
	}
}

// close turns what grows into what is looked up only.
func (x *index) close() {
	x.order = make([]uint32, len(x.hashes))
	for i := range x.order {
		x.order[i] = uint32(i) //nolint:gosec // a segment has fewer
	}
	slices.SortFunc(x.order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(x.hashes[a], x.hashes[b]), cmp.Compare(a, b))
	})
	x.byHash = nil
}

// find yields the positions in the segment at which an event with the hash is.
func (x *index) find(h uint64) []uint32 {
	if x.byHash != nil {
		return x.byHash[h]
	}
	from, found := slices.BinarySearchFunc(x.order, h, func(n uint32, h uint64) int { return cmp.Compare(x.hashes[n], h) })
	if !found {
		return nil
	}
	to := from
	for to < len(x.order) && x.hashes[x.order[to]] == h {
		to++
	}
	return x.order[from:to]
}

// holes lists the runs of unreadable events as first and last position in the segment.
func (x *index) holes() (out [][2]uint64) {
	for i := 0; i < len(x.offsets); i++ {
		if x.offsets[i] != hole {
			continue
		}
		from := i
		for i+1 < len(x.offsets) && x.offsets[i+1] == hole {
			i++
		}
		out = append(out, [2]uint64{uint64(from), uint64(i)}) //nolint:gosec // positions
	}
	return out
}

// Layout of an .index file, all numbers big-endian: magic, base, size of the segment, first and last time in nanoseconds, count, then offset and hash of
// each event, then the CRC-32C of all before.
const (
	indexMagic = "lnactorJ"
	indexHead  = len(indexMagic) + 8 + 8 + 8 + 8 + 4
	indexItem  = 4 + 8
)

func (x *index) encode(base uint64) []byte {
	b := make([]byte, 0, indexHead+len(x.offsets)*indexItem+4)
	b = append(b, indexMagic...)
	b = binary.BigEndian.AppendUint64(b, base)
	b = binary.BigEndian.AppendUint64(b, uint64(x.size)) //nolint:gosec // a size
	b = binary.BigEndian.AppendUint64(b, nanos(x.first))
	b = binary.BigEndian.AppendUint64(b, nanos(x.last))
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.offsets))) //nolint:gosec // a segment has fewer
	for i, at := range x.offsets {
		b = binary.BigEndian.AppendUint32(b, at)
		b = binary.BigEndian.AppendUint64(b, x.hashes[i])
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A segment without a readable event has no times.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano()) //nolint:gosec // back and forth
}

func fromNanos(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC() //nolint:gosec // back and forth
}

// decodeIndex reads what encode wrote for the segment at base, which has the size.
func decodeIndex(b []byte, base uint64, size int64) (*index, error) {
	if len(b) < indexHead+4 || string(b[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("no index")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("its checksum is wrong")
	}
	at := body[len(indexMagic):]
	u64 := func() (v uint64) { v, at = binary.BigEndian.Uint64(at), at[8:]; return v }
	haveBase, haveSize := u64(), u64()
	x := &index{first: fromNanos(u64()), last: fromNanos(u64()), size: size}
	n := int(binary.BigEndian.Uint32(at))
	at = at[4:]
	if haveBase != base || haveSize != uint64(size) || len(at) != n*indexItem { //nolint:gosec // a size
		return nil, fmt.Errorf("it is of another segment")
	}
	x.offsets, x.hashes = make([]uint32, n), make([]uint64, n)
	for i := range n {
		x.offsets[i], x.hashes[i] = binary.BigEndian.Uint32(at), binary.BigEndian.Uint64(at[4:])
		at = at[indexItem:]
	}
	x.close()
	return x, nil
}
