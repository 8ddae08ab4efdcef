package wallet

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
)

// Branches of BIP 84.
const (
	branchReceive = 0
	branchChange  = 1
)

// KeySource derives the wallet's keys. seed.Root is one.
type KeySource interface {
	WalletKey(branch, index uint32) (*btcec.PrivateKey, error)
}

// keyRef names a key of the wallet.
type keyRef struct {
	branch, index uint32
}

// Indexes are the next unused address indexes, by branch. They only grow.
type Indexes struct {
	Receive uint32 `json:"receive"`
	Change  uint32 `json:"change"`
}

func (i Indexes) of(branch uint32) uint32 {
	if branch == branchChange {
		return i.Change
	}
	return i.Receive
}

// raised is i with one branch at least at next.
func (i Indexes) raised(branch, next uint32) Indexes {
	if branch == branchChange {
		i.Change = max(i.Change, next)
	} else {
		i.Receive = max(i.Receive, next)
	}
	return i
}

// scripts knows which output scripts are ours: of every index used, and of lookahead more, so that a coin is seen even when the index that it
// was paid to has been forgotten.
type scripts struct {
	keys      KeySource
	params    *chaincfg.Params
	lookahead uint32

	next    Indexes
	derived [2]uint32
	refs    map[string]keyRef
	ordered [2][][]byte
}

func newScripts(keys KeySource, params *chaincfg.Params, lookahead uint32, next Indexes) (*scripts, error) {
	s := &scripts{keys: keys, params: params, lookahead: lookahead, refs: make(map[string]keyRef)}
	return s, s.advance(next)
}

// advance moves the next indexes and derives the scripts that come into view. On error nothing has moved.
func (s *scripts) advance(next Indexes) error {
	for branch := range uint32(2) {
		for s.derived[branch] < next.of(branch)+s.lookahead {
			index := s.derived[branch]
			_, script, err := s.address(keyRef{branch, index})
			if err != nil {
				return err
			}
			s.refs[string(script)] = keyRef{branch, index}
			s.ordered[branch] = append(s.ordered[branch], script)
			s.derived[branch]++
		}
	}
	s.next = next
	return nil
}

// address derives the address of a key and its script.
func (s *scripts) address(ref keyRef) (btcutil.Address, []byte, error) {
	key, err := s.keys.WalletKey(ref.branch, ref.index)
	if err != nil {
		return nil, nil, fmt.Errorf("wallet: key %d/%d: %w", ref.branch, ref.index, err)
	}
	addr, err := btcutil.NewAddressWitnessPubKeyHash(btcutil.Hash160(key.PubKey().SerializeCompressed()), s.params)
	if err != nil {
		return nil, nil, fmt.Errorf("wallet: address %d/%d: %w", ref.branch, ref.index, err)
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("wallet: address %d/%d: %w", ref.branch, ref.index, err)
	}
	return addr, script, nil
}

// lookup says whose key an output script pays to.
func (s *scripts) lookup(pkScript []byte) (keyRef, bool) {
	ref, ok := s.refs[string(pkScript)]
	return ref, ok
}

// used notes that an output to ref exists, so that its address is not given out any more.
func (s *scripts) used(ref keyRef) error {
	if ref.index < s.next.of(ref.branch) {
		return nil
	}
	return s.advance(s.next.raised(ref.branch, ref.index+1))
}
