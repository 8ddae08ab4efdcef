package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

const restoreLong = `Makes a data directory from a backup. It never writes over a store or over another seed.

The node that the backup was made of must never run again: two nodes with one seed forfeit
their channels.

Every channel is unverified from the first instant on: nothing of it is broadcast, not even
at the deadline of an HTLC, and nothing is signed, until its peer has connected and shown
that the backup is current. Then the channel goes on by itself. If the peer proves that the
backup is old, the node asks it to close, waits, and sweeps what is ours. So after the start
connect to the peers: 'lnactor doctor' lists those that are missing.

A restore that is interrupted leaves no store, and no node starts there before it has been
repeated.`

func newRestore() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a data directory from a backup", Long: restoreLong, Args: wants("FILE"),
		Example: "  lnactor restore lnactor.backup --datadir ~/.lnactor\n  lnactor run --dir ~/.lnactor",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if _, err := os.Lstat(filepath.Join(c.Dir, bboltstore.FileName)); errors.Is(err, fs.ErrNotExist) {
				if err := feed.NewName(c.Dir); err != nil {
					return err
				}
			}
			r, err := lnactor.RestoreBackup(args[0], c.Dir)
			if err != nil {
				return explainRestore(err)
			}
			if f.json {
				return restoredJSON(cmd, c.Dir, r)
			}
			return showRestored(cmd, c.Dir, r)
		},
	}
	offlineFlags(cmd, &f)
	return cmd
}

// offlineFlags are those of commands that read a data directory without a node.
func offlineFlags(cmd *cobra.Command, f *clientFlags) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.dir, "dir", "d", "", "data directory (default: LNACTOR_DIR, else ~/.lnactor)")
	flags.StringVar(&f.dir, "datadir", "", "the same as --dir")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("dir", "datadir")
}

// explainRestore says what to do.
func explainRestore(err error) error {
	var hint string
	switch {
	case errors.Is(err, lnactor.ErrStoreExists):
		hint = "choose an empty --datadir; if that store is broken, keep it: 'lnactor inspect' says what can be read"
	case errors.Is(err, lnactor.ErrSeedExists):
		hint = "the directory belongs to another node: choose an empty --datadir"
	case errors.Is(err, lnactor.ErrBackupDamaged), errors.Is(err, lnactor.ErrBackupVersion), errors.Is(err, lnactor.ErrNotBackup):
		hint = "nothing was changed"
	default:
		return err
	}
	return &apiError{err: err, text: err.Error(), hint: hint}
}

func restoredJSON(cmd *cobra.Command, dir string, r lnactor.Restored) error {
	out := struct {
		Dir        string               `json:"dir"`
		Backup     lnactor.BackupHeader `json:"backup"`
		Unverified []string             `json:"unverified"`
		Unreadable map[string]string    `json:"unreadable"`
		Files      []string             `json:"files"`
		Kept       []string             `json:"kept"`
		Seed       bool                 `json:"seed"`
	}{Dir: dir, Backup: r.Backup, Unreadable: map[string]string{}, Files: r.Files, Kept: r.Kept, Seed: r.Seed}
	for _, id := range r.Channels {
		out.Unverified = append(out.Unverified, id.String())
	}
	for id, err := range r.Unreadable {
		out.Unreadable[id.String()] = err.Error()
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func showRestored(cmd *cobra.Command, dir string, r lnactor.Restored) error {
	p := newPage(cmd.OutOrStdout())
	p.row("restored to", dir)
	p.row("node", or(r.Backup.NodeID, "a store that was never used"))
	p.row("made", r.Backup.Created.Local())
	p.row("unverified", fmt.Sprintf("%d channels", len(r.Channels)))
	for _, id := range slices.SortedFunc(maps.Keys(r.Unreadable), func(a, b lnactor.ChannelID) int { return bytes.Compare(a[:], b[:]) }) {
		p.row("unreadable", id, r.Unreadable[id])
	}
	for _, name := range r.Kept {
		p.row("kept", name, "it was there already")
	}
	if err := p.flush(); err != nil {
		return err
	}
	text := "\nNever start the node again that this backup was made of.\n" +
		"Start this one with 'lnactor run', then connect to the peers ('lnactor doctor' lists them): until a\n" +
		"peer has shown that the backup is current, nothing of its channels is broadcast or signed.\n"
	if !r.Seed {
		text += fmt.Sprintf("\nThe backup has no seed. Before the start put the seed's file at %s/seed, or make it\nof the 24 words: lnactor seed restore --dir %s\n", dir, dir)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

const trustLong = `Takes a channel that was restored from a backup for current, without its peer.

If ANYTHING happened in the channel after the backup was made, one payment is enough, then
our commitment in the backup may be revoked, and the next close by this node, which an
HTLC's deadline may bring about at once, gives ALL the money in the channel to the peer.

Connect to the peer instead: that verifies the channel without a risk. A peer that will
never come back, and a backup made after the last payment: only then use this.

A channel that the peer has proven to be behind can't be trusted.`

// trustCommand is below channels.
func trustCommand() *cobra.Command {
	var sure bool
	return newCall(call[*apiv1.TrustRestoredResponse]{
		use: "trust-restored CHANNEL_ID", short: "Take a restored channel for current, at the risk of all its money", long: trustLong, args: wants("CHANNEL_ID"),
		example: "  lnactor channels trust-restored 5f3a... --i-may-lose-all-money",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&sure, "i-may-lose-all-money", false, "yes, although all money in the channel may be lost by it")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.TrustRestoredResponse, error) {
			if !sure {
				return nil, &usageError{
					errors.New("if anything happened in the channel after the backup was made, a close by this node forfeits all the money in it"),
					"connect to the peer instead, which verifies the channel without a risk; or say --i-may-lose-all-money",
				}
			}
			return n.TrustRestored(ctx, &apiv1.TrustRestoredRequest{ChannelId: args[0], IMayLoseAllMoney: true})
		},
		show: func(p *page, _ *apiv1.TrustRestoredResponse) { p.row("trusted, at your risk") },
	})
}
