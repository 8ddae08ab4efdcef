package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

var start = time.Unix(1_800_000_000, 0)

func event(n int) New {
	return New{ID: fmt.Sprintf("id/%d", n), Kind: "PaymentSent", Data: json.RawMessage(fmt.Sprintf(`{"amount_msat":%d}`, n))}
}

func events(from, to int) (out []New) {
	for n := from; n < to; n++ {
		out = append(out, event(n))
	}
	return out
}

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func appendAll(t testing.TB, j *Journal, list []New) []Entry {
	t.Helper()
	added, err := j.Append(list, start)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// all reads every event there is, over what is missing, whose positions it returns.
func all(t testing.TB, j *Journal) (ids []string, missing []uint64) {
	t.Helper()
	seq, next := j.Bounds()
	for seq < next {
		list, err := j.Read(seq, 7)
		var m *MissingError
		if errors.As(err, &m) {
			if m.First != seq || m.Last < m.First {
				t.Fatalf("at %d: %v", seq, m)
			}
			for ; seq <= m.Last; seq++ {
				missing = append(missing, seq)
			}
			continue
		}
		if err != nil || len(list) == 0 {
			t.Fatalf("read %d of %d: %v", seq, next, err)
		}
		for _, e := range list {
			if e.Seq != seq {
				t.Fatalf("event %d at position %d", e.Seq, seq)
			}
			ids = append(ids, e.ID)
			seq++
		}
	}
	return ids, missing
}

func idsOf(list []New) (out []string) {
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

// TestOnce: an event is there once and at one position, over restarts, whichever segment it is in.
func TestOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	want := idsOf(events(0, 50))
	for range 3 {
		j := open(t, dir, Options{Segment: 8})
		appendAll(t, j, events(0, 20))
		appendAll(t, j, slices.Concat(events(10, 50), events(30, 50)))
		if got, missing := all(t, j); !slices.Equal(got, want) || missing != nil {
			t.Fatalf("%v, missing %v", got, missing)
		}
		for n := range 50 {
			if seq, found, err := j.Find(event(n).ID); !found || err != nil || seq != uint64(n)+1 {
				t.Fatalf("event %d: %d %v %v", n, seq, found, err)
			}
		}
		if _, found, _ := j.Find("id/50"); found {
			t.Fatal("found what is not there")
		}
		j.Close()
		if _, err := j.Append(events(60, 61), start); !errors.Is(err, lnactor.ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
	}
	list, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if len(list) != 7 {
		t.Errorf("%d segments", len(list))
	}
	for _, path := range list {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path, info.Mode())
		}
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestLines: a line is JSON that others can read, and any change of it is noticed.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, []New{{ID: "a", Kind: "K", Data: json.RawMessage(`{"text":"\u003c \n \"x\""}`)}})
	raw, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil || plain["id"] != "a" || plain["seq"] != 1.0 || plain["data"].(map[string]any)["text"] != "< \n \"x\"" {
		t.Fatalf("%v %v", plain, err)
	}
	for i := range len(raw) - 1 {
		bad := slices.Clone(raw)
		bad[i] ^= 0x04
		if err := Unseal(bad, &line{}); err == nil {
			t.Fatalf("byte %d changed: %s", i, bad)
		}
	}
}

// TestDurableBeforeRead: nothing can be read, and Append does not return, before the sync; one call is one sync.
func TestDurableBeforeRead(t *testing.T) {
	j := open(t, t.TempDir(), Options{Segment: 100})
	syncs := 0
	hookSync(t, func(f *os.File) error {
		syncs++
		if _, next := j.Bounds(); next != 1+uint64(syncs-1)*10 {
			t.Errorf("sync %d: the next position is %d already", syncs, next)
		}
		return f.Sync()
	})
	for i := range 5 {
		appendAll(t, j, events(i*10, i*10+10))
	}
	if syncs != 5 {
		t.Errorf("%d syncs for 5 calls", syncs)
	}
	appendAll(t, j, events(0, 50))
	if syncs != 5 {
		t.Errorf("%d syncs: what is there was written again", syncs)
	}
}

func hookSync(t *testing.T, f func(*os.File) error) {
	old := syncFile
	syncFile = f
	t.Cleanup(func() { syncFile = old })
}

// TestFailedSync: an error of a sync is final. After the restart the disk decides, and what is told again is there once.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, events(0, 3))
	injected := errors.New("injected")
	hookSync(t, func(*os.File) error { return injected })
	for range 2 {
		if _, err := j.Append(events(3, 5), start); !errors.Is(err, lnactor.ErrStoreFailed) || !errors.Is(err, injected) {
			t.Fatal(err)
		}
		syncFile = (*os.File).Sync // works again, and must not be asked
	}
	if _, next := j.Bounds(); next != 4 {
		t.Fatalf("next %d", next)
	}
	j.Close()
	j = open(t, dir, Options{})
	appendAll(t, j, events(3, 6))
	if got, _ := all(t, j); !slices.Equal(got, idsOf(events(0, 6))) {
		t.Fatalf("%v", got)
	}
}

// TestSyncedAtOpen: lines that a killed process wrote and did not sync are synced before they count.
func TestSyncedAtOpen(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	appendAll(t, j, events(0, 3))
	j.Close()
	synced := ""
	hookSync(t, func(f *os.File) error {
		synced = f.Name()
		return f.Sync()
	})
	open(t, dir, Options{})
	if synced != segmentPath(dir, 1) {
		t.Errorf("synced %q", synced)
	}
}

// TestCrashImages: every disk that a crash within an append may leave: the write cut off at any byte, or any sectors of it unwritten. What was
// acknowledged is there, what was not is there whole or not at all, and told again all is there once.
func TestCrashImages(t *testing.T) {
	const sector = 64 // small, to have many
	dir := t.TempDir()
	j := open(t, dir, Options{})
	var batches [][]byte // the file after each append
	bounds := []int{0, 4, 5, 9}
	for i := 1; i < len(bounds); i++ {
		appendAll(t, j, events(bounds[i-1], bounds[i]))
		raw, err := os.ReadFile(segmentPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, raw)
	}
	// The images are all that matters here, and there are thousands.
	hookSync(t, func(*os.File) error { return nil })
	oldDir := syncDir
	syncDir = func(string) error { return nil }
	t.Cleanup(func() { syncDir = oldDir })
	images := 0
	try := func(image []byte, acked int) {
		images++
		path := segmentPath(dir, 1)
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("%d acknowledged: %v\n%q", acked, err, image)
		}
		got, missing := all(t, j)
		if len(got) < acked || missing != nil || !slices.Equal(got, idsOf(events(0, len(got)))) {
			t.Fatalf("%d acknowledged, read %v, missing %v\n%q", acked, got, missing, image)
		}
		if _, err := j.Append(events(0, 12), start); err != nil {
			t.Fatal(err)
		}
		if again, _ := all(t, j); !slices.Equal(again, idsOf(events(0, 12))) {
			t.Fatalf("told again: %v", again)
		}
		j.Close()
	}
	before := []byte{}
	for i, after := range batches {
		for cut := len(before); cut <= len(after); cut++ {
			try(after[:cut], bounds[i])
			try(append(slices.Clone(after[:cut]), make([]byte, 100)...), bounds[i]) // the length was written, the content was not
		}
		sectors := (len(after) - len(before) + sector - 1) / sector
		for lost := 1; lost < 1<<min(sectors, 9); lost++ {
			image := slices.Clone(after)
			for s := range sectors {
				if lost&(1<<s) != 0 {
					at := len(before) + s*sector
					clear(image[at:min(at+sector, len(image))])
				}
			}
			try(image, bounds[i])
		}
		before = after
	}
	t.Logf("%d images", images)
}

// TestDamage: a line that was on disk and is bad now is told of, at its position, wherever it is; nothing else is lost, and no position is used twice.
func TestDamage(t *testing.T) {
	for bad := range 20 {
		for _, index := range []bool{true, false} {
			dir := t.TempDir()
			j := open(t, dir, Options{Segment: 8})
			for n := range 20 {
				appendAll(t, j, events(n, n+1))
			}
			j.Close()
			path := segmentPath(dir, uint64(bad/8*8+1))
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(raw, []byte("\n"))
			lines[bad%8][20] ^= 1
			if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			if !index {
				list, _ := filepath.Glob(filepath.Join(dir, "*.index"))
				for _, p := range list {
					os.Remove(p)
				}
			}
			j = open(t, dir, Options{Segment: 8})
			got, missing := all(t, j)
			if bad == 19 { // nothing proves that the last line was on disk: it looks like a crash
				if len(got) != 19 || missing != nil {
					t.Fatalf("last line: %v, missing %v", got, missing)
				}
				continue
			}
			if len(got) != 19 || !slices.Equal(missing, []uint64{uint64(bad) + 1}) {
				t.Fatalf("line %d, index %v: %v, missing %v", bad, index, got, missing)
			}
			appendAll(t, j, events(19, 30))
			if got, missing = all(t, j); len(got) != 29 || len(missing) != 1 {
				t.Fatalf("line %d, then: %v, missing %v", bad, got, missing)
			}
			report, err := Scan(dir, 0, nil)
			if err != nil || report.Bytes == 0 || report.Events != 29 || len(report.Missing) != 1 || report.Missing[0].First != uint64(bad)+1 || report.Next != 31 {
				t.Fatalf("line %d: %+v %v", bad, report, err)
			}
		}
	}
}

// TestCutTail: what a crash left of a long write does not follow a shorter one.
func TestCutTail(t *testing.T) {
	dir := t.TempDir()
	path := segmentPath(dir, 1)
	if err := os.WriteFile(path, bytes.Repeat([]byte("x\n"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, Options{})
	appendAll(t, j, events(0, 1))
	raw, err := os.ReadFile(path)
	if err != nil || bytes.Count(raw, []byte("\n")) != 1 {
		t.Errorf("%.300q %v", raw, err)
	}
}

// TestWrongPlace: a line that verifies and is not the one that belongs there is no event.
func TestWrongPlace(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 8})
	for n := range 9 {
		appendAll(t, j, events(n, n+1))
	}
	path := segmentPath(dir, 1)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	lines[3] = lines[2]
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, missing := all(t, j); len(got) != 8 || !slices.Equal(missing, []uint64{4}) {
		t.Errorf("%v, missing %v", got, missing)
	}
}

// TestBadIndex: an index with any bit changed, or of another segment, is made anew.
func TestBadIndex(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 4})
	appendAll(t, j, events(0, 10))
	j.Close()
	path := filepath.Join(dir, "00000000000000000001.index")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "00000000000000000005.index"))
	if err != nil {
		t.Fatal(err)
	}
	images := [][]byte{nil, good[:20], other, append(slices.Clone(good), 0)}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		images = append(images, bad)
	}
	for i, image := range images {
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir, Options{Segment: 4})
		if err != nil {
			t.Fatal(err)
		}
		if got, missing := all(t, j); len(got) != 10 || missing != nil {
			t.Fatalf("image %d: %v, missing %v", i, got, missing)
		}
		for n := range 4 {
			if seq, found, err := j.Find(event(n).ID); !found || err != nil || seq != uint64(n)+1 {
				t.Fatalf("image %d: event %d: %d %v %v", i, n, seq, found, err)
			}
		}
		j.Close()
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, good) {
			t.Fatalf("image %d: the index was not made anew", i)
		}
	}
}

// TestLostSegment: a segment that is gone, or cut short, is missing; the others are read.
func TestLostSegment(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 8})
	appendAll(t, j, events(0, 40))
	j.Close()
	os.Remove(segmentPath(dir, 9))
	if err := os.Truncate(segmentPath(dir, 25), 300); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, Options{Segment: 8})
	got, missing := all(t, j)
	if len(got)+len(missing) != 40 || !slices.Equal(missing[:8], []uint64{9, 10, 11, 12, 13, 14, 15, 16}) || missing[len(missing)-1] != 32 {
		t.Fatalf("%v, missing %v", got, missing)
	}
	if _, err := os.Stat(filepath.Join(dir, "00000000000000000025.index")); err != nil {
		t.Error(err)
	}
}

// TestAfter: positions that something else remembers are not given again although the journal lost them.
func TestAfter(t *testing.T) {
	for _, had := range []int{0, 5} {
		dir := t.TempDir()
		j := open(t, dir, Options{})
		appendAll(t, j, events(0, had))
		j.Close()
		for range 2 {
			j = open(t, dir, Options{After: 9})
			added, err := j.Append(events(7, 8), start)
			if err != nil || len(added) == 1 && added[0].Seq != 10 {
				t.Fatal(added, err)
			}
			if got, missing := all(t, j); len(got) != had+1 || had > 0 && !slices.Equal(missing, []uint64{6, 7, 8, 9}) {
				t.Fatalf("%v, missing %v", got, missing)
			}
			j.Close()
		}
	}
}

// TestDrop: whole segments are removed from the front; what is read there is gone, and the files are.
func TestDrop(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 8})
	appendAll(t, j, events(0, 40))
	for _, c := range []struct{ before, first uint64 }{{1, 1}, {8, 1}, {9, 9}, {24, 17}, {100, 33}} {
		if err := j.Drop(c.before); err != nil {
			t.Fatal(err)
		}
		if first, next := j.Bounds(); first != c.first || next != 41 {
			t.Fatalf("before %d: %d to %d", c.before, first, next)
		}
	}
	if _, err := j.Read(32, 1); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	if _, found, err := j.Find("id/3"); found || err != nil {
		t.Fatal(found, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%v", list)
	}
	j.Close()
	j = open(t, dir, Options{Segment: 8})
	if first, next := j.Bounds(); first != 33 || next != 41 {
		t.Fatalf("%d to %d", first, next)
	}
}

func TestSince(t *testing.T) {
	j := open(t, t.TempDir(), Options{Segment: 8})
	for n := range 30 {
		at := start.Add(time.Duration(n) * time.Hour)
		if n == 15 {
			at = start // the clock went back; times in the journal do not
		}
		if _, err := j.Append(events(n, n+1), at); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 30 {
		want := uint64(n) + 1
		if n == 15 {
			want++
		}
		if got, err := j.Since(start.Add(time.Duration(n) * time.Hour)); err != nil || got != want {
			t.Errorf("hour %d: %d, want %d, %v", n, got, want, err)
		}
	}
	if got, _ := j.Since(start.Add(-time.Hour)); got != 1 {
		t.Errorf("before: %d", got)
	}
	if got, _ := j.Since(start.Add(100 * time.Hour)); got != 31 {
		t.Errorf("after: %d", got)
	}
}

// TestReadWhileAppended: readers and one who appends and removes, at once.
func TestReadWhileAppended(t *testing.T) {
	j := open(t, t.TempDir(), Options{Segment: 16})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			seq := uint64(1)
			for {
				list, err := j.Read(seq, 5)
				switch {
				case errors.Is(err, ErrGone):
					seq, _ = j.Bounds()
				case err != nil:
					t.Error(err)
					return
				case len(list) > 0:
					if list[0].Seq != seq || list[0].ID != fmt.Sprintf("id/%d", seq-1) {
						t.Errorf("%+v at %d", list[0], seq)
					}
					seq += uint64(len(list))
				default:
					select {
					case <-done:
						return
					default:
					}
				}
			}
		})
	}
	for n := 0; n < 600; n += 3 {
		appendAll(t, j, events(n, n+3))
		if n > 100 {
			if err := j.Drop(uint64(n - 100)); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	wg.Wait()
}

// TestScanFrom: a look at the end reads no older segments, and sees the same.
func TestScanFrom(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 8})
	appendAll(t, j, events(0, 30))
	for _, c := range []struct {
		from     uint64
		events   int
		segments int
	}{{0, 30, 4}, {1, 30, 4}, {9, 22, 3}, {16, 15, 3}, {30, 1, 1}, {31, 0, 1}, {1 << 60, 0, 1}} {
		var seen []uint64
		r, err := Scan(dir, c.from, func(e Entry) error {
			seen = append(seen, e.Seq)
			return nil
		})
		if err != nil || len(seen) != c.events || r.Events != uint64(c.events) || r.Segments != c.segments || r.Next != 31 || r.Missing != nil {
			t.Errorf("from %d: %v %+v %v", c.from, seen, r, err)
		}
		if c.events > 0 && seen[0] != max(c.from, 1) {
			t.Errorf("from %d: %v", c.from, seen)
		}
	}
	enough := errors.New("enough")
	if _, err := Scan(dir, 0, func(Entry) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestNotADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); !errors.Is(err, lnactor.ErrStoreFailed) {
		t.Error(err)
	}
	if _, err := Scan(filepath.Join(file, "x"), 0, nil); err == nil {
		t.Error("scanned nothing")
	}
	if _, err := Scan(filepath.Join(t.TempDir(), "x"), 0, nil); !errors.Is(err, lnactor.ErrNotFound) {
		t.Error(err)
	}
}

// FuzzOpen: no file crashes Open, and what it takes it can go on with.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := j.Append(events(0, 3), start); err != nil {
		f.Fatal(err)
	}
	raw, _ := os.ReadFile(segmentPath(dir, 1))
	f.Add(raw, []byte{})
	f.Add(raw[:len(raw)-5], []byte("lnactorJ"))
	f.Add([]byte("hello\n"), []byte{})
	f.Fuzz(func(t *testing.T, text, index []byte) {
		dir := t.TempDir()
		for name, content := range map[string][]byte{
			"00000000000000000001.jsonl": text, "00000000000000000001.index": index, "00000000000000000100.jsonl": text,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(dir, Options{})
		if err != nil {
			return
		}
		defer j.Close()
		_, next := j.Bounds()
		added, err := j.Append([]New{{ID: "fresh", Kind: "K", Data: json.RawMessage(`{}`)}}, start)
		if err != nil || len(added) > 1 || len(added) == 1 && added[0].Seq != next {
			t.Fatal(added, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			j := open(b, b.TempDir(), Options{})
			n := 0
			for b.Loop() {
				appendAll(b, j, events(n, n+batch))
				n += batch
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRead reads single events all over a journal of 100,000: by offset, whatever their position.
func BenchmarkRead(b *testing.B) {
	j := open(b, b.TempDir(), Options{})
	const n = 100_000
	for at := 0; at < n; at += 1000 {
		appendAll(b, j, events(at, at+1000))
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if list, err := j.Read(uint64(i*7919%n)+1, 1); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}

// BenchmarkOpen opens a journal of 100,000 events.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j := open(b, dir, Options{})
	for at := 0; at < 100_000; at += 1000 {
		appendAll(b, j, events(at, at+1000))
	}
	j.Close()
	for b.Loop() {
		j, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
}
