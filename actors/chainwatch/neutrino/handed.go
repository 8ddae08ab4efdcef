package neutrino

import (
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// handedLimit bounds what is remembered. Forgetting costs a wait.
const handedLimit = 4096

// handedOut remembers which peer took which transaction. A connection has its own id, so that a peer that comes back is asked again.
type handedOut struct {
	mu    sync.Mutex
	taken map[handover]bool
}

type handover struct {
	txid chainhash.Hash
	peer int32
}

func (h *handedOut) has(txid chainhash.Hash, peer int32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken[handover{txid, peer}]
}

func (h *handedOut) add(txid chainhash.Hash, peer int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken == nil || len(h.taken) >= handedLimit {
		h.taken = make(map[handover]bool)
	}
	h.taken[handover{txid, peer}] = true
}

func (h *handedOut) remove(txid chainhash.Hash, peer int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.taken, handover{txid, peer})
}
