package rpc

import (
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// rememberedHeights bounds what is compared: the last headers asked for.
const rememberedHeights = 4096

// heights remembers the heights that a node told, so that it can't tell
// another one, or one that does not follow from the parent's.
type heights struct {
	mu   sync.Mutex
	of   map[chainhash.Hash]int32
	ring []chainhash.Hash
	next int
}

func (h *heights) add(hash, prev chainhash.Hash, height int32) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.of[hash]; ok {
		if old != height {
			return fmt.Errorf("%w: %v had height %d, now %d", chain.ErrInvalidBlock, hash, old, height)
		}
		return nil
	}
	if below, ok := h.of[prev]; ok && below != height-1 {
		return fmt.Errorf("%w: %v is said to have height %d, its parent %d", chain.ErrInvalidBlock, hash, height, below)
	}
	if h.of == nil {
		h.of = make(map[chainhash.Hash]int32, rememberedHeights)
		h.ring = make([]chainhash.Hash, rememberedHeights)
	}
	delete(h.of, h.ring[h.next])
	h.ring[h.next] = hash
	h.next = (h.next + 1) % rememberedHeights
	h.of[hash] = height
	return nil
}
