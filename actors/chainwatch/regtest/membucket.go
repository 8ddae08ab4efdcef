package regtest

import (
	"slices"
	"strings"

	"github.com/btcsuite/btcd/database"
)

// memBucketTx is a bucket as one transaction sees it.
type memBucketTx struct {
	tx *memTx
	b  *memBucket
}

var _ database.Bucket = (*memBucketTx)(nil)

func (b *memBucketTx) Writable() bool { return b.tx.writable }

func (b *memBucketTx) Bucket(key []byte) database.Bucket {
	sub, ok := b.b.sub[string(key)]
	if !ok {
		// An untyped nil: btcd compares the interface with nil.
		return nil
	}
	return &memBucketTx{tx: b.tx, b: sub}
}

func (b *memBucketTx) CreateBucket(key []byte) (database.Bucket, error) {
	if err := b.tx.checkWritable(); err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, dbError(database.ErrBucketNameRequired, "bucket name is empty")
	}
	name := string(key)
	if _, ok := b.b.sub[name]; ok {
		return nil, dbError(database.ErrBucketExists, "bucket exists: "+name)
	}
	sub := newMemBucket()
	b.b.sub[name] = sub
	b.tx.undo = append(b.tx.undo, func() { delete(b.b.sub, name) })
	return &memBucketTx{tx: b.tx, b: sub}, nil
}

func (b *memBucketTx) CreateBucketIfNotExists(key []byte) (database.Bucket, error) {
	if sub := b.Bucket(key); sub != nil {
		return sub, b.tx.checkWritable()
	}
	return b.CreateBucket(key)
}

func (b *memBucketTx) DeleteBucket(key []byte) error {
	if err := b.tx.checkWritable(); err != nil {
		return err
	}
	name := string(key)
	sub, ok := b.b.sub[name]
	if !ok {
		return dbError(database.ErrBucketNotFound, "no bucket: "+name)
	}
	delete(b.b.sub, name)
	b.tx.undo = append(b.tx.undo, func() { b.b.sub[name] = sub })
	return nil
}

func (b *memBucketTx) Put(key, value []byte) error {
	if err := b.tx.checkWritable(); err != nil {
		return err
	}
	if len(key) == 0 {
		return dbError(database.ErrKeyRequired, "key is empty")
	}
	name := string(key)
	b.keep(name)
	b.b.kv[name] = slices.Clone(value)
	return nil
}

func (b *memBucketTx) Delete(key []byte) error {
	if err := b.tx.checkWritable(); err != nil {
		return err
	}
	name := string(key)
	b.keep(name)
	delete(b.b.kv, name)
	return nil
}

// keep remembers a key's value so that the transaction can be taken back.
func (b *memBucketTx) keep(name string) {
	old, ok := b.b.kv[name]
	b.tx.undo = append(b.tx.undo, func() {
		if ok {
			b.b.kv[name] = old
		} else {
			delete(b.b.kv, name)
		}
	})
}

func (b *memBucketTx) Get(key []byte) []byte { return b.b.kv[string(key)] }

func (b *memBucketTx) ForEach(fn func(k, v []byte) error) error {
	for _, k := range sortedKeys(b.b.kv) {
		if err := fn([]byte(k), b.b.kv[k]); err != nil {
			return err
		}
	}
	return nil
}

func (b *memBucketTx) ForEachBucket(fn func(k []byte) error) error {
	for _, k := range sortedKeys(b.b.sub) {
		if err := fn([]byte(k)); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Cursor walks the keys as they are now; btcd walks only while it starts.
func (b *memBucketTx) Cursor() database.Cursor {
	return &memCursor{b: b, keys: sortedKeys(b.b.kv), at: -1}
}

type memCursor struct {
	b    *memBucketTx
	keys []string
	at   int
}

var _ database.Cursor = (*memCursor)(nil)

func (c *memCursor) Bucket() database.Bucket { return c.b }

func (c *memCursor) valid() bool { return c.at >= 0 && c.at < len(c.keys) }

func (c *memCursor) Delete() error {
	if !c.valid() {
		return dbError(database.ErrIncompatibleValue, "cursor is exhausted")
	}
	return c.b.Delete([]byte(c.keys[c.at]))
}

func (c *memCursor) First() bool {
	c.at = 0
	return c.valid()
}

func (c *memCursor) Last() bool {
	c.at = len(c.keys) - 1
	return c.valid()
}

func (c *memCursor) Next() bool {
	if c.at < len(c.keys) {
		c.at++
	}
	return c.valid()
}

func (c *memCursor) Prev() bool {
	if c.at >= 0 {
		c.at--
	}
	return c.valid()
}

func (c *memCursor) Seek(seek []byte) bool {
	c.at, _ = slices.BinarySearchFunc(c.keys, string(seek), strings.Compare)
	return c.valid()
}

func (c *memCursor) Key() []byte {
	if !c.valid() {
		return nil
	}
	return []byte(c.keys[c.at])
}

func (c *memCursor) Value() []byte {
	if !c.valid() {
		return nil
	}
	return c.b.b.kv[c.keys[c.at]]
}
