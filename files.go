package lnactor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
)

// Files in the data directory, beside the store.
const (
	seedFile   = "seed"        // authoritative: every key derives from it
	walletFile = "wallet.json" // reconstructible: next address indexes, found again by a rescan unless more than the lookahead are lost
	peersFile  = "peers.json"  // cache: addresses of nodes to connect to
	graphFile  = "graph"       // cache: what gossip told
	chainDir   = "regtest"     // the embedded chain, where it is used
)

// readJSON reads a file into v; a file that does not exist leaves v as it is.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'))
}

// walletIndexes keeps the wallet's next address indexes: durable before an address is shown.
func walletIndexes(dir string) (next wallet.Indexes, save func(wallet.Indexes) error, err error) {
	if dir == "" {
		return next, func(wallet.Indexes) error { return nil }, nil
	}
	path := filepath.Join(dir, walletFile)
	if err = readJSON(path, &next); errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w; move it away to go on: addresses are found again on the chain, but for long gaps", err)
	}
	return next, func(i wallet.Indexes) error { return writeJSON(path, i) }, err
}

// addressBook keeps the nodes to be connected to.
type addressBook struct {
	path string // empty: in memory

	mu    sync.Mutex
	known map[string]string // node id -> address
}

// openAddressBook returns an empty one with ErrCorrupt if the file can't be read, and moves the file aside.
func openAddressBook(dir string) (*addressBook, error) {
	b := &addressBook{known: map[string]string{}}
	if dir == "" {
		return b, nil
	}
	b.path = filepath.Join(dir, peersFile)
	err := readJSON(b.path, &b.known)
	if errors.Is(err, ErrCorrupt) {
		b.known = map[string]string{}
		err = errors.Join(err, os.Rename(b.path, b.path+".damaged"))
	}
	return b, err
}

func (b *addressBook) list() []peers.Lasting {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []peers.Lasting
	for id, address := range b.known {
		if n, err := ln.ParseNodeID(id); err == nil {
			out = append(out, peers.Lasting{Peer: n, Address: address})
		}
	}
	slices.SortFunc(out, func(x, y peers.Lasting) int { return slices.Compare(x.Peer[:], y.Peer[:]) })
	return out
}

func (b *addressBook) remember(l peers.Lasting) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[l.Peer.String()] = l.Address
	return b.save()
}

func (b *addressBook) forget(id ln.NodeID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, id.String())
	return b.save()
}

func (b *addressBook) save() error {
	if b.path == "" {
		return nil
	}
	return writeJSON(b.path, b.known)
}
