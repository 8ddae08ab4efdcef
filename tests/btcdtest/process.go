package btcdtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errEnded: btcd ended by itself.
var errEnded = errors.New("btcdtest: btcd ended by itself")

// process is one life of the program.
type process struct {
	cmd *exec.Cmd
	out *os.File

	// ended is closed once the process is gone and err is set.
	ended chan struct{}
	err   error
}

func run(args []string, logDir string) (*process, error) {
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("btcdtest: %w", err)
	}
	out, err := os.Create(filepath.Join(logDir, "out"))
	if err != nil {
		return nil, fmt.Errorf("btcdtest: %w", err)
	}
	p := &process{cmd: exec.Command(args[0], args[1:]...), out: out, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("btcdtest: start btcd: %w", err)
	}
	go func() {
		if p.err = p.cmd.Wait(); p.err == nil {
			p.err = errors.New("status 0")
		}
		out.Close()
		close(p.ended)
	}()
	return p, nil
}

// await looks again and again until something is there.
func (p *process) await(what string, there func() bool) error {
	for deadline := time.Now().Add(patience); !there(); {
		select {
		case <-p.ended:
			return fmt.Errorf("%w: %w\n%s", errEnded, p.err, p.tail())
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("btcdtest: no %s after %v\n%s", what, patience, p.tail())
		}
	}
	return nil
}

func (p *process) awaitFile(name string) (content []byte, err error) {
	err = p.await(name, func() bool {
		content, err = os.ReadFile(name)
		return err == nil && strings.Contains(string(content), "END CERTIFICATE")
	})
	return content, err
}

func (p *process) awaitPort(addr string) error {
	return p.await("listener on "+addr, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// stop asks the process to end, so that it writes what it has in memory.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("btcdtest: stop btcd: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("btcdtest: btcd did not stop in %v", patience)
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended before
	<-p.ended
}

// tail is the end of what the process printed.
func (p *process) tail() string {
	text, err := os.ReadFile(p.out.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}
