package btcd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/websocket"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// server is a websocket server that goes wrong in ways that btcd can't be made
// to.
type server struct {
	*httptest.Server
	connected chan *websocket.Conn
	hinted    chan struct{}
	listener  *listener
	release   chan struct{}
}

// startServer serves the websocket with serve and keeps a listener connected.
func startServer(t *testing.T, serve func(*server, http.ResponseWriter, *http.Request), change ...func(*listener)) *server {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := &server{
		connected: make(chan *websocket.Conn, 100), hinted: make(chan struct{}, 1000), release: make(chan struct{}),
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(s, w, r) }))
	l, err := newListener(Config{
		Config: rpc.Config{Params: &chaincfg.RegressionNetParams, URL: s.URL, User: "u", Pass: "p"},
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	l.hint = func() { s.hinted <- struct{}{} }
	for _, f := range change {
		f(l)
	}
	s.listener = l
	var wg sync.WaitGroup
	ctx := t.Context() // ends before the cleanups
	wg.Go(func() { l.run(ctx) })
	t.Cleanup(func() {
		wg.Wait()
		close(s.release)
		s.Close()
	})
	return s
}

// accept takes a websocket and answers notifyblocks.
func accept(s *server, w http.ResponseWriter, r *http.Request) *websocket.Conn {
	ws, err := websocket.Upgrade(w, r, nil, 4096, 4096)
	if err != nil {
		return nil
	}
	_, question, err := ws.ReadMessage()
	if err != nil || !bytes.Contains(question, []byte("notifyblocks")) || r.URL.Path != "/ws" {
		ws.Close()
		return nil
	}
	ws.WriteMessage(websocket.TextMessage, []byte(`{"result":null,"error":null,"id":1}`))
	s.connected <- ws
	return ws
}

func await[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

func TestListen(t *testing.T) {
	s := startServer(t, func(s *server, w http.ResponseWriter, r *http.Request) { accept(s, w, r) })
	ws := await(t, "connection", s.connected)
	await(t, "hint about what happened before", s.hinted)
	for _, text := range []string{"not JSON", `{"method":"txaccepted","params":[]}`, `[]`, `{"id":7,"result":{}}`} {
		ws.WriteMessage(websocket.TextMessage, []byte(text))
	}
	ws.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"1.0","method":"filteredblockconnected","params":[1,"00",[]],"id":null}`))
	ws.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"1.0","method":"filteredblockdisconnected","params":[1,"00"],"id":null}`))
	await(t, "hint about a block", s.hinted)
	await(t, "hint about a block that left", s.hinted)

	ws.Close()
	ws = await(t, "second connection", s.connected)
	await(t, "hint about what was missed", s.hinted)
	if len(s.hinted) > 0 {
		t.Error("a hint about nothing")
	}

	// A message without end closes the connection and not the process.
	ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), maxMessage+1))
	await(t, "third connection", s.connected).Close()
	ws.Close() // not before: the server's side must stay open until then
}

// TestTurnedAway: each way of not getting in ends in another attempt, and in
// one that can be ended.
func TestTurnedAway(t *testing.T) {
	answer := func(text string) func(*server, http.ResponseWriter, *http.Request) {
		return func(_ *server, w http.ResponseWriter, r *http.Request) {
			if ws, err := websocket.Upgrade(w, r, nil, 4096, 4096); err == nil {
				ws.ReadMessage()
				ws.WriteMessage(websocket.TextMessage, []byte(text))
			}
		}
	}
	for name, serve := range map[string]func(*server, http.ResponseWriter, *http.Request){
		"no websocket":   func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"wrong password": func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"refused":        answer(`{"error":{"code":-32601,"message":"Method not found"},"id":1}`),
		"garbage":        answer("garbage"),
		"another answer": answer(`{"result":null,"error":null,"id":2}`),
		"hang up":        func(*server, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 1000)
			s := startServer(t, func(s *server, w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				serve(s, w, r)
			})
			for range 3 {
				await(t, "attempt", asked)
			}
			if len(s.hinted) > 0 {
				t.Error("a hint about nothing")
			}
		})
	}
}

// TestHangs: a server that takes the connection and says nothing doesn't keep
// the listener from ending; startServer waits for that.
func TestHangs(t *testing.T) {
	asked := make(chan struct{}, 1000)
	startServer(t, func(s *server, _ http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-s.release
	})
	await(t, "attempt", asked)
}

// TestSilence: a server that stops answering pings has gone, whatever its
// connection says.
func TestSilence(t *testing.T) {
	short := func(l *listener) { l.pings, l.silence = 20*time.Millisecond, 200*time.Millisecond }
	s := startServer(t, func(s *server, w http.ResponseWriter, r *http.Request) { accept(s, w, r) }, short)
	await(t, "connection", s.connected)
	await(t, "second connection", s.connected) // no one reads at the server's side, so no ping is answered
}

// TestPongs: one that answers stays.
func TestPongs(t *testing.T) {
	short := func(l *listener) { l.pings, l.silence = 40*time.Millisecond, 3*time.Second }
	pings := make(chan struct{}, 1000)
	s := startServer(t, func(s *server, w http.ResponseWriter, r *http.Request) {
		ws := accept(s, w, r)
		if ws == nil {
			return
		}
		ws.SetPingHandler(func(string) error {
			pings <- struct{}{}
			return ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		io.Copy(io.Discard, reader{ws})
	}, short)
	ws := await(t, "connection", s.connected)
	for range 80 { // longer than silence
		await(t, "ping", pings)
	}
	if len(s.connected) > 0 {
		t.Error("connected again although the pings were answered")
	}
	ws.Close()
}

type reader struct{ ws *websocket.Conn }

func (r reader) Read(p []byte) (int, error) {
	_, _, err := r.ws.ReadMessage()
	if err != nil {
		return 0, io.EOF
	}
	return 0, nil
}

func TestWebsocketURL(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:1":     "ws://127.0.0.1:1/ws",
		"https://node.lan:8334/": "wss://node.lan:8334/ws",
		"https://[::1]":          "wss://[::1]/ws",
	} {
		if got, err := websocketURL(address); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", address, got, err, want)
		}
	}
}

// TestNoWebsocket: a node without one, such as bitcoind, is looked at instead.
func TestNoWebsocket(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	params := &chaincfg.RegressionNetParams
	h := params.GenesisBlock.Header
	header := fmt.Sprintf(`{"height":0,"version":%d,"merkleroot":"%v","time":%d,"nonce":%d,"bits":"%08x"}`,
		h.Version, h.MerkleRoot, h.Timestamp.Unix(), h.Nonce, h.Bits)
	log := make(lines, 1000)
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := bytes.Split(bytes.Split(body, []byte(`"id":`))[min(1, bytes.Count(body, []byte(`"id":`)))], []byte(","))[0]
		switch {
		case r.URL.Path == "/ws":
			w.WriteHeader(http.StatusNotFound)
		case bytes.Contains(body, []byte("getblockheader")):
			fmt.Fprintf(w, `{"result":%s,"id":%s}`, header, id)
		default:
			fmt.Fprintf(w, `{"result":"%v","id":%s}`, params.GenesisHash, id)
		}
	}))
	t.Cleanup(node.Close)
	src, err := Open(t.Context(), Config{
		Config: rpc.Config{Params: params, URL: node.URL}, Interval: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := ""; !strings.Contains(line, "no websocket"); line = await(t, "line that says why", log) {
		if strings.Contains(line, "Basic") {
			t.Errorf("the log holds the login: %s", line)
		}
	}
	src.Close()
	src.Close()
}

// lines is a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestOpenErrors(t *testing.T) {
	for _, cfg := range []Config{{}, {Interval: -1}, {Config: rpc.Config{Params: &chaincfg.SimNetParams, URL: "ws://127.0.0.1"}}} {
		if _, err := Open(t.Context(), cfg); !errors.Is(err, rpc.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", cfg, err)
		}
	}
}
