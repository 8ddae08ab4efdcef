package fees

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

const (
	// bodyLimit is far more than an answer with every target up to 1,008 blocks.
	bodyLimit = 256 << 10

	// redirectLimit is how often an answer may point elsewhere.
	redirectLimit = 3
)

var errDowngrade = errors.New("redirected from https to another scheme")

// Dial connects to an address, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// web asks a URL.
type web struct {
	url   string
	shown string // without what may be secret
	dial  Dial
	tls   *tls.Config // nil: the system's certificates
}

func newWeb(raw string, dial Dial) (*web, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the fee URL does not parse", ErrConfig) // err repeats it, secrets included
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%w: the fee URL must begin with https:// or http:// and name a host", ErrConfig)
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return &web{url: raw, shown: shown.String(), dial: dial}, nil
}

// client makes a client whose connections end with the context. One request in minutes needs no pool; and a pool would go on connecting for a
// request that was given up.
func (w *web) client(ctx context.Context) *http.Client {
	connect := func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := w.dial(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	return &http.Client{
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: connect, TLSClientConfig: w.tls, DisableKeepAlives: true,
		},
	}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > redirectLimit {
		return errors.New("redirected too often")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errDowngrade
	}
	return nil
}

// fetch asks once; the context bounds the time. Errors are *FetchError.
func (w *web) fetch(ctx context.Context, ceiling chain.FeePerKW) (table, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fail := func(err error) (table, error) {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest is the URL, secrets included
		}
		if ctx.Err() != nil {
			err = ctx.Err() // rather than the closed connection that followed from it
		}
		return nil, &FetchError{URL: w.shown, Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := w.client(ctx).Do(req)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, &FetchError{URL: w.shown, Status: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return fail(err)
	}
	if len(body) > bodyLimit {
		return fail(ErrTooLarge)
	}
	t, err := parse(body, ceiling)
	if err != nil {
		return fail(err)
	}
	return t, nil
}
