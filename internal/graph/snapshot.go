package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"
)

// magic begins a snapshot. Another format gets another one: an old file is then thrown away.
const magic = "lngraph\x01"

// Cursor is how far into the chain spends of funding outputs were looked for.
type Cursor struct {
	Height uint32
	Hash   chainhash.Hash
}

// Encode writes the graph down: a cache file. Equal graphs make equal bytes. What is dead is not written.
func (g *Graph) Encode(chain chainhash.Hash, cursor Cursor) []byte {
	b := make([]byte, 0, 256+g.bytes+64*len(g.channels))
	b = append(b, magic...)
	b = append(b, chain[:]...)
	b = binary.BigEndian.AppendUint32(b, cursor.Height)
	b = append(b, cursor.Hash[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(g.channels))) //nolint:gosec // bounded by MaxChannels
	for _, c := range g.Sorted() {
		b = appendBytes(b, c.Raw)
		b = binary.BigEndian.AppendUint64(b, c.CapacitySat)
		b = append(b, c.Outpoint.Hash[:]...)
		b = binary.BigEndian.AppendUint32(b, c.Seen)
		for _, p := range c.Policies {
			if p == nil {
				b = appendBytes(b, nil)
			} else {
				b = appendBytes(b, p.Raw)
			}
		}
	}
	for _, n := range g.SortedNodes() {
		if n.Info != nil {
			b = appendBytes(b, n.Info.Raw)
		}
	}
	b = appendBytes(b, nil) // the end of the nodes
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func appendBytes(b, x []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(x))), x...) //nolint:gosec // messages are below 65,536 bytes
}

// Decode reads what Encode wrote. Signatures are not checked again: the file is as trustworthy as the disk that it is on, and a false channel in it
// costs no more than a failed payment. What is stale by now is left out. Any fault is ErrCache.
func Decode(raw []byte, chain chainhash.Hash, limits Limits, now time.Time) (*Graph, Cursor, error) {
	g := New(limits)
	r := reader{b: raw}
	if len(raw) < sha256.Size || sha256.Sum256(raw[:len(raw)-sha256.Size]) != [32]byte(raw[len(raw)-sha256.Size:]) {
		return nil, Cursor{}, fmt.Errorf("%w: checksum", ErrCache)
	}
	r.b = raw[:len(raw)-sha256.Size]
	if !bytes.Equal(r.take(len(magic)), []byte(magic)) || !bytes.Equal(r.take(len(chain)), chain[:]) {
		return nil, Cursor{}, fmt.Errorf("%w: it begins otherwise", ErrCache)
	}
	cursor := Cursor{Height: r.uint32(), Hash: r.hash()}
	for range r.uint32() {
		if r.failed {
			break
		}
		if err := g.decodeChannel(&r, chain, now); err != nil {
			return nil, Cursor{}, fmt.Errorf("%w: %w", ErrCache, err)
		}
	}
	for raw := r.bytes(); len(raw) > 0 && !r.failed; raw = r.bytes() {
		a := new(lnwire.NodeAnnouncement1)
		if err := decodeMessage(raw, a); err != nil {
			return nil, Cursor{}, fmt.Errorf("%w: %w", ErrCache, err)
		}
		if m, err := ParseNode(a); err == nil {
			_ = g.SetNode(m, now) // its channels may be stale
		}
	}
	if r.failed || len(r.b) > 0 {
		return nil, Cursor{}, fmt.Errorf("%w: length", ErrCache)
	}
	g.Prune(now)
	return g, cursor, nil
}

func (g *Graph) decodeChannel(r *reader, chain chainhash.Hash, now time.Time) error {
	raw, capacity, txid, seen := r.bytes(), r.uint64(), r.hash(), r.uint32()
	policies := [2][]byte{r.bytes(), r.bytes()}
	if r.failed {
		return nil
	}
	a := new(lnwire.ChannelAnnouncement1)
	if err := decodeMessage(raw, a); err != nil {
		return err
	}
	m, err := ParseChannel(a, chain)
	if err != nil {
		return err
	}
	f := Funding{CapacitySat: capacity}
	f.Outpoint.Hash, f.Outpoint.Index = txid, Output(m.SCID)
	if err := g.AddChannel(m, f, time.Unix(int64(seen), 0)); err != nil {
		return err
	}
	for _, p := range policies {
		if len(p) == 0 {
			continue
		}
		u := new(lnwire.ChannelUpdate1)
		if err := decodeMessage(p, u); err != nil {
			return err
		}
		if m, err := ParseUpdate(u, chain); err == nil {
			_ = g.SetPolicy(m, now, true) // it may be stale
		}
	}
	return nil
}

// decodeMessage reads one message of a known type.
func decodeMessage(raw []byte, into lnwire.Message) (err error) {
	defer func() {
		if p := recover(); p != nil { // the decoder is not ours
			err = ErrMalformed
		}
	}()
	if len(raw) < kindBytes || lnwire.MessageType(binary.BigEndian.Uint16(raw)) != into.MsgType() {
		return ErrMalformed
	}
	return into.Decode(bytes.NewReader(raw[kindBytes:]), 0)
}

// Message decodes a stored message, for sending it.
func Message(raw []byte) (lnwire.Message, error) {
	return lnwire.ReadMessage(bytes.NewReader(raw), 0)
}

// reader takes values from the front of a slice; once one is missing it gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) || r.failed {
		r.failed = true
		return make([]byte, min(n, 64))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) hash() chainhash.Hash {
	return chainhash.Hash(r.take(chainhash.HashSize))
}
func (r *reader) bytes() []byte { return r.take(int(binary.BigEndian.Uint16(r.take(2)))) }
