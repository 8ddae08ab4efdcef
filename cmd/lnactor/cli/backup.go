package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
	"github.com/lnactor/lnactor/internal/atomicfile"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

const backupLong = `Writes everything that a node needs to FILE: the store as of one commit, the seed, and the
small files. The node may run: then the store comes from it by the API, and the seed from
the data directory, since it never leaves by the API. If no node runs, the data directory
is read. FILE appears whole, with a checksum, or not at all; only a backup is replaced.

A backup is old with the next payment. 'lnactor restore' therefore says nothing about a
channel before its peer has shown that the backup is current: docs/backup.md.

Whoever has FILE has the money, if the seed has no passphrase: keep it as you keep the seed,
or leave the seed out (--without-seed) and rely on its words ('lnactor seed restore').`

func newBackup() *cobra.Command {
	var f clientFlags
	var withoutSeed bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Write a backup of the node", Long: backupLong, Args: wants("FILE"),
		Example: "  lnactor backup /mnt/usb/lnactor.backup\n  lnactor backup --without-seed lnactor.backup\n  lnactor backup show lnactor.backup",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			local := f.server == "" && f.socket == "" && os.Getenv("LNACTOR_SERVER") == "" && os.Getenv("LNACTOR_SOCKET") == ""
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			online, err := takeBackup(cmd.Context(), n, args[0], c.Dir, local, !withoutSeed)
			if err != nil {
				return n.explain(err)
			}
			return showBackup(cmd, args[0], f.json, online)
		},
	}
	cmd.Flags().BoolVar(&withoutSeed, "without-seed", false, "leave the seed out: a restore needs its words or its file")
	f.register(cmd)
	var asJSON bool
	show := &cobra.Command{
		Use: "show FILE", Short: "Verify a backup and say what is in it", Args: wants("FILE"), Example: "  lnactor backup show lnactor.backup",
		Long: "Verifies each byte of a backup against its checksum, and says what is in it.",
		RunE: func(cmd *cobra.Command, args []string) error { return showBackup(cmd, args[0], asJSON, nil) },
	}
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(show)
	return cmd
}

// takeBackup makes the file under another name and then gives it its own. online is nil if it is not known.
func takeBackup(ctx context.Context, n *node, path, dir string, local, seed bool) (online *bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		if _, _, err := lnactor.OpenBackup(path); err != nil {
			return nil, &usageError{fmt.Errorf("%s is there already, and is no whole backup", path), "choose another name, or remove it"}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	running := true
	err = n.download(ctx, f)
	var answered *apiError
	if local && errors.As(n.explain(err), &answered) && answered.reason == "no_node" {
		running = false
		if _, missing := os.Stat(dir); errors.Is(missing, fs.ErrNotExist) {
			return nil, &apiError{
				err: missing, code: connect.CodeUnavailable, reason: "no_node", text: fmt.Sprintf("no node answers at %s, and there is no directory %s", n.where, dir),
				hint: "say with --dir where the node's data is",
			}
		}
		_, err = lnactor.BackupDir(dir, f, lnactor.BackupOptions{Seed: seed, Files: daemon.BackupFiles, Omit: daemon.BackupOmit, Software: moduleVersion()})
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if running && local && seed {
		if err := lnactor.AddSeed(f.Name(), dir); err != nil {
			return nil, err
		}
	}
	if _, _, err := lnactor.OpenBackup(f.Name()); err != nil {
		return nil, err
	}
	return &running, errors.Join(os.Rename(f.Name(), path), atomicfile.SyncDir(filepath.Dir(path)))
}

// download takes the node's backup from the API.
func (n *node) download(ctx context.Context, f *os.File) error {
	stream, err := n.Backup(ctx, &apiv1.BackupRequest{})
	if err != nil {
		return err
	}
	w := waiter{w: n.cmd.ErrOrStderr(), began: time.Now()}
	defer w.end()
	size, done := uint64(0), false
	for stream.Receive() {
		m := stream.Msg()
		if _, err := f.Write(m.GetData()); err != nil {
			return errors.Join(err, stream.Close())
		}
		size += uint64(len(m.GetData()))
		done = done || m.GetDone()
		w.show(digits(size) + " bytes")
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return err
	}
	if !done {
		return &apiError{text: "the node ended the backup before it was complete", hint: "try again; look at the node's log"}
	}
	return nil
}

// Classes of files, as in docs/backup.md.
func classOf(name string) string {
	switch first, _, _ := strings.Cut(name, "/"); first {
	case "store.db", "seed":
		return "authoritative"
	case "wallet.json":
		return "reconstructible"
	case "peers.json":
		return "cache"
	case "lnactor.toml":
		return "yours"
	}
	return "authoritative for consumers of events"
}

func showBackup(cmd *cobra.Command, path string, asJSON bool, online *bool) error {
	h, entries, err := lnactor.OpenBackup(path)
	if err != nil {
		return err
	}
	hasSeed := slices.ContainsFunc(entries, func(e lnactor.BackupEntry) bool { return e.Name == "seed" })
	if asJSON {
		type file struct {
			Name  string `json:"name"`
			Size  int64  `json:"size"`
			Class string `json:"class"`
		}
		out := struct {
			lnactor.BackupHeader
			Path   string `json:"path"`
			Online *bool  `json:"online,omitempty"`
			Seed   bool   `json:"seed"`
			Files  []file `json:"files"`
		}{BackupHeader: h, Path: path, Online: online, Seed: hasSeed}
		for _, e := range entries {
			out.Files = append(out.Files, file{e.Name, e.Size, classOf(e.Name)})
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	p := newPage(cmd.OutOrStdout())
	p.row("backup", path)
	p.row("node", or(h.NodeID, "a store that was never used"))
	p.row("network", or(h.Network, "-"))
	p.row("made", h.Created.Local().Format(time.DateTime)+" by "+or(h.Software, "an unknown release"))
	p.row("channels", h.Channels)
	p.row("commit", digits(h.Commits))
	if online != nil {
		p.row("taken", map[bool]string{true: "from the running node", false: "from the data directory; no node runs"}[*online])
	}
	p.row("checksum", "good")
	for _, e := range entries {
		p.row("file", e.Name, digits(uint64(e.Size))+" bytes", classOf(e.Name)) //nolint:gosec // sizes are not negative
	}
	if err := p.flush(); err != nil {
		return err
	}
	note := "\nThe seed is in it: who has this file, and the seed's passphrase if it has one, has the money.\n"
	if !hasSeed {
		note = "\nThe seed is not in it: a restore needs its file or its 24 words.\n"
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), note)
	return err
}
