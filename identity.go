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
//
// A new store does not know which channel keys a seed that was there before has used: with another store that is lost, before its words were written
// down elsewhere, in a copy. A peer of that life knows the revocation secrets of its keys and would take all of a new channel that has the same ones, so
// keys are given up, in the same commit (rule 1).
func (n *Node) checkIdentity(newSeed bool) error {
	row, found, err := n.store.Get(messages.BucketNode, identityKey)
	if err != nil {
		return err
	}
	ours := append(bytes.Clone(n.id[:]), n.cfg.Params.GenesisHash[:]...)
	if !found {
		rows := []messages.Row{{Bucket: messages.BucketNode, Key: identityKey, Value: ours}}
		if !newSeed {
			given, err := n.firstKeys()
			if err != nil {
				return err
			}
			rows = append(rows, given...)
		}
		return n.store.Commit(&persister.Batch{Rows: rows})
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

// firstKeys gives channel keys up for a store that is new and not its seed's first.
func (n *Node) firstKeys() ([]messages.Row, error) {
	_, known, err := n.store.Last(messages.BucketKeys, nil)
	if err != nil || known { // known: it knows its keys, as it does after a restore
		return nil, err
	}
	n.cfg.Log.Info("a new store, for a seed that was there before it: no channels are known, and channel keys begin at an index that is drawn", "node_id", n.id.String())
	return giveUpKeys(n.store, "given up: the store was new, and the seed was not")
}
