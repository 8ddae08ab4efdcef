package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// DefaultTimeout bounds a call.
const DefaultTimeout = 30 * time.Second

// ErrConfig says that a configuration can't work. The text says why.
var ErrConfig = errors.New("chain source: bad configuration")

// Config says where a node is and how to get in.
type Config struct {
	// Params are those of the chain that the node must follow.
	Params *chaincfg.Params

	// URL is http://host:port or https://host:port.
	URL string

	// User and Pass, or the file that bitcoind writes them to at each start.
	User, Pass string
	CookieFile string

	// CertFile is a PEM file with the server's certificate, for https. Empty:
	// those of the system.
	CertFile string

	// Timeout bounds a call; DefaultTimeout if zero.
	Timeout time.Duration
}

func (c *Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

func (c *Config) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case c.Params == nil:
		return fmt.Errorf("%w: no chain parameters", ErrConfig)
	case err != nil:
		return fmt.Errorf("%w: URL: %w", ErrConfig, err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%w: URL %q is not like http://127.0.0.1:8332", ErrConfig, u.Redacted())
	case u.User != nil:
		return fmt.Errorf("%w: user and password belong into their own settings, not into the URL", ErrConfig)
	case c.CookieFile != "" && (c.User != "" || c.Pass != ""):
		return fmt.Errorf("%w: either user and password or a cookie file", ErrConfig)
	case c.Timeout < 0:
		return fmt.Errorf("%w: negative timeout %v", ErrConfig, c.Timeout)
	}
	return nil
}

// TLS is the client's side of a connection.
func (c *Config) TLS() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CertFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.CertFile)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", ErrConfig, err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: no PEM certificate in %s", ErrConfig, c.CertFile)
	}
	return cfg, nil
}

// Login is the user and the password. The cookie is read each time, because
// bitcoind writes another one when it starts.
func (c *Config) Login() (user, pass string, err error) {
	if c.CookieFile == "" {
		return c.User, c.Pass, nil
	}
	f, err := os.Open(c.CookieFile)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w: cookie: %w", chain.ErrUnreachable, chain.ErrAccess, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return "", "", fmt.Errorf("%w: %w: cookie: %w", chain.ErrUnreachable, chain.ErrAccess, err)
	}
	user, pass, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !ok {
		return "", "", fmt.Errorf("%w: %w: %s holds no user:password", chain.ErrUnreachable, chain.ErrAccess, c.CookieFile)
	}
	return user, pass, nil
}
