package wallet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// snapshotVersion is raised with every change that an older release would misread.
const snapshotVersion = 1

// The snapshot is a cache: losing it costs a rescan. It has what the chain has said, not the reservations, which are the owner's.
type (
	snapshot struct {
		Version int              `json:"version"`
		Chain   string           `json:"chain"`
		Next    Indexes          `json:"next"`
		Ahead   uint32           `json:"ahead,omitempty"` // Config.Lookahead, unless it is the default
		Coins   []snapshotCoin   `json:"coins"`
		Pending [][]byte         `json:"pending"`
		Sent    []chainhash.Hash `json:"sent,omitempty"`
		Blocks  []snapshotBlock  `json:"blocks"`
	}
	snapshotCoin struct {
		Out      snapshotOut `json:"out"`
		Value    int64       `json:"value"`
		Branch   uint32      `json:"branch"`
		Index    uint32      `json:"index"`
		Height   uint32      `json:"height"`
		Coinbase bool        `json:"coinbase,omitempty"`
	}
	snapshotOut struct {
		Txid  chainhash.Hash `json:"txid"`
		Index uint32         `json:"index"`
	}
	snapshotBlock struct {
		Height  uint32         `json:"height"`
		Hash    chainhash.Hash `json:"hash"`
		Prev    chainhash.Hash `json:"prev"`
		Created []snapshotOut  `json:"created,omitempty"`
		Spent   []snapshotCoin `json:"spent,omitempty"`
		Txs     [][]byte       `json:"txs,omitempty"`
	}
)

// Snapshot is the wallet's state but for the reservations. Its size goes with the coins and the last UndoDepth blocks, not with history.
// Equal wallets give equal bytes.
func (w *HD) Snapshot() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.ledger
	s := snapshot{Version: snapshotVersion, Chain: w.cfg.Params.Name, Next: l.scripts.next}
	if w.cfg.Lookahead != DefaultLookahead {
		s.Ahead = w.cfg.Lookahead
	}
	for _, c := range l.coins {
		if _, unconfirmed := l.pending[c.op.Hash]; !unconfirmed { // those come back with their transactions
			s.Coins = append(s.Coins, packCoin(*c))
		}
	}
	sort.Slice(s.Coins, func(i, j int) bool {
		a, b := s.Coins[i].Out, s.Coins[j].Out
		if d := bytes.Compare(a.Txid[:], b.Txid[:]); d != 0 {
			return d < 0
		}
		return a.Index < b.Index
	})
	for _, txid := range l.order {
		raw, err := packTx(l.pending[txid])
		if err != nil {
			return nil, err
		}
		s.Pending = append(s.Pending, raw)
	}
	for txid := range l.sent {
		s.Sent = append(s.Sent, txid)
	}
	sort.Slice(s.Sent, func(i, j int) bool { return bytes.Compare(s.Sent[i][:], s.Sent[j][:]) < 0 })
	for _, b := range l.blocks {
		sb := snapshotBlock{Height: b.height, Hash: b.hash, Prev: b.prev}
		for _, op := range b.created {
			sb.Created = append(sb.Created, snapshotOut{op.Hash, op.Index})
		}
		for _, c := range b.spent {
			sb.Spent = append(sb.Spent, packCoin(c))
		}
		for _, tx := range b.txs {
			raw, err := packTx(tx)
			if err != nil {
				return nil, err
			}
			sb.Txs = append(sb.Txs, raw)
		}
		s.Blocks = append(s.Blocks, sb)
	}
	return json.Marshal(s)
}

// Restore is the wallet of a snapshot. The indexes, and Lookahead, are the higher of the snapshot's and the config's. Any error about the snapshot is
// ErrBadSnapshot; New and a rescan are then the way.
func Restore(cfg Config, raw []byte) (*HD, error) {
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: its version is %d, want %d", ErrBadSnapshot, s.Version, snapshotVersion)
	}
	if cfg.Params != nil && s.Chain != cfg.Params.Name {
		return nil, fmt.Errorf("%w: it is of chain %q, want %q", ErrBadSnapshot, s.Chain, cfg.Params.Name)
	}
	if s.Ahead > maxLookahead {
		return nil, fmt.Errorf("%w: it looks %d addresses ahead", ErrBadSnapshot, s.Ahead)
	}
	cfg.Lookahead = max(cfg.Lookahead, s.Ahead)
	cfg.Next = cfg.Next.raised(branchReceive, s.Next.Receive).raised(branchChange, s.Next.Change)
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := w.ledger.load(&s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	}
	return w, nil
}

func (l *ledger) load(s *snapshot) error {
	for _, sc := range s.Coins {
		c, err := l.unpackCoin(sc)
		if err != nil {
			return err
		}
		l.coins[c.op] = &c
	}
	for _, sb := range s.Blocks {
		if tip := l.tip(); tip != nil && (sb.Height != tip.height+1 || sb.Prev != tip.hash) {
			return fmt.Errorf("block %d does not follow block %d", sb.Height, tip.height)
		}
		b := block{height: sb.Height, hash: sb.Hash, prev: sb.Prev}
		for _, out := range sb.Created {
			b.created = append(b.created, wire.OutPoint{Hash: out.Txid, Index: out.Index})
		}
		for _, sc := range sb.Spent {
			c, err := l.unpackCoin(sc)
			if err != nil {
				return err
			}
			b.spent = append(b.spent, c)
		}
		for _, raw := range sb.Txs {
			tx, err := unpackTx(raw)
			if err != nil {
				return err
			}
			b.txs = append(b.txs, tx)
		}
		l.blocks = append(l.blocks, b)
	}
	if len(l.blocks) == 0 && len(s.Coins) != 0 {
		return fmt.Errorf("%d coins of no block", len(s.Coins))
	}
	for _, txid := range s.Sent {
		l.sent[txid] = true
	}
	for _, raw := range s.Pending {
		tx, err := unpackTx(raw)
		if err != nil {
			return err
		}
		if err := l.addPending(tx); err != nil {
			return err
		}
	}
	return nil
}

func packCoin(c coin) snapshotCoin {
	return snapshotCoin{
		Out: snapshotOut{c.op.Hash, c.op.Index}, Value: int64(c.value), Branch: c.ref.branch, Index: c.ref.index,
		Height: c.height, Coinbase: c.coinbase,
	}
}

func (l *ledger) unpackCoin(s snapshotCoin) (coin, error) {
	if s.Branch > branchChange || s.Index >= l.scripts.derived[s.Branch] || s.Value < 0 || s.Value > btcutil.MaxSatoshi || s.Height == 0 {
		return coin{}, fmt.Errorf("coin %v:%d makes no sense", s.Out.Txid, s.Out.Index)
	}
	return coin{
		op: wire.OutPoint{Hash: s.Out.Txid, Index: s.Out.Index}, value: btcutil.Amount(s.Value),
		ref: keyRef{s.Branch, s.Index}, height: s.Height, coinbase: s.Coinbase,
	}, nil
}

func packTx(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	err := tx.Serialize(&b)
	return b.Bytes(), err
}

func unpackTx(raw []byte) (*wire.MsgTx, error) {
	tx := new(wire.MsgTx)
	r := bytes.NewReader(raw)
	if err := tx.Deserialize(r); err != nil {
		return nil, err
	}
	if r.Len() != 0 {
		return nil, fmt.Errorf("%d bytes after a transaction", r.Len())
	}
	return tx, nil
}
