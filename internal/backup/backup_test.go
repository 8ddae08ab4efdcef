package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

var header = Header{NodeID: "02aa", Network: "regtest", Genesis: "00ff", Created: time.Unix(1_700_000_000, 0).UTC(), Software: "test", Commits: 7, Channels: 2}

func content(text string) (int64, func(io.Writer) error) {
	return int64(len(text)), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func sample(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, header)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range files {
		size, write := content(fmt.Sprintf("content of file %d", i))
		if err := w.Add(name, size, write); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(b []byte) (*File, error) { return Open(bytes.NewReader(b), int64(len(b))) }

func read(t *testing.T, f *File, name string) string {
	t.Helper()
	r, ok := f.Reader(name)
	if !ok {
		t.Fatalf("%s is missing", name)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRoundTrip(t *testing.T) {
	b := sample(t, "store.db", "events/0001", "seed")
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	want := header
	want.Format = format
	if f.Header != want {
		t.Errorf("header %+v, want %+v", f.Header, want)
	}
	if len(f.Entries) != 3 || read(t, f, "store.db") != "content of file 0" || read(t, f, "events/0001") != "content of file 1" {
		t.Errorf("entries %+v", f.Entries)
	}
	if _, ok := f.Reader("wallet.json"); ok {
		t.Error("a file that is not there")
	}
	// Any tar program can list it.
	names := ""
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names += h.Name + " "
	}
	if names != "backup.json store.db events/0001 seed SHA256 " {
		t.Error(names)
	}
}

func TestExtend(t *testing.T) {
	b := sample(t, "store.db")
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(bytes.Clone(b[:f.End()]))
	w := f.Extend(out)
	size, write := content("words")
	if err := errors.Join(w.Add("seed", size, write), w.Close()); err != nil {
		t.Fatal(err)
	}
	f, err = open(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if read(t, f, "store.db") != "content of file 0" || read(t, f, "seed") != "words" {
		t.Errorf("entries %+v", f.Entries)
	}
}

// Each bit counts, and so does each length.
func TestDamage(t *testing.T) {
	b := sample(t, "store.db", "seed")
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if _, err := open(bad); !errors.Is(err, ErrDamaged) && (i >= block || !errors.Is(err, ErrForeign)) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range b {
		if _, err := open(b[:n]); !errors.Is(err, ErrDamaged) && (n >= block || !errors.Is(err, ErrForeign)) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := open(append(bytes.Clone(b), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestForeign(t *testing.T) {
	for name, b := range map[string][]byte{
		"text": bytes.Repeat([]byte("hello "), 1000),
		"tar": func() []byte {
			var out bytes.Buffer
			w := tar.NewWriter(&out)
			_ = w.WriteHeader(&tar.Header{Name: "photo.jpg", Size: 4, Mode: 0o600})
			_, _ = w.Write([]byte("jpeg"))
			_ = w.Close()
			return out.Bytes()
		}(),
	} {
		if _, err := open(b); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("empty: %v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	h := header
	h.Format = format + 1
	head, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, _ := NewWriter(&out, header)
	out.Reset()
	w.sum.Reset()
	if err := w.Add(headerName, int64(len(head)), func(w io.Writer) error { _, err := w.Write(head); return err }); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(out.Bytes()); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// A backup never writes outside of the directory that it is restored to.
func TestNames(t *testing.T) {
	w, err := NewWriter(io.Discard, header)
	if err != nil {
		t.Fatal(err)
	}
	size, write := content("x")
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "a/", `a\b`, "backup.json/..", "SHA256"} {
		if err := w.Add(name, size, write); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	if err := w.Add("short", 5, write); err == nil {
		t.Error("a file that is shorter than announced")
	}
}
