package lnactor

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// identityKey is the row that says whose store it is: node id, then the hash of the chain's first block.
var identityKey = []byte("identity")

// checkIdentity ties a store to its seed and its chain, from the first start on. With another seed the node would answer channel_reestablish with
// secrets that are none, and every peer would fail its channel; on another chain its channels would never have been funded.
func (n *Node) checkIdentity() error {
	row, found, err := n.store.Get(messages.BucketNode, identityKey)
	if err != nil {
		return err
	}
	ours := append(bytes.Clone(n.id[:]), n.cfg.Params.GenesisHash[:]...)
	if !found {
		return n.store.Commit(&persister.Batch{Rows: []messages.Row{{Bucket: messages.BucketNode, Key: identityKey, Value: ours}}})
	}
	switch {
	case bytes.Equal(row.Value, ours):
		return nil
	case len(row.Value) != len(ours):
		return fmt.Errorf("%w: the store's identity has %d bytes, want %d", ErrCorrupt, len(row.Value), len(ours))
	case !bytes.Equal(row.Value[:len(n.id)], n.id[:]):
		return fmt.Errorf("%w: the store belongs to node %x, the seed is that of %s; bring the right seed back", ErrConfig, row.Value[:len(n.id)], n.id)
	default:
		return fmt.Errorf("%w: the store belongs to the chain that begins with %s, not to %s", ErrConfig, chainhash.Hash(row.Value[len(n.id):]), n.cfg.Params.Name)
	}
}
