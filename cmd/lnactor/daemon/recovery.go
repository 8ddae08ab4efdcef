package daemon

import (
	"context"
	"io"
	"path/filepath"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/diagnose"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
)

// BackupFiles are what a process keeps beside the node's own files and what a backup takes along: the configuration, and the events with the cursors of
// their consumers. Tokens, certificates and crash reports are made anew.
// The cursors come before the events, so that none is behind an event that the copy lacks.
var (
	BackupFiles = []string{config.FileName, filepath.Join(feed.Dir, feed.ConsumersFile), feed.Dir}
	BackupOmit  = []string{filepath.Join(feed.Dir, feed.NameFile)}
)

// recovery is for the API.
func (p *process) recovery() server.Recovery {
	return recovery{p.node, p.Version, Params(p.Config.Text("network"))}
}

type recovery struct {
	*lnactor.Node
	version string
	params  *chaincfg.Params
}

func (r recovery) Backup(ctx context.Context, w io.Writer) error {
	_, err := r.Node.Backup(ctx, w, lnactor.BackupOptions{Files: BackupFiles, Omit: BackupOmit, Software: r.version})
	return err
}

func (r recovery) Diagnose(ctx context.Context) []diagnose.Check {
	public := r.params.Name != chaincfg.RegressionNetParams.Name && r.params.Name != chaincfg.SimNetParams.Name
	return diagnose.Run(ctx, diagnose.Config{Node: r.Node, Dir: r.Dir(), Public: public})
}
