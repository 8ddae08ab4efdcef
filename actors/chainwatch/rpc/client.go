package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcjson"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Bounds of an answer's length. A block of 4 million bytes is sent as hex.
const (
	maxAnswer      = 1 << 20
	maxBlockAnswer = 9 << 20
)

// Client calls a JSON-RPC server over HTTP POST. It is safe for concurrent use.
//
// It stands in for btcd's rpcclient, whose HTTP mode serves one call after
// another, knows no context, reads answers of any length and repeats a failed
// call ten times.
type Client struct {
	cfg    Config
	http   *http.Client
	lastID atomic.Uint64

	ctx    context.Context
	cancel context.CancelFunc
}

// NewClient checks the configuration; it connects with the first call.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	// btcd closes the connection after each answer, so resuming matters.
	tlsConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	c := &Client{cfg: cfg, http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        tlsConfig,
			MaxIdleConnsPerHost:    8,
			MaxConnsPerHost:        8, // btcd serves 10 clients at once
			IdleConnTimeout:        20 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// The password goes to the configured host only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends all calls, now and later, with chain.ErrClosed.
func (c *Client) Close() {
	c.cancel()
	c.http.CloseIdleConnections()
}

// Call asks for one method and decodes the result. An error that the server
// answered is a *btcjson.RPCError, any other is one of package chain's or the
// context's.
func (c *Client) Call(ctx context.Context, limit int64, result any, method string, params ...any) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	call, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()

	err := c.call(call, limit, result, method, params)
	var rpcErr *btcjson.RPCError
	switch {
	case err == nil || errors.As(err, &rpcErr):
		return err
	case c.ctx.Err() != nil:
		return fmt.Errorf("%s: %w", method, chain.ErrClosed)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case call.Err() != nil:
		return fmt.Errorf("%s: %w: no answer within %v", method, chain.ErrUnreachable, c.cfg.timeout())
	}
	return fmt.Errorf("%s: %w", method, err)
}

func (c *Client) call(ctx context.Context, limit int64, result any, method string, params []any) error {
	id := c.lastID.Add(1)
	if params == nil {
		params = []any{} // btcd insists on the field
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": id, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	user, pass, err := c.cfg.Login()
	if err != nil {
		return err
	}
	req.SetBasicAuth(user, pass)
	req.Header.Set("Content-Type", "application/json")
	// Every call may be made twice, so one over a connection that the server
	// has just closed is made again. An empty key says so and is not sent.
	req.Header["Idempotency-Key"] = nil

	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w: %s", chain.ErrUnreachable, chain.ErrAccess, resp.Status)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %s", chain.ErrUnreachable, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return unreachable(err)
	}
	if int64(len(text)) > limit {
		return fmt.Errorf("%w: answer of more than %d bytes", chain.ErrBadAnswer, limit)
	}
	return decode(text, resp.Status, id, result)
}

// unreachable wraps what happened to a connection.
func unreachable(err error) error {
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return fmt.Errorf("%w: %w: %w", chain.ErrUnreachable, chain.ErrAccess, err)
	}
	return fmt.Errorf("%w: %w", chain.ErrUnreachable, err)
}

// decode reads an answer. bitcoind answers errors with status 404 or 500 and a
// body as usual.
func decode(text []byte, status string, id uint64, result any) error {
	var answer struct {
		Result json.RawMessage   `json:"result"`
		Error  *btcjson.RPCError `json:"error"`
		ID     json.RawMessage   `json:"id"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%w: %s: %w", chain.ErrBadAnswer, status, err)
	}
	switch {
	case string(answer.ID) != strconv.FormatUint(id, 10):
		return fmt.Errorf("%w: %s: the answer is to question %.40q, not %d", chain.ErrBadAnswer, status, answer.ID, id)
	case answer.Error != nil:
		return answer.Error
	case result == nil:
		return nil
	case len(answer.Result) == 0:
		return fmt.Errorf("%w: %s: neither result nor error", chain.ErrBadAnswer, status)
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("%w: result: %w", chain.ErrBadAnswer, err)
	}
	return nil
}
