package lnactor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// A restore that dies at any step leaves no store, so that it can be repeated and no node starts before it was; or a store in which every channel is marked.
func TestRestoreCrashes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	p := newPair(t, ctx, t.TempDir(), t.TempDir())
	path := copied(t, ctx, p.alice)
	p.alice.Kill()
	p.bob.Kill()

	var marked, none, refused, seeds int
	for step := 0; ; step++ {
		dir := filepath.Join(t.TempDir(), "restored")
		if !crashedRestore(t, path, dir, step) {
			if step < 12 || none < 10 || marked == 0 || refused < 8 || seeds < 2 {
				t.Fatalf("%d steps, %d without a store, of these %d with something and %d with the seed; %d with a store", step, none, refused, seeds, marked)
			}
			return
		}
		if !there(t, dir, "store.db") {
			none++
			if there(t, dir, "restore-unfinished") {
				refused++
				p.refused(t, ctx, dir)
			} else if there(t, dir, "seed") || there(t, dir, "wallet.json") {
				t.Fatalf("step %d: files of the node, and nothing says that they are not all", step)
			}
			if there(t, dir, "seed") {
				seeds++
			}
			if seeds == 1 { // the repeated one dies, too, at each of its steps
				for again := 0; !there(t, dir, "store.db"); again++ {
					if !crashedRestore(t, path, dir, again) {
						t.Fatalf("step %d, repeated: no store", step)
					}
					if !there(t, dir, "store.db") {
						p.refused(t, ctx, dir)
					}
				}
			} else if _, err := lnactor.RestoreBackup(path, dir); err != nil {
				t.Fatalf("step %d, repeated: %v", step, err)
			}
		} else {
			marked++
		}
		p.marked(t, dir)
		if marked == 0 && seeds != 1 {
			continue // a node on it is no other than the ones below
		}
		n := p.reopened(t, ctx, dir, false)
		if n.ID() != p.alice.ID() {
			t.Fatalf("step %d: another node", step)
		}
		if c := channelOf(t, ctx, n, p.channel); !c.Unverified {
			t.Fatalf("step %d: not marked", step)
		}
		n.Kill()
		if there(t, dir, "restore-unfinished") {
			t.Fatalf("step %d: the start left the copy of the store", step)
		}
	}
}

// marked looks at the store that a restore has made.
func (p *pair) marked(t *testing.T, dir string) {
	t.Helper()
	in, err := lnactor.Inspect(dir, nil)
	if err != nil || len(in.Channels) != 1 || in.Channels[0].Summary.Channel != p.channel || !in.Channels[0].Summary.Unverified {
		t.Fatalf("%+v, %v", in, err)
	}
}

func there(t *testing.T, dir, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// refused starts a node where a restore was interrupted. With the seed and without the channels it would be a node whose peers close them, and which
// takes the keys of the first channels again.
func (p *pair) refused(t *testing.T, ctx context.Context, dir string) {
	t.Helper()
	seed := there(t, dir, "seed")
	n, err := lnactor.Open(ctx, lnactor.Config{Dir: dir, Chain: p.chain.Source(), Params: p.chain.Params(), Listen: "127.0.0.1:0"})
	if err == nil {
		n.Kill()
	}
	if !errors.Is(err, lnactor.ErrRestoreUnfinished) {
		t.Fatal("a node starts on half a restore:", err)
	}
	if err := lnactor.CheckRestore(dir); !errors.Is(err, lnactor.ErrRestoreUnfinished) {
		t.Fatal(err)
	}
	if _, err := lnactor.Inspect(dir, nil); !errors.Is(err, lnactor.ErrRestoreUnfinished) || !strings.Contains(err.Error(), "run 'lnactor restore'") {
		t.Fatal("inspect:", err)
	}
	if there(t, dir, "store.db") || there(t, dir, "seed") != seed {
		t.Fatal("the refused start made a store or a seed")
	}
}

// Two restores at once: whichever comes second is refused, at whichever step of the first, and what is in place is marked.
func TestRestoresAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	p := newPair(t, ctx, t.TempDir(), t.TempDir())
	path := copied(t, ctx, p.alice)
	p.alice.Kill()
	p.bob.Kill()
	var before, during int
	for step := 0; ; step++ {
		dir := filepath.Join(t.TempDir(), "restored")
		left, second := step, error(nil)
		stop := lnactor.CrashRestore(func() {
			if left--; left == -1 { // the second one counts on
				_, second = lnactor.RestoreBackup(path, dir)
			}
		})
		_, first := lnactor.RestoreBackup(path, dir)
		stop()
		if left >= 0 {
			if before == 0 || during < 8 {
				t.Fatalf("%d steps: %d before the first had the directory, %d after that", step, before, during)
			}
			return
		}
		switch {
		case second == nil && errors.Is(first, lnactor.ErrStoreExists):
			before++
		case first == nil && (errors.Is(second, lnactor.ErrInUse) || errors.Is(second, lnactor.ErrStoreExists)):
			during++
		default:
			t.Fatalf("step %d: %v; %v", step, first, second)
		}
		p.marked(t, dir)
	}
}

// The same backup is restored twice, and both nodes have run: neither uses a channel key of the other (rule 1), nor makes events under its ids (S8).
func TestRestoreTwice(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir, t.TempDir())
	path := copied(t, ctx, p.alice)
	p.alice.Kill()
	p.bob.Kill()
	was := lastKey(t, dir)
	keys, seqs := map[uint32]bool{}, map[uint64]bool{}
	restored := func() (uint32, uint64) {
		dir := filepath.Join(t.TempDir(), "restored")
		if _, err := lnactor.RestoreBackup(path, dir); err != nil {
			t.Fatal(err)
		}
		mark, ok := logOf(t, dir, p.channel).last(t).Updates[0].(facts.Restored)
		if !ok {
			t.Fatal("the last record is no mark")
		}
		return lastKey(t, dir), mark.Jump()
	}
	for range 4 {
		key, seq := restored()
		if key < was+1<<20 || seq < 1<<32 {
			t.Fatalf("channel keys up to %d are given up, %d were used; events go on after %d", key, was, seq)
		}
		if keys[key] || seqs[seq] {
			t.Fatalf("two restores go on with channel key %d, events %d", key+1, seq+1)
		}
		keys[key], seqs[seq] = true, true
	}

	// The least and the most that chance can do.
	defer lnactor.RestoreWith(repeated(0))()
	least, first := restored()
	lnactor.RestoreWith(repeated(0xff))
	most, _ := restored()
	if least != was+1<<20 || most <= least || most >= 1<<31 || first != 1<<32 {
		t.Fatalf("keys up to %d to %d, events after %d", least, most, first)
	}
}

// repeated reads one byte for ever.
type repeated byte

func (r repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r)
	}
	return len(b), nil
}

// A log that this release can't read is marked, too: a release that reads it finds the channel unverified.
func TestRestoreMarksWhatItCannotRead(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir, t.TempDir())
	p.alice.Kill()
	p.bob.Kill()

	// The last record is of a kind that is yet to come.
	l := logOf(t, dir, p.channel)
	m, err := monitor.Read(l.snapshot, l.records)
	if err != nil {
		t.Fatal(err)
	}
	index := l.last(t).Index + 1
	s, err := bboltstore.Open(dir, bboltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	unknown := (&record.Record{Index: index, Updates: []facts.Update{facts.BlockSeen{}}}).Write()
	unknown = bytes.Replace(unknown, []byte{0x8a, 0x01}, []byte{0x8a, 0x7d}, 1) // its kind, 17, becomes 2001
	if _, err := record.Read(unknown); err == nil {
		t.Fatalf("the record can be read: %x", unknown)
	}
	err = s.Commit(&persister.Batch{Append: []persister.Record{{Key: l.lastKey + 1, Owner: l.owner, Seq: l.seq + 1, Data: unknown}}})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lnactor.BackupDir(dir, f, lnactor.BackupOptions{Seed: true})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}

	to := filepath.Join(t.TempDir(), "restored")
	r, err := lnactor.RestoreBackup(path, to)
	if err != nil || len(r.Channels) != 0 || r.Unreadable[p.channel] == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	// This release quarantines it. The next one knows the record.
	l = logOf(t, to, p.channel)
	n := len(l.records)
	if !bytes.Equal(l.records[n-2], unknown) {
		t.Fatalf("the last records are %x", l.records[n-2:])
	}
	l.records[n-2] = (&record.Record{Index: index, Updates: []facts.Update{facts.BlockSeen{Height: m.Summary().Height}}}).Write()
	if m, err = monitor.Read(l.snapshot, l.records); err != nil || !m.Summary().Unverified {
		t.Fatalf("the release that can read it: %+v, %v", m, err)
	}
	node := p.reopened(t, ctx, to, false)
	list, err := node.Channels(ctx)
	if err != nil || len(list) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := node.ForceCloseChannel(ctx, p.channel); err == nil {
		t.Fatal("this release closes a channel that it can't read")
	}
}

// channelLog is what the store of a node that does not run holds of a channel.
type channelLog struct {
	owner    messages.Owner
	lastKey  uint64 // of any owner
	seq      uint64
	keys     []uint64
	snapshot []byte
	records  [][]byte
}

func logOf(t *testing.T, dir string, id lnactor.ChannelID) *channelLog {
	t.Helper()
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &channelLog{owner: messages.Owner(id[:])}
	err = s.Scan(l)
	if err == nil {
		var snap persister.Snapshot
		var found bool
		if snap, found, err = s.ReadSnapshot(l.owner); found {
			l.snapshot = snap.Data
		}
	}
	if err == nil {
		var list []persister.Record
		list, err = s.ReadLog(l.keys)
		for i := range list {
			l.records = append(l.records, list[i].Data)
		}
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return l
}

// Snapshot implements persister.Visitor. It comes before the records.
func (l *channelLog) Snapshot(s persister.Snapshot) {
	if s.Owner == l.owner {
		l.seq = s.Through
	}
}

// Record implements persister.Visitor.
func (l *channelLog) Record(r persister.Record) {
	l.lastKey = max(l.lastKey, r.Key)
	if r.Owner == l.owner && r.Seq > l.seq {
		l.keys, l.seq = append(l.keys, r.Key), r.Seq
	}
}

func (l *channelLog) last(t *testing.T) *record.Record {
	t.Helper()
	if len(l.records) == 0 {
		t.Fatal("no record after the snapshot")
	}
	r, err := record.Read(l.records[len(l.records)-1])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crashedRestore stops a restore at a step, and tells whether there was one.
func crashedRestore(t *testing.T, path, dir string, step int) (crashed bool) {
	t.Helper()
	const crash = "crash"
	defer lnactor.CrashRestore(func() {
		if step--; step < 0 {
			panic(crash)
		}
	})()
	defer func() {
		if r := recover(); r == crash {
			crashed = true
		} else if r != nil {
			panic(r)
		}
	}()
	if _, err := lnactor.RestoreBackup(path, dir); err != nil {
		t.Fatal(err)
	}
	return false
}
