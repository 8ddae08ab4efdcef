package neutrino

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/walletdb"
)

// staleLimit is how many headers of abandoned branches are kept: decades of forks on mainnet.
const staleLimit = 288

// staleHeaders are the headers that the library throws away in a reorganisation. A watcher that comes back with one of them as its cursor is told
// the exact fork instead of a guess. A cache: losing it costs blocks to fetch again, nothing else.
//
// In the database: sequence number (8 bytes) -> height (4 bytes), header (80 bytes).
type staleHeaders struct {
	db walletdb.DB

	mu     sync.Mutex
	byHash map[chainhash.Hash]staleHeader
	order  []chainhash.Hash // oldest first
	next   uint64
}

type staleHeader struct {
	header wire.BlockHeader
	height int32
	seq    uint64
}

var staleBucket = []byte("lnactor-stale-headers")

func openStale(db walletdb.DB) (*staleHeaders, error) {
	s := &staleHeaders{db: db, byHash: make(map[chainhash.Hash]staleHeader)}
	err := walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		bucket, err := tx.CreateTopLevelBucket(staleBucket)
		if err != nil {
			return err
		}
		return bucket.ForEach(func(k, v []byte) error {
			entry, err := readStale(k, v)
			if err != nil {
				return err
			}
			s.insert(entry)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("abandoned headers: %w", err)
	}
	return s, nil
}

func (s *staleHeaders) insert(entry staleHeader) {
	hash := entry.header.BlockHash()
	s.byHash[hash] = entry
	s.order = append(s.order, hash)
	s.next = entry.seq + 1
}

func (s *staleHeaders) get(hash chainhash.Hash) (wire.BlockHeader, int32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, ok := s.byHash[hash]
	return entry.header, entry.height, ok
}

// add keeps a header, and lets go of the oldest when there are too many. A header that left, came back and leaves again is there already.
func (s *staleHeaders) add(header wire.BlockHeader, height int32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byHash[header.BlockHash()]; ok {
		return nil
	}
	entry := staleHeader{header: header, height: height, seq: s.next}
	s.insert(entry)
	var oldest *staleHeader
	if len(s.order) > staleLimit {
		old := s.byHash[s.order[0]]
		oldest = &old
		delete(s.byHash, s.order[0])
		s.order = s.order[1:]
	}
	return walletdb.Update(s.db, func(tx walletdb.ReadWriteTx) error {
		bucket := tx.ReadWriteBucket(staleBucket)
		if oldest != nil {
			if err := bucket.Delete(staleKey(oldest.seq)); err != nil {
				return err
			}
		}
		v := binary.BigEndian.AppendUint32(nil, uint32(height))
		buf := bytes.NewBuffer(v)
		if err := header.Serialize(buf); err != nil {
			return err
		}
		return bucket.Put(staleKey(entry.seq), buf.Bytes())
	})
}

func staleKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func readStale(k, v []byte) (staleHeader, error) {
	if len(k) != 8 || len(v) != 4+wire.MaxBlockHeaderPayload {
		return staleHeader{}, errors.New("entry of the wrong length; delete the directory, it is a cache")
	}
	entry := staleHeader{seq: binary.BigEndian.Uint64(k), height: int32(binary.BigEndian.Uint32(v))}
	return entry, entry.header.Deserialize(bytes.NewReader(v[4:]))
}
