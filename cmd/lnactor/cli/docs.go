package cli

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newDocs() *cobra.Command {
	cmd := &cobra.Command{
		Use: "docs", Short: "Write the manual pages of this program", Args: noArgs,
		Long: "Writes documentation that is made from the same tree of commands as --help.", Example: "  lnactor docs man /usr/local/share/man/man1",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "man DIR", Short: "Write a manual page for every command", Args: wants("DIR"),
		Long: `Writes a manual page for every command into a directory, which is made if it is not
there: lnactor.1, lnactor-pay.1 and so on. The pages are those of this binary, so make
them where it is installed. The same binary writes the same pages; their date is that
of SOURCE_DATE_EPOCH, or of the commit that it was built from.`,
		Example: "  lnactor docs man ~/.local/share/man/man1 && man lnactor-pay",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // for everybody to read
				return &usageError{fmt.Errorf("no manual pages can be written: %w", err), "name a directory that can be made or written to"}
			}
			info, _ := debug.ReadBuildInfo()
			date, err := manDate(info, os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return err
			}
			return writeMan(cmd.Root(), args[0], date)
		},
	})
	return cmd
}

// manDate is the date of the pages, such that they can be made again.
func manDate(info *debug.BuildInfo, epoch string) (time.Time, error) {
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return time.Time{}, &usageError{fmt.Errorf("SOURCE_DATE_EPOCH is %q", epoch), "it has to be seconds since 1970"}
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	if info != nil {
		for _, s := range info.Settings {
			if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return at.UTC(), nil
			}
		}
	}
	return time.Unix(0, 0).UTC(), nil
}

func writeMan(root *cobra.Command, dir string, date time.Time) error {
	root.DisableAutoGenTag = true // no time of its own at the end of a page
	err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Date: &date, Source: "lnactor " + moduleVersion(), Manual: "lnactor"}, dir)
	if err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	return nil
}
