package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/messages"
)

// A node never signs a commitment that it revoked, and nothing of its interface can make it. What the demo's cheater does is what a real one would
// have to do: he keeps a copy of his data directory from when he was richer, and lets the monitor of that time close the channel.

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

// oldCommitment is the commitment of a backup, signed.
func oldCommitment(dir string, channel ln.ChannelID, params *chaincfg.Params) (_ *wire.MsgTx, err error) {
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
	return h.commitment(chankeys.NewLocal(func(f keychain.KeyFamily, i uint32) (*btcec.PrivateKey, error) { return root.Key(f, i) }))
}

// commitment lets the monitor of that time close the channel.
func (h *history) commitment(signer chankeys.Signer) (*wire.MsgTx, error) {
	var snapshot *record.Snapshot
	if h.snapshot != nil {
		s, err := record.ReadSnapshot(h.snapshot.Data)
		if err != nil {
			return nil, err
		}
		snapshot = s
	}
	var records []*record.Record
	for _, r := range h.records {
		if h.snapshot != nil && r.Seq <= h.snapshot.Through {
			continue
		}
		rec, err := record.Read(r.Data)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	m, err := monitor.Restore(signer, snapshot, records)
	if err != nil {
		return nil, err
	}
	if _, err := m.ForceClose(facts.CloseByUser, ""); err != nil {
		return nil, err
	}
	wanted, err := m.Broadcasts()
	if err != nil {
		return nil, err
	}
	if len(wanted) != 1 {
		return nil, fmt.Errorf("the old monitor would broadcast %d transactions", len(wanted))
	}
	return wanted[0].Tx, nil
}
