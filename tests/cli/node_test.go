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

// TestQuickstart runs the commands of docs/operations.md as they are printed, but for the ports, which may be in use.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "## From nothing to a paid invoice")
	_, rest, opened := strings.Cut(rest, "```sh\n")
	commands, _, closed := strings.Cut(rest, "```")
	if !found || !opened || !closed {
		t.Fatal("no quickstart in docs/operations.md")
	}
	for _, fixed := range []string{"18443", "9736"} {
		free, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(commands, ":"+fixed) {
			t.Fatalf("no port %s", fixed)
		}
		commands = strings.ReplaceAll(commands, ":"+fixed, ":"+free)
	}
	bash := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", commands+"\nwait\n")
	bash.Dir = shortDir(t)
	bash.Env = append(os.Environ(), "PATH="+lnactorPath(t)+":"+os.Getenv("PATH"), "HOME="+bash.Dir)
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bash.Cancel = func() error { return syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) }
	bash.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	bash.Stdout, bash.Stderr = &stdout, &stderr
	err = bash.Run()
	if bash.Process != nil {
		_ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) // whatever a failure left
	}
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	for _, want := range []string{"status   sent", "in channels     21 000 sat", "open   1 000 000 sat"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout.String())
		}
	}
}
