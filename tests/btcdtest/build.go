package btcdtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// home holds the program and the prepared chain while the test binary runs.
var home string

// Main runs the tests of a package and removes what was built for them.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "btcdtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "btcdtest:", err)
		return 1
	}
	home = dir
	failed := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "btcdtest:", err)
	}
	return failed
}

var build = sync.OnceValues(func() (string, error) {
	if home == "" {
		return "", fmt.Errorf("btcdtest: call btcdtest.Main from TestMain")
	}
	program := filepath.Join(home, "btcd")
	// Tests run in their package's directory, so go.mod says which version.
	if out, err := exec.Command("go", "build", "-o", program, "github.com/btcsuite/btcd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("btcdtest: build btcd: %w\n%s", err, out)
	}
	return program, nil
})
