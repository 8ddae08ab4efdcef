package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// port NAME... sets variables to free ports.
func port(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		p, err := freePort()
		ts.Check(err)
		ts.Setenv(name, p)
	}
}

// field NAME FILE TEXT sets a variable to the last word of the first line of a file that holds the text.
func field(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: field NAME FILE TEXT")
	}
	for _, line := range strings.Split(ts.ReadFile(args[1]), "\n") {
		if words := strings.Fields(line); strings.Contains(line, args[2]) && len(words) > 0 {
			ts.Setenv(args[0], strings.Trim(words[len(words)-1], `",`))
			return
		}
	}
	ts.Fatalf("no line of %s holds %q", args[1], args[2])
}

// event DIR TEXT [mine] waits until an event of a node's feed holds the text; with a third argument it mines a block of the node's chain now and then.
func event(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: event DIR TEXT [mine]")
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		found := false
		_, err := journal.Scan(ts.MkAbs(filepath.Join(args[0], feed.Dir)), 0, func(e journal.Entry) error {
			found = found || strings.Contains(e.Kind+" "+string(e.Data), args[1])
			return nil
		})
		ts.Check(err)
		if found {
			return
		}
		if len(args) > 2 {
			ts.Check(ts.Exec("lnactor", "regtest", "mine", "-d", args[0], "1"))
		}
	}
	ts.Fatalf("no event with %q in the feed of %s", args[1], args[0])
}

// mode OCTAL FILE... fails unless the files have that mode.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: mode OCTAL FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

// lnactorPath makes a directory with a command `lnactor` that is this binary.
func lnactorPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(shortDir(t), "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	// testscript.Main runs the command that the binary is called by.
	if err := os.Symlink(self, filepath.Join(bin, "lnactor")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// shortDir is a directory in which a socket can be made: its path may have some 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ln")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestQuickstart runs the commands of README.md as they are printed, in the order in which they are, but for the clone, which this is, and for the ports,
// which may be in use.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../README.md")
	must(t, err)
	_, rest, found := strings.Cut(string(doc), "## A node, and a paid invoice\n")
	section, _, closed := strings.Cut(rest, "\n## ")
	var commands strings.Builder
	for i, block := range strings.Split(section, "```")[1:] {
		if code, isShell := strings.CutPrefix(block, "sh\n"); i%2 == 0 && isShell {
			commands.WriteString(code)
		}
	}
	script, cloned := strings.CutPrefix(commands.String(), "git clone https://github.com/lnactor/lnactor && cd lnactor\n")
	install, script, installed := strings.Cut(script, "\n")
	if !found || !closed || !cloned || !installed || !strings.HasPrefix(install, "go install ./cmd/lnactor && ") {
		t.Fatalf("no quickstart in README.md, or another beginning:\n%s", commands.String())
	}
	for _, fixed := range []string{"18443", "9736"} {
		free, err := freePort()
		must(t, err)
		if !strings.Contains(script, ":"+fixed) {
			t.Fatalf("no port %s", fixed)
		}
		script = strings.ReplaceAll(script, ":"+fixed, ":"+free)
	}
	repo, err := filepath.Abs("../..")
	must(t, err)
	dir := shortDir(t)
	stdout, stderr, err := bash(t, dir, "cd "+repo+"\n"+install+"\ncd "+dir+"\n"+script+"\nwait\n", "GOBIN="+filepath.Join(dir, "bin"), "GOFLAGS=-mod=readonly",
		"PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
	}
	for _, want := range []string{"status   sent", "in channels     21 000 sat", "open   1 000 000 sat", "PaymentClaimed"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout)
		}
	}
}

// bash runs commands until one fails, and ends whatever they leave running.
func bash(t *testing.T, dir, commands string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", commands)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "HOME="+dir, "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE")), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever a failure left
	}
	return out.String(), errs.String(), err
}

// goEnv is a setting of the go command, which depends on HOME.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}
