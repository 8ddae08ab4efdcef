package bboltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/lnactor/lnactor/actors/persister"
)

// This file reads the page format of bbolt (version 2, native byte order), which is stable and documented, to find out before bbolt maps a
// file whether it would meet a page that it cannot stand: a fault or panic on one of its own goroutines would end the process.

const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16
	elementSize = 16
	metaSize    = 64

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	leafBucket   = 0x01
	bucketHeader = 16
	noFreelist   = ^uint64(0)
	maxDepth     = 64
)

type fileInfo struct {
	size, used int64
	lostMeta   bool // one of the two roots does not verify
}

type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // high-water mark
	txid     uint64
}

// checkFile reads the file once from front to back, so that what follows finds it in memory, and then checks every page that is in use.
func checkFile(path string) (fileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileInfo{}, persister.Failed("check", path, err)
	}
	defer f.Close()
	size, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil {
		return fileInfo{}, persister.Failed("check", path, err)
	}
	info := fileInfo{size: size}
	m, lost, err := readMetas(f, size)
	if err != nil {
		return info, corruptFile("check", path, "", nil, err)
	}
	info.lostMeta = lost
	w := &walker{f: f, path: path, meta: m, seen: make([]uint64, m.pages/64+1), pages: 2}
	if m.freelist != noFreelist {
		err = w.freelist(m.freelist)
	}
	if err == nil {
		err = w.bucket("", m.root, 0)
	}
	if err != nil {
		var fail *persister.Error
		if errors.As(err, &fail) {
			return info, err
		}
		return info, corruptFile("check", path, w.where, nil, err)
	}
	info.used = w.pages * int64(m.pageSize)
	return info, nil
}

// readMetas finds the two roots and returns the newer one that verifies, as bbolt does.
func readMetas(f io.ReaderAt, size int64) (best meta, lost bool, err error) {
	valid := 0
	try := func(at int64) {
		m, ok := readMeta(f, at)
		if !ok || at != 0 && at != int64(m.pageSize) {
			return
		}
		valid++
		if valid == 1 || m.txid > best.txid {
			best = m
		}
	}
	try(0)
	if valid == 1 {
		try(int64(best.pageSize))
	} else {
		for pageSize := int64(1024); pageSize <= 1<<24 && valid == 0; pageSize *= 2 {
			try(pageSize)
		}
	}
	switch {
	case valid == 0:
		return best, true, errors.New("neither of the two root pages verifies")
	case best.pages < 3 || best.pages > uint64(size)/uint64(best.pageSize):
		return best, true, fmt.Errorf("file is truncated: %d bytes, the root wants %d pages of %d", size, best.pages, best.pageSize)
	}
	return best, valid == 1, nil
}

func readMeta(f io.ReaderAt, at int64) (meta, bool) {
	var page [pageHeader + metaSize]byte
	if _, err := f.ReadAt(page[:], at); err != nil {
		return meta{}, false
	}
	b := page[pageHeader:]
	ne := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	if ne.Uint32(b) != boltMagic || ne.Uint32(b[4:]) != boltVersion || ne.Uint64(b[56:]) != sum.Sum64() {
		return meta{}, false
	}
	m := meta{pageSize: ne.Uint32(b[8:]), root: ne.Uint64(b[16:]), freelist: ne.Uint64(b[32:]), pages: ne.Uint64(b[40:]), txid: ne.Uint64(b[48:])}
	ok := m.pageSize >= 512 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// walker visits the pages of a tree.
type walker struct {
	f     io.ReaderAt
	path  string
	meta  meta
	seen  []uint64 // a bit per page
	pages int64    // in use
	where string   // bucket
	codec codec

	lower     []byte // every key from here on must be above this,
	inclusive bool   // or equal to it
	ordered   bool   // lower is set
	spare     [maxDepth][]byte
}

// page reads a page with its overflow and checks its header.
func (w *walker) page(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("page %d: tree is deeper than %d", id, maxDepth)
	}
	if id < 2 || id >= w.meta.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	size := int64(w.meta.pageSize)
	buf := grow(w.spare[depth], int(size))
	if _, err := w.f.ReadAt(buf, int64(id)*size); err != nil {
		return nil, persister.Failed("check", w.path, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(buf[12:]))
	if binary.NativeEndian.Uint64(buf) != id || id+overflow >= w.meta.pages {
		return nil, fmt.Errorf("page %d: bad header", id)
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, fmt.Errorf("page %d is in use twice", i)
		}
		w.seen[i/64] |= 1 << (i % 64)
	}
	w.pages += int64(overflow) + 1
	if overflow > 0 {
		buf = grow(buf, int(size)*int(overflow+1))
		if _, err := w.f.ReadAt(buf, int64(id)*size); err != nil {
			return nil, persister.Failed("check", w.path, err)
		}
	}
	w.spare[depth] = buf
	return buf, nil
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (w *walker) freelist(id uint64) error {
	p, err := w.page(id, 0)
	if err != nil {
		return err
	}
	count := uint64(binary.NativeEndian.Uint16(p[10:]))
	first := 0
	if count == 0xffff { // then the first element is the count
		count, first = binary.NativeEndian.Uint64(p[pageHeader:]), 1
	}
	if binary.NativeEndian.Uint16(p[8:]) != flagFreelist || count > uint64(len(p)-pageHeader)/8-uint64(first) {
		return fmt.Errorf("page %d: bad free list", id)
	}
	return nil
}

// bucket checks the tree below a root page.
func (w *walker) bucket(name string, root uint64, depth int) error {
	saved := *w
	w.where, w.lower, w.ordered = name, nil, false
	if err := w.tree(root, depth); err != nil {
		return err
	}
	w.where, w.lower, w.inclusive, w.ordered = saved.where, saved.lower, saved.inclusive, saved.ordered
	return nil
}

func (w *walker) tree(id uint64, depth int) error {
	p, err := w.page(id, depth)
	if err != nil {
		return err
	}
	return w.elements(p, id, depth)
}

// elements checks one page, which may be one within a value (a small bucket is kept inline).
func (w *walker) elements(p []byte, id uint64, depth int) (err error) {
	ne := binary.NativeEndian
	flags, count := ne.Uint16(p[8:]), int(ne.Uint16(p[10:]))
	if flags != flagBranch && flags != flagLeaf || pageHeader+count*elementSize > len(p) || flags == flagBranch && count == 0 {
		return fmt.Errorf("page %d: bad header", id)
	}
	next := pageHeader + count*elementSize // bbolt packs keys and values tightly; a wrong count would show here
	for i := range count {
		at := pageHeader + i*elementSize
		e := p[at:]
		if flags == flagBranch {
			key, ok := cut(p, at, ne.Uint32(e), ne.Uint32(e[4:]))
			if !ok || at+int(ne.Uint32(e)) != next || !w.order(key, true) {
				return fmt.Errorf("page %d: bad element %d", id, i)
			}
			next += len(key)
			if err := w.tree(ne.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		key, ok := cut(p, at, ne.Uint32(e[4:]), ne.Uint32(e[8:]))
		value, ok2 := cut(p, at, ne.Uint32(e[4:])+ne.Uint32(e[8:]), ne.Uint32(e[12:]))
		if !ok || !ok2 || at+int(ne.Uint32(e[4:])) != next || !w.order(key, false) || ne.Uint32(e)&^leafBucket != 0 {
			return fmt.Errorf("page %d: bad element %d", id, i)
		}
		next += len(key) + len(value)
		// Buckets are in the root and nothing else is, so a wrong flag cannot make one vanish.
		switch isBucket := ne.Uint32(e)&leafBucket != 0; {
		case isBucket != (w.where == ""):
			err = fmt.Errorf("page %d: bad element %d", id, i)
		case isBucket:
			err = w.child(string(key), value, depth)
		default:
			err = w.value(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// value checks that a value stands under its own key. A damaged key would make a row vanish, and what is not found may be paid again.
// Damage to the data is left to whoever reads it, since it can be attributed then.
func (w *walker) value(key, value []byte) error {
	head, _, err := w.codec.unseal(w.where, key, value)
	if err != nil && head == nil {
		return corruptFile("check", w.path, w.where, key, err)
	}
	return nil
}

func (w *walker) child(name string, value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("bucket %q: bad header", name)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.bucket(name, root, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf {
		return fmt.Errorf("bucket %q: bad inline page", name)
	}
	saved := *w
	w.where, w.lower, w.ordered = name, nil, false
	if err := w.elements(inline, 0, depth); err != nil {
		return err
	}
	w.where, w.lower, w.inclusive, w.ordered = saved.where, saved.lower, saved.inclusive, saved.ordered
	return nil
}

// cut returns the bytes that an element points to, relative to itself.
func cut(p []byte, element int, pos, size uint32) ([]byte, bool) {
	from := uint64(element) + uint64(pos)
	to := from + uint64(size)
	if to > uint64(len(p)) {
		return nil, false
	}
	return p[from:to], true
}

// order checks that keys ascend over the whole tree. A branch holds a lower bound of the keys below it.
func (w *walker) order(key []byte, inclusive bool) bool {
	if w.ordered {
		c := bytes.Compare(key, w.lower)
		if c < 0 || c == 0 && !w.inclusive {
			return false
		}
	}
	w.lower = append(w.lower[:0], key...)
	w.inclusive, w.ordered = inclusive, true
	return true
}
