package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestScriptsCoverTheTree: the scripts in tests/cli run every command with good and with bad input.
func TestScriptsCoverTheTree(t *testing.T) {
	scripts, err := filepath.Glob("../../../tests/cli/testdata/*.txt*")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	root := newRoot()
	good, bad := map[*cobra.Command]bool{}, map[*cobra.Command]bool{}
	line := regexp.MustCompile(`^!? *exec (?:sh -c ')?(lnactor|exits \d+) ?(.*)$`)
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(string(text), "\n") {
			m := line.FindStringSubmatch(l)
			if m == nil {
				continue
			}
			c, _, err := root.Find(strings.Fields(m[2]))
			if err != nil {
				continue // an unknown command, which is what that line tests
			}
			switch m[1] {
			case "lnactor", "exits 0", "exits 130":
				good[c] = true
			case "exits 69", "exits 77":
				// The node is away, or the token too small: that says nothing about the command's own input.
			default:
				bad[c] = true
			}
		}
	}
	var lacking []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasParent() && c.Parent().Name() == "completion" {
			return // cobra's own
		}
		if !good[c] {
			lacking = append(lacking, c.CommandPath()+": with good input")
		}
		if !bad[c] {
			lacking = append(lacking, c.CommandPath()+": with bad input")
		}
	}
	for _, c := range root.Commands() {
		walk(c)
	}
	slices.Sort(lacking)
	for _, l := range lacking {
		t.Errorf("no script in tests/cli/testdata runs %s", l)
	}
}
