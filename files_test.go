package lnactor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestDamagedAddressBook: a cache that can't be read keeps nobody from starting. It is moved aside.
func TestDamagedAddressBook(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, peersFile)
	if err := os.WriteFile(path, []byte(`{"02":"a`), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != `{"02":"a` {
		t.Errorf("%q, %v", kept, err)
	}
	if err := os.WriteFile(filepath.Join(dir, walletFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("indexes of addresses are no cache: %v", err)
	}
}
