package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is one life of a node that is a process of its own, perhaps run by another program, such as strace.
type process struct {
	cmd     *exec.Cmd
	wrapped bool
	ended   chan struct{} // closed once it is gone and err is set
	err     error
}

// startProcess starts a program, whose output goes to the end of a file.
func startProcess(t testing.TB, out string, wrap []string, program string, args ...string) *process {
	t.Helper()
	f, err := os.OpenFile(out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	line := append(append(append([]string{}, wrap...), program), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		f.Close()
		t.Fatalf("start %s: %v", program, err)
	}
	p := &process{cmd: cmd, wrapped: len(wrap) > 0, ended: make(chan struct{})}
	go func() {
		if p.err = cmd.Wait(); p.err == nil {
			p.err = errors.New("status 0")
		}
		f.Close()
		close(p.ended)
	}()
	return p
}

// pid is the node's, not that of the program that runs it; 0 if it is not known.
func (p *process) pid() int {
	pid := p.cmd.Process.Pid
	if !p.wrapped {
		return pid
	}
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	child, _ := strconv.Atoi(strings.TrimSpace(string(list)))
	return child
}

func (p *process) signal(s syscall.Signal) {
	to := p.cmd.Process
	if pid := p.pid(); p.wrapped && pid != 0 {
		if node, err := os.FindProcess(pid); err == nil {
			to = node
		}
	}
	_ = to.Signal(s) // it may have ended before
}

// stop ends the process in order.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s did not stop within %v", filepath.Base(p.cmd.Path), patience)
	}
}

// kill ends it as a power failure does.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// usage is what a process has used of the machine, as Linux counts it.
type usage struct {
	cpu   time.Duration
	bytes uint64 // written to the disk, or on their way there
	ok    bool
}

// used reads the usage of a process.
func used(pid int) usage {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // the name may hold spaces
	if len(fields) < 13 {
		return usage{}
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 64)
	system, err2 := strconv.ParseUint(fields[12], 10, 64)
	bytes, ok := procNumber(fmt.Sprintf("/proc/%d/io", pid), "write_bytes:")
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	return usage{cpu: time.Duration(user+system) * tick, bytes: bytes, ok: err1 == nil && err2 == nil && ok}
}

// resident is the memory of a process in bytes: now, and at most so far.
func resident(pid int) (now, peak uint64) {
	now, _ = procNumber(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
	peak, _ = procNumber(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	return now * 1024, peak * 1024
}

// procNumber is the number behind a word in one of the kernel's files.
func procNumber(path, word string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == word {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
