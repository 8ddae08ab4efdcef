package chainwatch

import (
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/messages"
)

// index finds, for a transaction, the watchers that it concerns, in time that does not depend on how many there are.
type index struct {
	outpoints map[wire.OutPoint][]*item
	scripts   map[string][]*item
}

// item is one watched outpoint or script of one watcher.
type item struct {
	w *watcher

	// Of the two, the one that is watched; script is used if isScript.
	outpoint wire.OutPoint
	script   string
	isScript bool

	// from is the lowest height that it was asked for.
	from uint32

	// back: this item has been looked for only up to seen, not as far as the rest of its watcher.
	back bool
	seen int64 // a height, or -1 for none
}

func newIndex() index {
	return index{outpoints: make(map[wire.OutPoint][]*item), scripts: make(map[string][]*item)}
}

func (x *index) add(it *item) {
	if it.isScript {
		x.scripts[it.script] = append(x.scripts[it.script], it)
	} else {
		x.outpoints[it.outpoint] = append(x.outpoints[it.outpoint], it)
	}
}

func (x *index) remove(it *item) {
	if it.isScript {
		removeItem(x.scripts, it.script, it)
	} else {
		removeItem(x.outpoints, it.outpoint, it)
	}
}

func removeItem[K comparable](m map[K][]*item, key K, it *item) {
	items := m[key]
	i := slices.Index(items, it)
	switch {
	case i < 0:
	case len(items) == 1:
		delete(m, key)
	default:
		m[key] = slices.Delete(items, i, i+1)
	}
}

// matched is what one block holds for one watcher.
type matched struct {
	w       *watcher
	matches []messages.ChainMatch
}

// match goes through a block and returns what it holds for watchers, as far as accept lets it, in order of the first match.
func (x *index) match(block *wire.MsgBlock, height uint32, accept func(*watcher, *item) bool) []matched {
	if len(x.outpoints) == 0 && len(x.scripts) == 0 {
		return nil
	}
	var found []matched
	at := make(map[*watcher]int)
	for i, tx := range block.Transactions {
		hit := func(items []*item) {
			for _, it := range items {
				if !accept(it.w, it) {
					continue
				}
				j, ok := at[it.w]
				if !ok {
					j = len(found)
					at[it.w] = j
					found = append(found, matched{w: it.w})
				}
				m := &found[j].matches
				if n := len(*m); n > 0 && (*m)[n-1].TxIndex == uint32(i) {
					continue // by another input or output of the same transaction
				}
				*m = append(*m, messages.ChainMatch{Tx: tx, TxIndex: uint32(i), Height: height})
			}
		}
		if len(x.outpoints) > 0 {
			for _, in := range tx.TxIn {
				hit(x.outpoints[in.PreviousOutPoint])
			}
		}
		if len(x.scripts) > 0 {
			for _, out := range tx.TxOut {
				hit(x.scripts[string(out.PkScript)])
			}
		}
	}
	return found
}
