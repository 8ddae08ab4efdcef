package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	key := bytes.Repeat([]byte{0xab, 0x01, 0x7f, 0xc3}, 8)
	array := [32]byte(key)
	seed := strings.TrimSpace(strings.Repeat("abandon zoo wasp ", 8))
	text := hex.EncodeToString(key)
	for _, secret := range []string{
		text, strings.ToUpper(text), "0x" + text, text[:32], fmt.Sprint(array), fmt.Sprint(key[:16]), fmt.Sprintf("%v", struct{ K [32]byte }{array}),
		fmt.Sprintf("%#v", array), fmt.Sprintf("% d", array), seed, base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
		fmt.Sprintf("%v", [8]uint32{1, 2, 3, 4, 5, 6, 7, 8}),
	} {
		in := "monitor: apply " + secret + ": no"
		out := Text(in)
		if !strings.HasPrefix(out, "monitor: ") || !strings.HasSuffix(out, ": no") {
			t.Errorf("%q became %q", in, out)
		}
		if len(out) > len("monitor: apply : no")+20 {
			t.Errorf("%q is still in %q", secret, out)
		}
	}
	if got := Text("channel " + text + "x"); got != "channel ab017fc3…x" {
		t.Error(got)
	}
	for _, harmless := range []string{
		"", "runtime error: index out of range [5] with length 3",
		"github.com/lnactor/lnactor/actors/monitor.(*Session).Handle", "/home/me/go/src/github.com/lnactor/actors/monitor/session.go:312",
		"messages.ChannelReestablishWithAVeryLongName", "commit: store failed: /var/lib/lnactor/store.db: no space left on device",
		"block 123456 at height 840000, htlc 7, 12 of 13 parts", "the peer says that our state of the channel is old and it can prove it",
	} {
		if got := Text(harmless); got != harmless {
			t.Errorf("%q became %q", harmless, got)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a [1 2 3] 0xabcdef")
	f.Fuzz(func(t *testing.T, s string) {
		once := Text(s)
		if len(once) > len(s)+8 && len(once) > 2*len(s) {
			t.Errorf("%q grew to %q", s, once)
		}
	})
}

func held(key [32]byte, n int) []byte {
	if n > 0 {
		return held(key, n-1)
	}
	buf := make([]byte, 1<<16)
	return buf[:runtime.Stack(buf, true)]
}

func TestStack(t *testing.T) {
	raw := held([32]byte(bytes.Repeat([]byte{0xe7, 0xe8, 0xe9}, 11)), 2)
	if !bytes.Contains(raw, []byte("0xe7")) {
		t.Skip("this release of Go does not print arguments")
	}
	raw = append([]byte("panic: key "+strings.Repeat("e7", 32)+" (bad)\n\n"), raw...)
	out := string(Stack(raw))
	if strings.Contains(out, "0xe7") || strings.Contains(out, "e7e7e7e7e7") {
		t.Error(out)
	}
	for _, want := range []string{"panic: key e7e7e7e7… (bad)", "redact.held(...)\n\t", "redact.TestStack(...)", "[running]:", "created by testing.(*T).Run in goroutine "} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}
