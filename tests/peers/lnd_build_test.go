package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// lndTags are the parts of lnd that these tests need beside its core: invoices that are held.
const lndTags = "invoicesrpc"

// lndProgram builds the lnd of go.mod. It takes minutes the first time on a machine; the program is kept in the user's cache directory, and built
// again only when it would differ.
var lndProgram = sync.OnceValues(func() (string, error) { return buildLnd("lnd") })

// buildLnd builds lnd under a name of its own, with more arguments for the compiler.
func buildLnd(name string, args ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "lnactor-peers", name)
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args = append([]string{"build", "-tags", lndTags, "-o", program}, args...)
	args = append(args, "github.com/lightningnetwork/lnd/cmd/lnd")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lnd: %w\n%s", err, out)
	}
	return program, nil
}
