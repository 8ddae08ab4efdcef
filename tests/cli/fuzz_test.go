package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lnactor/lnactor/cmd/lnactor/cli"
)

// FuzzFlags: whatever is said on the command line, one argument a line, it is taken, or refused with the exit code for it and a reason.
func FuzzFlags(f *testing.F) {
	f.Add("")
	f.Add("--network\nsimnet\n--chain=btcd\n--rpc-url=http://127.0.0.1:1")
	f.Add("--network=mainnet")
	f.Add("--unattended=perhaps\n--min-depth=-1")
	f.Add("--lisen\nx")
	f.Add("--listen")
	f.Add("-x\n--\n--=\n-=\n---")
	f.Add("--help\n--stop-limit\n1s")
	f.Add("--forwarding-ppm=99999999999\n--public-color=\x1b[31m\xff")
	f.Add("more\nwords")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, line string) {
		args := []string{"config", "check"}
		for _, a := range strings.Split(line, "\n") {
			if a = strings.ReplaceAll(a, "\x00", ""); a != "" && !strings.Contains(a, "dir") && !strings.Contains(a, "config") && !strings.HasPrefix(a, "-d") {
				args = append(args, a) // no other file than the test's is read
			}
		}
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), append(args, "--dir="+dir), &out, &errs)
		switch {
		case code == cli.ExitOK && out.Len() > 0:
		case (code == cli.ExitUsage || code == cli.ExitConfig) && strings.HasPrefix(errs.String(), "lnactor: "):
		default:
			t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
		}
	})
}
