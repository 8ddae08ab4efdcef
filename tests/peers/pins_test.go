package peers

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// TestPins: what both modules require they require in the same version, or this
// module would test other code than lnactor ships. The one exception is lnd's
// fork of protobuf, a replace.
func TestPins(t *testing.T) {
	main, here := requirements(t, "../../go.mod"), requirements(t, "go.mod")
	for module, version := range here {
		if want, ok := main[module]; ok && want != version {
			t.Errorf("%s: %s here, %s in the main module", module, version, want)
		}
	}
	if here["github.com/lightningnetwork/lnd"] == "" {
		t.Fatal("read nothing from go.mod")
	}
}

// requirements reads the require blocks of a go.mod.
func requirements(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	versions := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(lines.Text(), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			versions[fields[0]] = fields[1]
		}
	}
	return versions
}
