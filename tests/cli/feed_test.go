package cli_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// verify is the example of docs/events.md; TestVerifyIsDocumented keeps the two alike.
func verify(secret string, r *http.Request, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	sent, err2 := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil || err2 != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", r.Header.Get("webhook-id"), sent, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(want), []byte(r.Header.Get("webhook-signature")))
}

// TestVerifyIsDocumented: what docs/events.md tells endpoints to do is what the scripts' endpoint does.
func TestVerifyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("feed_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```go\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed || !strings.Contains(string(source), example) {
		t.Errorf("docs/events.md has another example than this file:\n%s", example)
	}
}

// endpoint NAME FILE SECRET sets a variable to the URL of a webhook's endpoint that writes the id of each event that it takes into the file, one a line. It
// takes none while the file FILE.refuse is there, nor what is not signed with the secret in the file SECRET.
func endpoint(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: endpoint NAME FILE SECRET")
	}
	out, secret := ts.MkAbs(args[1]), ts.MkAbs(args[2])
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		key, err2 := os.ReadFile(filepath.Clean(secret))
		_, refuse := os.Stat(out + ".refuse")
		switch {
		case err != nil || err2 != nil || !verify(strings.TrimSpace(string(key)), r, body):
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		case refuse == nil:
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		f, err := os.OpenFile(filepath.Clean(out), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer f.Close()
		fmt.Fprintln(f, r.Header.Get("webhook-id"))
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL+"/hook")
}

// lines N FILE waits until a file has so many lines, which must all be different.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines N FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(ts.MkAbs(args[1]))
		if err != nil {
			continue // not made yet
		}
		if got = strings.Fields(string(raw)); len(got) >= want {
			break
		}
	}
	if slices.Sort(got); len(got) != want || len(slices.Compact(got)) != want {
		ts.Fatalf("%s has %d lines, want %d different ones", args[1], len(got), want)
	}
}

// reader is a consumer that handles each event exactly once, by remembering ids, whatever happens to the node.
type reader struct {
	mu    sync.Mutex
	ids   []string
	seen  map[string]bool
	again int
}

// read handles events and acknowledges them until the context ends.
func (c *reader) read(ctx context.Context, p *process) {
	c.seen = map[string]bool{}
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, 10*time.Second)
		answer, err := p.api.NextEvents(call, &apiv1.NextEventsRequest{Consumer: "shop", Limit: 7, WaitSeconds: 1})
		for _, e := range answer.GetEvents() {
			c.handle(e.GetId())
			if err == nil {
				_, err = p.api.AckEvent(call, &apiv1.AckEventRequest{Consumer: "shop", Id: e.GetId()})
			}
		}
		cancel()
		if err != nil {
			time.Sleep(20 * time.Millisecond) // the node is dead, or about to be
		}
	}
}

func (c *reader) handle(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[id] {
		c.again++
		return
	}
	c.seen[id] = true
	c.ids = append(c.ids, id)
}

// check: the consumer has handled all that the node's feed has, in order, and nothing else.
func (c *reader) check(t *testing.T, p *process) {
	t.Helper()
	var want []string
	if _, err := journal.Scan(filepath.Join(p.dir, feed.Dir), 0, func(e journal.Entry) error {
		want = append(want, e.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	poll(t, patience, p.name+"'s consumer", func(context.Context) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.ids) >= len(want)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.ids, want) {
		t.Errorf("%s's consumer handled %d events, the feed has %d, or in another order", p.name, len(c.ids), len(want))
	}
	t.Logf("%s's consumer handled %d events; %d came again", p.name, len(c.ids), c.again)
}

// eventid NAME FILE KIND sets a variable to the id of the first event of a kind in a file of JSON lines.
func eventid(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: eventid NAME FILE KIND")
	}
	for _, text := range strings.Split(ts.ReadFile(args[1]), "\n") {
		var e journal.Entry
		if json.Unmarshal([]byte(text), &e) == nil && e.Kind == args[2] {
			ts.Setenv(args[0], e.ID)
			return
		}
	}
	ts.Fatalf("no %s in %s", args[2], args[1])
}

// consumers DIR TEXT waits until the list of consumers, as JSON without spaces, holds the text.
func consumers(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: consumers DIR TEXT")
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec("lnactor", "events", "consumers", "-d", args[0], "--json"))
		if strings.Contains(strings.ReplaceAll(ts.ReadFile("stdout"), " ", ""), args[1]) {
			return
		}
	}
	ts.Fatalf("the consumers of %s never had %s", args[0], args[1])
}

// spoil FILE TEXT changes a byte of the first line that holds the text.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: spoil FILE TEXT")
	}
	raw := []byte(ts.ReadFile(args[0]))
	at := strings.Index(string(raw), args[1])
	if at < 0 {
		ts.Fatalf("no %q in %s", args[1], args[0])
	}
	raw[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), raw, 0o600))
}
