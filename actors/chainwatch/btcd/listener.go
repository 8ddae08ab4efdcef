package btcd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/websocket"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second

	// pingInterval is how often the server has to show that it is there,
	// silence how long it may take. Silence is longer than two pings.
	pingInterval = 20 * time.Second
	silence      = 50 * time.Second

	// handshake bounds the way to the first notification.
	handshake = 20 * time.Second

	// maxMessage bounds a notification, which holds a header.
	maxMessage = 1 << 20
)

// listener keeps a websocket open on which btcd tells of blocks.
//
// It uses the library below btcd's rpcclient, not rpcclient itself: that one
// dials without a deadline, reads messages of any length and does not notice
// a server that went silent, so it could neither be closed nor relied on.
type listener struct {
	cfg  rpc.Config
	url  *url.URL
	tls  *tls.Config
	log  *slog.Logger
	hint func()

	// pings and silence are constants but in tests.
	pings, silence time.Duration
}

func newListener(cfg Config) (*listener, error) {
	u, err := websocketURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	tlsConfig.ServerName = u.Hostname()
	return &listener{cfg: cfg.Config, url: u, tls: tlsConfig, log: cfg.Log, pings: pingInterval, silence: silence}, nil
}

// run connects again and again until the context ends.
func (l *listener) run(ctx context.Context) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastPause {
			pause = firstPause // it was good for something
		}
		l.log.Warn("no notifications from btcd, connecting again", "after", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// listen stays with one connection until it breaks.
func (l *listener) listen(ctx context.Context) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The end of the context ends a read.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	ws, err := l.upgrade(conn)
	if err != nil {
		return err
	}
	if err := l.subscribe(ws); err != nil {
		return err
	}
	l.log.Info("notifications from btcd")
	l.hint() // for what happened before

	pings, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.ping(pings, ws)
	}()
	defer func() {
		stop()
		<-done
	}()
	alive := func(string) error { return conn.SetDeadline(time.Now().Add(l.silence)) }
	ws.SetPongHandler(alive)
	if err := alive(""); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if aboutBlock(text) {
			l.hint()
		}
	}
}

// dial connects within the time for the handshake, all of it.
func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	address := l.url.Host
	if l.url.Port() == "" {
		address = net.JoinHostPort(l.url.Hostname(), map[string]string{"ws": "80", "wss": "443"}[l.url.Scheme])
	}
	var (
		conn net.Conn
		err  error
	)
	if l.url.Scheme == "wss" {
		conn, err = (&tls.Dialer{Config: l.tls}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
	}
	if err := conn.SetDeadline(time.Now().Add(handshake)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
	}
	return conn, nil
}

func (l *listener) upgrade(conn net.Conn) (*websocket.Conn, error) {
	user, pass, err := l.cfg.Login()
	if err != nil {
		return nil, err
	}
	login := http.Request{Header: http.Header{}}
	login.SetBasicAuth(user, pass)
	ws, resp, err := websocket.NewClient(conn, l.url, login.Header, 4096, 4096)
	switch {
	case err == nil:
		ws.SetReadLimit(maxMessage)
		return ws, nil
	case resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
		return nil, fmt.Errorf("%w: %w: %s", chain.ErrUnreachable, chain.ErrAccess, resp.Status)
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		return nil, fmt.Errorf("%w: no websocket at %v: %s", chain.ErrBadAnswer, l.url, resp.Status)
	}
	return nil, fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
}

// subscribe asks for notifications and waits for the answer, before which none
// comes.
func (l *listener) subscribe(ws *websocket.Conn) error {
	const question = `{"jsonrpc":"1.0","id":1,"method":"notifyblocks","params":[]}`
	if err := ws.WriteMessage(websocket.TextMessage, []byte(question)); err != nil {
		return fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
	}
	_, text, err := ws.ReadMessage()
	if err != nil {
		return fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
	}
	var answer struct {
		ID    *uint64           `json:"id"`
		Error *btcjson.RPCError `json:"error"`
	}
	switch err := json.Unmarshal(text, &answer); {
	case err != nil:
		return fmt.Errorf("%w: notifyblocks: %w", chain.ErrBadAnswer, err)
	case answer.Error != nil:
		return fmt.Errorf("%w: notifyblocks: %w", chain.ErrBadAnswer, answer.Error)
	case answer.ID == nil || *answer.ID != 1:
		return fmt.Errorf("%w: notifyblocks was not answered but %.80q", chain.ErrBadAnswer, text)
	}
	return nil
}

// ping asks for a sign of life until the context ends or the connection does.
func (l *listener) ping(ctx context.Context, ws *websocket.Conn) {
	ticker := time.NewTicker(l.pings)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(l.silence)) != nil {
				return // the reader finds out by itself
			}
		case <-ctx.Done():
			return
		}
	}
}

// aboutBlock tells whether a notification says that the best chain has
// changed. btcd sends two for each block; what they say besides is not used.
func aboutBlock(text []byte) bool {
	var n struct {
		Method string `json:"method"`
	}
	if json.Unmarshal(text, &n) != nil {
		return false
	}
	return n.Method == btcjson.FilteredBlockConnectedNtfnMethod || n.Method == btcjson.FilteredBlockDisconnectedNtfnMethod
}
