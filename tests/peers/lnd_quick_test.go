package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// quickFees is the one change that tests ask of lnd: as a funder it looks at the fee of a commitment after 10 to 60 minutes, and no option says
// otherwise. The program changed so looks after 2 to 4 seconds. All else in it is lnd's own code.
var quickFees = map[string]string{
	"DefaultMinLinkFeeUpdateTimeout = 10 * time.Minute": "DefaultMinLinkFeeUpdateTimeout = 2 * time.Second",
	"DefaultMaxLinkFeeUpdateTimeout = 60 * time.Minute": "DefaultMaxLinkFeeUpdateTimeout = 4 * time.Second",
}

// lndQuick builds lnd with quickFees. As it is another module to the compiler, this takes as long as the first build of lnd does, once per machine.
var lndQuick = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", "github.com/lightningnetwork/lnd").Output()
	if err != nil {
		return "", fmt.Errorf("find lnd: %w", err)
	}
	fields := strings.Fields(string(out))
	if len(fields) != 2 {
		return "", fmt.Errorf("find lnd: go list says %q", out)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "lnactor-peers", "lnd-quick-fees-"+fields[1])
	if err := copyLnd(fields[0], dir); err != nil {
		return "", fmt.Errorf("copy lnd: %w", err)
	}
	modfile, err := modfileWith(dir)
	if err != nil {
		return "", err
	}
	return buildLnd("lnd-quick-fees", "-modfile="+modfile)
})

// copyLnd copies lnd's module and makes the change, unless the copy is there. It appears under its name when it is whole.
func copyLnd(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	part, err := os.MkdirTemp(filepath.Dir(to), "part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	tree := filepath.Join(part, "lnd")
	if err := os.CopyFS(tree, os.DirFS(from)); err != nil {
		return err
	}
	path := filepath.Join(tree, "htlcswitch", "link.go")
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for old, changed := range quickFees {
		if bytes.Count(source, []byte(old)) != 1 {
			return fmt.Errorf("link.go of this lnd does not have %q", old)
		}
		source = bytes.Replace(source, []byte(old), []byte(changed), 1)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(path, source, 0o600); err != nil {
		return err
	}
	return os.Rename(tree, to)
}

// modfileWith writes a go.mod that takes lnd from a directory, beside it, and returns its path.
func modfileWith(dir string) (string, error) {
	for _, ext := range []string{"mod", "sum"} {
		text, err := os.ReadFile("go." + ext)
		if err != nil {
			return "", err
		}
		if ext == "mod" {
			text = fmt.Appendf(text, "\nreplace github.com/lightningnetwork/lnd => %s\n", dir)
		}
		if err := os.WriteFile(dir+"."+ext, text, 0o600); err != nil {
			return "", err
		}
	}
	return dir + ".mod", nil
}
