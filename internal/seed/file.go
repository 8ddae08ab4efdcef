package seed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
)

// Errors of the seed file, each carried by a *FileError.
var (
	// ErrExists: there is a seed already. It is never overwritten.
	ErrExists = errors.New("a seed file exists already")

	// ErrNotFound: there is no seed file.
	ErrNotFound = errors.New("no seed file")

	// ErrInsecure: others than the owner can read or change the file, or it is not a file.
	ErrInsecure = errors.New("the seed file is not private")
)

// FileError is an error about the seed file: which file, what is wrong, and what to do about it.
type FileError struct {
	Op, Path string
	Err      error
	Hint     string
}

// Error names the file, the error and the cure. It never holds anything of the content.
func (e *FileError) Error() string {
	s := fmt.Sprintf("%s seed %s: %v", e.Op, e.Path, e.Err)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Unwrap lets errors.Is find the sentinel.
func (e *FileError) Unwrap() error { return e.Err }

// header is the first line of the file. The words follow on the second.
const header = "lnactor seed 1"

// maxFileSize bounds what Open reads; a seed file is a few hundred bytes.
const maxFileSize = 4096

// Create makes a new seed and writes it to path, which must not exist. When it returns without error the file is durable. The passphrase
// may be empty; then the file alone is enough to spend.
func Create(path string, passphrase []byte, params *chaincfg.Params, rand io.Reader, now time.Time) (*Root, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, existsError(path) // before the costly part; the link below decides
	}
	root, err := generate(rand, now, passphrase, params)
	if err != nil {
		return nil, err
	}
	if err := write(path, root.mnemonic); err != nil {
		return nil, err
	}
	return root, nil
}

// Restore writes the seed of the given words to path, which must not exist.
func Restore(path string, words []string, passphrase []byte, params *chaincfg.Params) (*Root, error) {
	root, err := FromWords(words, passphrase, params)
	if err != nil {
		return nil, err
	}
	if err := write(path, root.mnemonic); err != nil {
		return nil, err
	}
	return root, nil
}

// Open reads the seed at path. It runs scrypt once.
func Open(path string, passphrase []byte, params *chaincfg.Params) (*Root, error) {
	words, err := read(path)
	if err != nil {
		return nil, err
	}
	root, err := FromWords(words, passphrase, params)
	if err != nil {
		return nil, &FileError{Op: "open", Path: path, Err: err}
	}
	return root, nil
}

func existsError(path string) error {
	return &FileError{Op: "create", Path: path, Err: ErrExists, Hint: "open it, or move it away if you are sure"}
}

func read(path string) ([]string, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &FileError{Op: "open", Path: path, Err: ErrNotFound, Hint: "create one, or restore it from its words"}
	case err != nil:
		return nil, &FileError{Op: "open", Path: path, Err: err}
	}
	defer f.Close() // read only: nothing to lose

	// The open file is judged, not the path: it cannot be exchanged in between.
	info, err := f.Stat()
	if err != nil {
		return nil, &FileError{Op: "open", Path: path, Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &FileError{Op: "open", Path: path, Err: ErrInsecure, Hint: "it is not a regular file"}
	}
	if perm := info.Mode().Perm(); runtime.GOOS != "windows" && perm&0o077 != 0 {
		return nil, &FileError{
			Op: "open", Path: path, Err: ErrInsecure,
			Hint: fmt.Sprintf("its mode is %#o; make sure nobody has read it, then run: chmod 600 %q", perm, path),
		}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return nil, &FileError{Op: "open", Path: path, Err: err}
	}
	first, rest, _ := strings.Cut(string(content), "\n")
	if strings.TrimSpace(first) != header {
		return nil, &FileError{Op: "open", Path: path, Err: ErrCorrupt, Hint: fmt.Sprintf("its first line is not %q", header)}
	}
	return strings.Fields(rest), nil
}

// write makes the file appear at path whole and durable, or not at all, and never in place of another.
func write(path string, words []string) error {
	fail := func(err error) error { return &FileError{Op: "create", Path: path, Err: err} }

	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name()) // a left-over is as secret as the seed and as private: 0600

	_, err = io.WriteString(tmp, header+"\n"+strings.Join(words, " ")+"\n")
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fail(err)
	}

	// A link, unlike a rename, fails when the name is taken.
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return existsError(path)
	} else if err != nil {
		return fail(err)
	}
	if err := syncDir(dir); err != nil {
		return fail(err)
	}
	return nil
}

// syncDir makes the new name durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there, and need not be
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
