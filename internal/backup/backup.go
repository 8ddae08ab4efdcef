package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
	"time"
)

// Kinds of errors.
var (
	ErrForeign = errors.New("not a backup of lnactor")
	ErrDamaged = errors.New("the backup is damaged")
	ErrVersion = errors.New("the backup was made by a newer release")
)

// Error says what is wrong with a backup, and what to do.
type Error struct {
	Kind error
	What string
	Hint string
}

func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.What != "" {
		s += ": " + e.What
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap is the kind.
func (e *Error) Unwrap() error { return e.Kind }

func damaged(format string, args ...any) error {
	return &Error{Kind: ErrDamaged, What: fmt.Sprintf(format, args...), Hint: "nothing was taken from it: use another copy"}
}

const (
	format     = 1
	headerName = "backup.json"
	sumName    = "SHA256"
	maxHeader  = 64 << 10
	block      = 512
)

// Header says what a backup holds.
type Header struct {
	Format   int       `json:"lnactor_backup"`
	NodeID   string    `json:"node_id"`  // empty if the store was never used
	Network  string    `json:"network"`  // name of the chain
	Genesis  string    `json:"genesis"`  // hash of its first block
	Created  time.Time `json:"created"`  // when the store was copied
	Software string    `json:"software"` // that made it
	Commits  uint64    `json:"commits"`  // of the store over its life: the larger, the newer
	Channels int       `json:"channels"` // with a log
}

// Entry is a file of the data directory.
type Entry struct {
	Name string // relative, with slashes
	Size int64

	at int64
}

// Writer writes a backup. Nothing of it is a backup before Close has returned without an error.
type Writer struct {
	w   io.Writer
	sum hash.Hash
	tar *tar.Writer
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b := &Writer{w: w, sum: sha256.New()}
	b.tar = tar.NewWriter(io.MultiWriter(b.w, b.sum))
	h.Format = format
	head, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, err
	}
	return b, b.Add(headerName, int64(len(head)+1), func(w io.Writer) error {
		_, err := w.Write(append(head, '\n'))
		return err
	})
}

// Add writes a file. write must give exactly size bytes.
func (b *Writer) Add(name string, size int64, write func(io.Writer) error) error {
	if name != headerName && !valid(name) {
		return fmt.Errorf("%q is no name of a file in a data directory", name)
	}
	if err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size}); err != nil {
		return err
	}
	if err := write(b.tar); err != nil {
		return err
	}
	return b.tar.Flush() // an error if bytes are missing
}

// Close writes the checksum.
func (b *Writer) Close() error {
	if err := b.tar.Flush(); err != nil {
		return err
	}
	_, err := b.w.Write(trailer(b.sum))
	return err
}

// trailer is the last entry and the end of the archive.
func trailer(sum hash.Hash) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	text := hex.EncodeToString(sum.Sum(nil)) + "\n"
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: sumName, Mode: 0o600, Size: int64(len(text))})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(fmt.Sprintf("backup: a buffer refused to grow: %v", err))
	}
	return out.Bytes()
}

// trailerSize is that of any trailer.
var trailerSize = int64(len(trailer(sha256.New())))

// valid tells names that stay in a directory and are none of the format's own.
func valid(name string) bool {
	return name != "" && name != headerName && name != sumName && name == path.Clean(name) && !path.IsAbs(name) && name != "." && name != ".." &&
		!strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\\\x00")
}

// File is a backup that was verified.
type File struct {
	Header  Header
	Entries []Entry

	r   io.ReaderAt
	sum hash.Hash
	end int64 // of what the checksum covers
}

// Open verifies a backup of size bytes.
func Open(r io.ReaderAt, size int64) (*File, error) {
	first := make([]byte, block)
	if n, err := r.ReadAt(first, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if n < block || !bytes.HasPrefix(first, []byte(headerName+"\x00")) {
		if size == 0 {
			return nil, damaged("the file is empty")
		}
		return nil, &Error{Kind: ErrForeign, Hint: "a file that 'lnactor backup' made is needed"}
	}
	f := &File{r: r, sum: sha256.New(), end: size - trailerSize}
	if f.end < block {
		return nil, damaged("it ends after %d bytes", size)
	}
	if _, err := io.Copy(f.sum, io.NewSectionReader(r, 0, f.end)); err != nil {
		return nil, err
	}
	last := make([]byte, trailerSize)
	if _, err := r.ReadAt(last, f.end); err != nil {
		return nil, err
	}
	if !bytes.Equal(last, trailer(f.sum)) {
		return nil, damaged("its checksum does not match: it was cut or changed")
	}
	return f, f.list()
}

// list reads the names. What it reads is what was written, so an error is a bug of the writer.
func (f *File) list() error {
	section := io.NewSectionReader(f.r, 0, f.end)
	r := tar.NewReader(section)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged("%v", err)
		}
		if h.Name == headerName && f.Header.Format == 0 {
			if err := f.readHeader(r); err != nil {
				return err
			}
			continue
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if f.Header.Format == 0 || h.Typeflag != tar.TypeReg || !valid(h.Name) {
			return damaged("entry %q", h.Name)
		}
		for _, e := range f.Entries {
			if e.Name == h.Name {
				return damaged("entry %q is there twice", h.Name)
			}
		}
		f.Entries = append(f.Entries, Entry{Name: h.Name, Size: h.Size, at: at})
	}
	if f.Header.Format == 0 {
		return damaged("it does not say what it holds")
	}
	return nil
}

func (f *File) readHeader(r io.Reader) error {
	head, err := io.ReadAll(io.LimitReader(r, maxHeader))
	if err != nil {
		return damaged("%v", err)
	}
	if err := json.Unmarshal(head, &f.Header); err != nil || f.Header.Format < 1 {
		return damaged("its first entry does not say what it holds")
	}
	if f.Header.Format > format {
		return &Error{Kind: ErrVersion, What: fmt.Sprintf("format %d, this one reads %d", f.Header.Format, format), Hint: "restore it with that release or a later one"}
	}
	return nil
}

// Reader reads a file of the backup; ok is false if it is not there.
func (f *File) Reader(name string) (r *io.SectionReader, ok bool) {
	for _, e := range f.Entries {
		if e.Name == name {
			return io.NewSectionReader(f.r, e.at, e.Size), true
		}
	}
	return nil, false
}

// Extend goes on with a backup that was opened: more files can be added. w must write in place of what follows the first End bytes.
func (f *File) Extend(w io.Writer) *Writer {
	b := &Writer{w: w, sum: f.sum}
	b.tar = tar.NewWriter(io.MultiWriter(b.w, b.sum))
	f.sum = nil // used up
	return b
}

// End is where Extend goes on.
func (f *File) End() int64 { return f.end }
