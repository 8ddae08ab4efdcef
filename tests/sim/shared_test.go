package sim

import (
	"os"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/seed"
)

// Most of what a seed costs is arithmetic on a curve, and most of that follows from the nodes' own seeds, which all worlds share: the same channels come
// to the same commitments over and over. It is worked out once. Signatures are made and verified each time.

// TestMain trades memory, of which worlds need little, for time.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// sharedSigner keeps the per-commitment points of a node.
type sharedSigner struct {
	*chankeys.Local
	points sync.Map // pointOf -> *btcec.PublicKey
}

type pointOf struct {
	index  uint32
	number uint64
}

func newSharedSigner(root *seed.Root) *sharedSigner {
	return &sharedSigner{Local: chankeys.NewLocal(func(f keychain.KeyFamily, i uint32) (*btcec.PrivateKey, error) { return root.Key(f, i) })}
}

// PerCommitmentPoint implements chankeys.Signer.
func (s *sharedSigner) PerCommitmentPoint(index uint32, number uint64) (*btcec.PublicKey, error) {
	if p, ok := s.points.Load(pointOf{index, number}); ok {
		return p.(*btcec.PublicKey), nil
	}
	p, err := s.Local.PerCommitmentPoint(index, number)
	if err == nil {
		s.points.Store(pointOf{index, number}, p)
	}
	return p, err
}

// sharedCoins keeps the keys of a node's wallet.
type sharedCoins struct {
	root *seed.Root
	keys sync.Map // [2]uint32 -> *btcec.PrivateKey
}

// WalletKey implements wallet.KeySource.
func (s *sharedCoins) WalletKey(branch, index uint32) (*btcec.PrivateKey, error) {
	if k, ok := s.keys.Load([2]uint32{branch, index}); ok {
		return k.(*btcec.PrivateKey), nil
	}
	k, err := s.root.WalletKey(branch, index)
	if err == nil {
		s.keys.Store([2]uint32{branch, index}, k)
	}
	return k, err
}

// keysOf names the keys of a commitment: the funding keys stand for the channel keys of either side, for both are made of one index.
type keysOf struct {
	point, holder, counterparty [btcec.PubKeyBytesLenCompressed]byte
	ownerIsHolder               bool
}

var derivedKeys sync.Map // keysOf -> *commitment.Keys

// commitmentKeys is commitment.DeriveKeys for the channels of all worlds.
func commitmentKeys(s *commitment.Static, ownerIsHolder bool, point *btcec.PublicKey) (*commitment.Keys, error) {
	of := keysOf{ownerIsHolder: ownerIsHolder}
	copy(of.point[:], point.SerializeCompressed())
	copy(of.holder[:], s.Holder.Funding.SerializeCompressed())
	copy(of.counterparty[:], s.Counterparty.Funding.SerializeCompressed())
	if k, ok := derivedKeys.Load(of); ok {
		return k.(*commitment.Keys), nil
	}
	k, err := commitment.DeriveKeys(s, ownerIsHolder, point)
	if err == nil {
		derivedKeys.Store(of, k)
	}
	return k, err
}
