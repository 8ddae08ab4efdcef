package seed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/keychain"
)

var (
	testEntropy = [EntropySize]byte{0x81, 0xb6, 0x37, 0xd8, 0x63, 0x59, 0xe6, 0x96, 0x0d, 0xe7, 0x95, 0xe4, 0x1e, 0x0b, 0x4c, 0xfd}
	regtest     = &chaincfg.RegressionNetParams
	now         = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
)

func testRoot(t *testing.T, params *chaincfg.Params) *Root {
	t.Helper()
	r, err := FromEntropy(testEntropy, now, params)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The paths are spelled out here a second time, step by step, against BIP 32 alone.
func TestPaths(t *testing.T) {
	for _, tc := range []struct {
		params *chaincfg.Params
		coin   uint32
	}{{&chaincfg.MainNetParams, 0}, {&chaincfg.TestNet3Params, 1}, {&chaincfg.SimNetParams, 1}, {regtest, 1}} {
		r := testRoot(t, tc.params)
		want := func(path ...uint32) string {
			key, err := hdkeychain.NewMaster(testEntropy[:], tc.params)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range path {
				if key, err = key.Derive(i); err != nil {
					t.Fatal(err)
				}
			}
			priv, err := key.ECPrivKey()
			if err != nil {
				t.Fatal(err)
			}
			return hex.EncodeToString(priv.Serialize())
		}
		const h = hdkeychain.HardenedKeyStart
		for _, family := range keychain.VersionZeroKeyFamilies {
			for _, index := range []uint32{0, 1, 7} {
				got, err := r.Key(family, index)
				if err != nil {
					t.Fatal(err)
				}
				if w := want(h+1017, h+tc.coin, h+uint32(family), 0, index); hex.EncodeToString(got.Serialize()) != w {
					t.Errorf("%s family %d index %d: other key", tc.params.Name, family, index)
				}
			}
		}
		for change := range uint32(2) {
			got, err := r.WalletKey(change, 5)
			if err != nil {
				t.Fatal(err)
			}
			if w := want(h+84, h+tc.coin, h, change, 5); hex.EncodeToString(got.Serialize()) != w {
				t.Errorf("%s wallet branch %d: other key", tc.params.Name, change)
			}
		}
		node, err := r.NodeKey()
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(node.Serialize()) != want(h+1017, h+tc.coin, h+6, 0, 0) {
			t.Error("other node key")
		}
	}
}

// Words and keys must be the same for ever: what a release derives, every later one must derive too.
func TestGolden(t *testing.T) {
	r := testRoot(t, regtest)
	node, err := r.NodeKey()
	if err != nil {
		t.Fatal(err)
	}
	derived := r.Derive("test")
	got := hex.EncodeToString(node.PubKey().SerializeCompressed()) + " " + hex.EncodeToString(derived[:])
	const want = "0226594d21c0862a11168ab07cdbc15e7c7af5ee561b741259e311f1614f4df3b7 " +
		"6b6325a086c089bce14c85b48364c5c16d23fb78a0fe44e15e800a37f8b8fd5e"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDerive(t *testing.T) {
	r, main := testRoot(t, regtest), testRoot(t, &chaincfg.MainNetParams)
	if r.Derive("a") != r.Derive("a") {
		t.Error("one label, two keys")
	}
	if r.Derive("a") == r.Derive("b") {
		t.Error("two labels, one key")
	}
	if r.Derive("a") == main.Derive("a") {
		t.Error("two chains share a key")
	}
}

func TestIndexOutOfRange(t *testing.T) {
	r := testRoot(t, regtest)
	if _, err := r.Key(keychain.KeyFamilyNodeKey, hardened); err == nil {
		t.Error("a hardened index was accepted")
	}
	if _, err := r.Key(keychain.KeyFamily(hardened), 0); err == nil {
		t.Error("a family beyond the hardened range was accepted")
	}
	if _, err := r.Key(0, hardened-1); err != nil {
		t.Errorf("highest index: %v", err)
	}
}

// Run with -race.
func TestConcurrentKeys(t *testing.T) {
	r := testRoot(t, regtest)
	want, err := testRoot(t, regtest).Key(3, 9)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range uint32(20) {
				got, err := r.Key(3, 9)
				if err != nil || !got.Key.Equals(&want.Key) {
					t.Errorf("key %v, %v", got, err)
				}
				if _, err := r.WalletKey(i%2, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCreateOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seed")
	random := bytes.NewReader(bytes.Repeat([]byte{7}, 64))
	made, err := Create(path, []byte("secret"), regtest, random, now)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left-overs beside the seed: %v", entries)
	}

	if _, err := Open(path, []byte("wrong"), regtest); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	opened, err := Open(path, []byte("secret"), regtest)
	if err != nil {
		t.Fatal(err)
	}
	if opened.entropy != made.entropy || !opened.Birthday().Equal(made.Birthday()) {
		t.Error("the opened seed is another")
	}
	if d := now.Sub(opened.Birthday()); d < 0 || d > 24*time.Hour {
		t.Errorf("birthday %v of a seed made at %v", opened.Birthday(), now)
	}
	a, _ := made.Words()
	b, _ := opened.Words()
	if len(a) != WordCount || strings.Join(a, " ") != strings.Join(b, " ") {
		t.Error("words differ")
	}

	// The words alone bring it back.
	restored, err := Restore(filepath.Join(dir, "again"), b, []byte("secret"), regtest)
	if err != nil {
		t.Fatal(err)
	}
	if restored.entropy != made.entropy {
		t.Error("the restored seed is another")
	}
}

func TestNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Create(path, nil, regtest, bytes.NewReader(make([]byte, 64)), now)
	var fileErr *FileError
	if !errors.Is(err, ErrExists) || !errors.As(err, &fileErr) || fileErr.Path != path || fileErr.Hint == "" {
		t.Errorf("got %v", err)
	}
	// The same when the name is taken only after the first look.
	if err := write(path, []string{"a"}); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("overwritten with %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name, path string
		want       error
	}{
		{"missing", filepath.Join(dir, "none"), ErrNotFound},
		{"directory", dir, ErrInsecure},
		{"group readable", file("g", header+"\n", 0o640), ErrInsecure},
		{"world writable", file("w", header+"\n", 0o602), ErrInsecure},
		{"empty", file("e", "", 0o600), ErrCorrupt},
		{"other header", file("h", "lnactor seed 2\n", 0o600), ErrCorrupt},
		{"truncated", file("t", header+"\nabandon ability\n", 0o600), ErrCorrupt},
		{"not a word", file("n", header+"\n"+strings.Repeat("sesame ", 24), 0o600), ErrCorrupt},
		{"bad checksum", file("c", header+"\n"+strings.Repeat("abandon ", 24), 0o600), ErrCorrupt},
	} {
		_, err := Open(tc.path, nil, regtest)
		var fileErr *FileError
		if !errors.Is(err, tc.want) || !errors.As(err, &fileErr) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error quotes the file: %v", tc.name, err)
		}
	}
}

func TestShortRandomness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	if _, err := Create(path, nil, regtest, bytes.NewReader(make([]byte, EntropySize)), now); err == nil {
		t.Error("a seed was made of too little randomness")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("and written")
	}
}

func TestBirthdayOutOfRange(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := Create(filepath.Join(t.TempDir(), "seed"), nil, regtest, bytes.NewReader(make([]byte, 64)), at); err == nil {
			t.Errorf("birthday %v was accepted", at)
		}
	}
}

func TestWordsOfEntropy(t *testing.T) {
	r := testRoot(t, regtest)
	words, err := r.Words()
	if err != nil {
		t.Fatal(err)
	}
	again, err := FromWords(words, nil, regtest)
	if err != nil {
		t.Fatal(err)
	}
	if again.entropy != r.entropy {
		t.Error("the words are of another seed")
	}
	repeat, _ := r.Words()
	if strings.Join(words, " ") != strings.Join(repeat, " ") {
		t.Error("the words change")
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	r := testRoot(t, regtest)
	words, err := r.Words()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = FromWords(words, nil, regtest); err != nil {
		t.Fatal(err)
	}
	holder := struct{ Root *Root }{r}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", r)
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", []any{r})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "root", r, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "root", r, "holder", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{hex.EncodeToString(testEntropy[:]), fmt.Sprint(testEntropy), fmt.Sprintf("%d, %d", testEntropy[0], testEntropy[1]), words[0] + " " + words[1], words[0] + `","` + words[1]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed at all")
	}
}

func BenchmarkKey(b *testing.B) {
	r, err := FromEntropy(testEntropy, now, regtest)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := r.Key(3, uint32(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromEntropy(b *testing.B) {
	for b.Loop() {
		if _, err := FromEntropy(testEntropy, now, regtest); err != nil {
			b.Fatal(err)
		}
	}
}
