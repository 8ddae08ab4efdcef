package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program and how it was built",
		Example: "  lnactor version\n  lnactor version --json | jq -r .version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			if b := buildOf(info); asJSON {
				return encodeJSON(cmd.OutOrStdout(), b)
			} else {
				_, err := fmt.Fprint(cmd.OutOrStdout(), b)
				return err
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// moduleVersion is the version in one word.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// build is what a person who reports a problem is asked for.
type build struct {
	Version    string `json:"version"` // empty: built from a working tree
	Commit     string `json:"commit,omitempty"`
	CommitTime string `json:"commit_time,omitempty"`
	Modified   bool   `json:"modified"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func buildOf(info *debug.BuildInfo) build {
	b := build{Version: info.Main.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b.Version == "(devel)" {
		b.Version = ""
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.CommitTime = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	out := fmt.Sprintf("lnactor %s\n", or(b.Version, "(built from a working tree)"))
	if b.Commit != "" {
		commit := b.Commit
		if b.Modified {
			commit += ", with changes"
		}
		out += fmt.Sprintf("commit  %s (%s)\n", commit, b.CommitTime)
	}
	return out + fmt.Sprintf("go      %s %s\n", b.Go, b.Platform)
}
