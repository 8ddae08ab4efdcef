package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// tmpfs mounts a file system of that size at a process's data directory, or skips the test where that is not allowed.
func tmpfs(t *testing.T, p *process, size string) {
	t.Helper()
	must(t, os.Mkdir(p.dir, 0o700))
	if err := unix.Mount("tmpfs", p.dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("no file system can be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		p.kill() // or it would be in use
		if err := unix.Unmount(p.dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// TestDiskFull fills the disk of a node that is paid and pays. It stops by itself with the exit code for that, says what to do, and does not start until there
// is room again; then all payments end, and both sides' books agree.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	t.Run("tmpfs", func(t *testing.T) {
		t.Parallel()
		c := servedPair(t)
		tmpfs(t, c.bob, "100m")
		filler := filepath.Join(c.bob.dir, "filler")
		diskFull(t, c, func(round int) {
			if round > 0 {
				return
			}
			f, err := os.Create(filler)
			must(t, err)
			block := make([]byte, 64<<10)
			for len(block) > 0 { // to the last byte
				if _, err = f.Write(block); err != nil {
					block = block[:len(block)/2]
				}
			}
			if must(t, f.Close()); !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			poll(t, patience, "the alarm", func(ctx context.Context) bool {
				full, _ := c.bob.has(ctx, "disk_full")
				return full || c.bob.gone()
			})
		}, func() {
			// Started without room, it says so at once, and changes nothing.
			if code, out := c.bob.command(t, append([]string{"run", "--unattended", "-d", c.bob.dir}, c.bob.args...)...); code != 74 || !strings.Contains(out, "disk full") || !strings.Contains(out, "hint: make room on the disk") {
				t.Errorf("a start without room: exit code %d\n%s", code, tail(out))
			}
			must(t, os.Remove(filler))
		})
	})
	// A limit on the size of files fails writes as a quota does, in the middle of a commit. This needs no rights.
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		c := servedPair(t)
		limit := unix.Rlimit{Cur: 1 << 24, Max: unix.RLIM_INFINITY}
		diskFull(t, c, func(round int) {
			if round%4 != 0 || limit.Cur < 1<<12 {
				return
			}
			limit.Cur /= 2 // until a write meets it
			if err := unix.Prlimit(c.bob.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
				t.Fatal(err)
			}
		}, func() {})
	})
}

func diskFull(t *testing.T, c *pair, fill func(round int), free func()) {
	t.Helper()
	c.start(t)
	c.open(t)
	asked := map[string]bool{}
	paid(t, c.alice, c.bob, asked, "before")
	for round := 0; !c.bob.gone(); round++ {
		fill(round)
		if round == 500 {
			t.Fatal("bob runs on without room for what he is paid")
		}
		var wg sync.WaitGroup
		for i := range 10 {
			id := fmt.Sprintf("full-%d-%d", round, i)
			wg.Go(func() { payOne(t.Context(), c.alice, c.bob, id) })
			wg.Go(func() { payOne(t.Context(), c.bob, c.alice, id) })
		}
		wg.Wait()
	}
	if code := c.bob.exit(t); code != 74 {
		t.Errorf("exit code %d, want 74", code)
	}
	if !strings.Contains(c.bob.out.String(), "hint: make room on the disk") {
		t.Error("it does not say what to do")
	}
	free()
	c.bob.start(t)
	c.settle(t, "the payments to end once there was room again")
	paid(t, c.alice, c.bob, asked, "after")
	paid(t, c.bob, c.alice, asked, "after")
	bob := int64(1000 * pushSat)
	var outcomes [2]map[string]string
	var sent [2]int
	for i, p := range c.sides() {
		outcomes[i], sent[i] = map[string]string{}, 0
		list, err := p.api.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Limit: 10_000})
		must(t, err)
		for _, pay := range list.GetPayments() {
			outcomes[i][pay.GetId()] = "PaymentFailed"
			if pay.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_SENT {
				outcomes[i][pay.GetId()] = "PaymentSent"
				bob += int64(pay.GetAmountMsat()) * int64(1-2*i)
				sent[i]++
			}
		}
	}
	c.balances(t, uint64(bob))
	for i, p := range c.sides() {
		checkFeed(t, p, outcomes[i], sent[1-i])
	}
	c.stop(t)
	if code, out := c.bob.command(t, "inspect", "--datadir", c.bob.dir); code != 0 {
		t.Errorf("inspect: exit code %d\n%s", code, out)
	}
}

// TestReadOnly: a directory that can't be written is no place for a node, which says so and changes nothing; it can be examined all the same.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	p := newProcess(shortDir(t), lnactorPath(t), "node", "--stop-limit", stopLimit)
	var protect func(bool) error
	want, says := 74, "mount it so that it can be written"
	if os.Geteuid() == 0 { // whom modes do not keep out
		tmpfs(t, p, "100m")
		protect = func(on bool) error {
			if on {
				return unix.Mount("", p.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
			}
			return unix.Mount("", p.dir, "", unix.MS_REMOUNT, "")
		}
	} else {
		want, says = 78, "needs the right to write there"
		protect = func(on bool) error {
			if on {
				return os.Chmod(p.dir, 0o500)
			}
			return os.Chmod(p.dir, 0o700)
		}
		t.Cleanup(func() { _ = protect(false) }) // or it could not be removed
	}
	p.start(t)
	info, err := p.api.GetInfo(t.Context(), &apiv1.GetInfoRequest{})
	must(t, err)
	p.stop(t)

	must(t, protect(true))
	if code, out := p.command(t, "run", "--unattended", "-d", p.dir); code != want || !strings.Contains(out, says) {
		t.Errorf("run: exit code %d, want %d\n%s", code, want, out)
	}
	if code, out := p.command(t, "inspect", "--datadir", p.dir); code != 0 || !strings.Contains(out, info.GetNodeId()) {
		t.Errorf("inspect: exit code %d\n%s", code, out)
	}
	if code, out := p.command(t, "run", "--unattended", "-d", filepath.Join(p.dir, "new")); code != want || !strings.Contains(out, says) {
		t.Errorf("run in a new directory there: exit code %d, want %d\n%s", code, want, out)
	}
	must(t, protect(false))
	p.start(t)
	again, err := p.api.GetInfo(t.Context(), &apiv1.GetInfoRequest{})
	if err != nil || again.GetNodeId() != info.GetNodeId() {
		t.Errorf("%v %v", again, err)
	}
	p.stop(t)
}
