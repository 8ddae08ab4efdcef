package regtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
)

// journal keeps the blocks that a process which is killed would take with it: btcd's database holds on to what it was given for minutes. A record is
// the block's length and CRC-32C (4 bytes each, big endian) and the block. It is empty after a Close.
type journal struct{ file *os.File }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal gives the blocks of a journal to add, in order. The last one may be cut off: nobody has heard of it.
func openJournal(path string, add func(*btcutil.Block) error) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("regtest: %w", err)
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("regtest: read %s: %w", path, closed(f, err))
	}
	rest := raw
	for len(rest) >= 8 {
		n, sum := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		if n == 0 || n > wire.MaxBlockPayload || int(n) > len(rest)-8 || crc32.Checksum(rest[8:8+n], castagnoli) != sum {
			break
		}
		block, err := btcutil.NewBlockFromBytes(rest[8 : 8+n])
		if err == nil {
			err = add(block)
		}
		if err != nil {
			return nil, fmt.Errorf("regtest: block in %s: %w", path, closed(f, err))
		}
		rest = rest[8+n:]
	}
	if err := f.Truncate(int64(len(raw) - len(rest))); err != nil {
		return nil, fmt.Errorf("regtest: %w", closed(f, err))
	}
	return &journal{f}, nil
}

func closed(f *os.File, err error) error {
	_ = f.Close()
	return err
}

// append returns when the block is durable.
func (j *journal) append(block *wire.MsgBlock) error {
	if j == nil {
		return nil
	}
	b := bytes.NewBuffer(make([]byte, 8))
	if err := block.Serialize(b); err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	record := b.Bytes()
	binary.BigEndian.PutUint32(record, uint32(len(record)-8))
	binary.BigEndian.PutUint32(record[4:], crc32.Checksum(record[8:], castagnoli))
	if _, err := j.file.Write(record); err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	return nil
}

// close empties the journal if all is in the database.
func (j *journal) close(saved bool) error {
	if j == nil {
		return nil
	}
	var err error
	if saved {
		err = j.file.Truncate(0)
	}
	if e := j.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	return nil
}

// restore adds a block of the journal, unless the database has it.
func (c *Chain) restore(block *btcutil.Block) error {
	if have, err := c.bc.HaveBlock(block.Hash()); have || err != nil {
		return err
	}
	_, _, err := c.bc.ProcessBlock(block, blockchain.BFNone)
	return err
}
