package demo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/messages"
)

// A node never signs a commitment that it revoked, and nothing of its interface can make it. What the demo's cheater does is what a real one would
// have to do: he keeps a copy of his data directory from when he was richer, and signs with the keys in it what it says.

// stolen are the files of a data directory that a commitment can be signed with.
var stolen = []string{bboltstore.FileName, "seed"}

// backUp copies what the thief needs from the directory of a node that is stopped.
func backUp(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range stolen {
		b, err := os.ReadFile(filepath.Join(from, name)) //nolint:gosec // the demo's own directory
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// history reads the log of one owner from a store.
type history struct {
	owner    messages.Owner
	snapshot *persister.Snapshot
	records  []persister.Record
}

func (h *history) Snapshot(s persister.Snapshot) {
	if s.Owner == h.owner {
		h.snapshot = &s
	}
}

func (h *history) Record(r persister.Record) {
	if r.Owner == h.owner {
		h.records = append(h.records, r)
	}
}

// loot is what can be made of a copy: the commitment of then, and the second stages of its HTLCs.
type loot struct {
	facts  *facts.Channel
	signer chankeys.Signer
	tx     *commitment.Tx
}

// steal reads a copy.
func steal(dir string, channel ln.ChannelID, params *chaincfg.Params) (_ *loot, err error) {
	store, err := bboltstore.Open(dir, bboltstore.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	h := &history{owner: messages.Owner(channel[:])}
	if err := store.Scan(h); err != nil {
		return nil, err
	}
	root, err := seed.Open(filepath.Join(dir, stolen[1]), nil, params)
	if err != nil {
		return nil, err
	}
	l := &loot{signer: chankeys.NewLocal(func(f keychain.KeyFamily, i uint32) (*btcec.PrivateKey, error) { return root.Key(f, i) })}
	if l.facts, err = h.replay(); err != nil {
		return nil, err
	}
	point, err := l.signer.PerCommitmentPoint(l.facts.KeyIndex, l.facts.HolderNumber)
	if err != nil {
		return nil, err
	}
	view, err := l.facts.View(facts.Holder, point)
	if err != nil {
		return nil, err
	}
	l.tx, err = commitment.Build(&l.facts.Tx, view)
	return l, err
}

// replay makes the facts of the log.
func (h *history) replay() (c *facts.Channel, err error) {
	through := uint64(0)
	if h.snapshot != nil {
		s, err := record.ReadSnapshot(h.snapshot.Data)
		if err != nil {
			return nil, err
		}
		c, through = s.Channel, h.snapshot.Through
	}
	for _, r := range h.records {
		if r.Seq <= through {
			continue
		}
		rec, err := record.Read(r.Data)
		if err != nil {
			return nil, err
		}
		for _, u := range rec.Updates {
			switch opened, first := u.(facts.Opened); {
			case first:
				c = facts.New(opened)
			case c == nil:
				return nil, errNoChannel
			default:
				if _, err := c.Apply(u); err != nil {
					return nil, err
				}
			}
		}
	}
	if c == nil {
		return nil, errNoChannel
	}
	return c, nil
}

var errNoChannel = errors.New("the copy does not have the channel")

// commitment signs the commitment of then.
func (l *loot) commitment() (*wire.MsgTx, error) {
	sig, err := l.signer.SignHolder(l.facts.KeyIndex, &l.facts.Tx, l.tx)
	if err != nil {
		return nil, err
	}
	return l.tx.Complete(sig, l.facts.HolderSig)
}

// success signs the second stage that claims a payment with its preimage. It pays no fee: a miner has to be talked into it.
func (l *loot) success(preimage lnactor.Preimage) (*wire.MsgTx, error) {
	hash := sha256.Sum256(preimage[:])
	for i := range l.tx.HTLCs {
		if h := &l.tx.HTLCs[i]; h.Offered || h.Hash != hash {
			continue
		}
		sig, err := l.signer.SignHolderHTLC(l.facts.KeyIndex, &l.facts.Tx, l.tx, i, nil)
		if err != nil {
			return nil, err
		}
		return l.tx.CompleteHTLC(i, nil, sig, l.facts.HolderHTLCSigs[i], (*[32]byte)(&preimage))
	}
	return nil, fmt.Errorf("the commitment has no output for payment %x", hash)
}
