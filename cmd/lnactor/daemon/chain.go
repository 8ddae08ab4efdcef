package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/database"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/btcd"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/neutrino"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/actors/chainwatch/rpcpoll"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
)

// ErrUnreachable says that the chain source did not answer at the start.
var ErrUnreachable = errors.New("the chain source can't be reached")

// ErrAddress says that an address to listen on is taken or not there, which may pass: at the start of a machine the network comes up later.
var ErrAddress = errors.New("an address to listen on is not free")

// Params are those of a network by its name in the configuration.
func Params(network string) *chaincfg.Params {
	switch network {
	case "simnet":
		return &chaincfg.SimNetParams
	case "testnet":
		return &chaincfg.TestNet3Params
	case "signet":
		return &chaincfg.SigNetParams
	case "mainnet":
		return &chaincfg.MainNetParams
	}
	return regtest.Params()
}

// source is a chain source and how to be rid of it.
type source struct {
	chain.Source
	embedded *regtest.Chain // nil: another
	close    func() error
}

// openSource opens the chain source. It is opened before the store, so a second process on the directory may meet the lock of the first here.
func openSource(ctx context.Context, o Options, params *chaincfg.Params) (*source, error) {
	src, err := openChain(ctx, o, params)
	if errors.Is(err, lnactor.ErrInUse) {
		if pid := bboltstore.Holder(o.Config.Dir); pid != 0 {
			err = &persister.Error{Kind: lnactor.ErrInUse, Op: "open chain", Path: o.Config.Dir, PID: pid}
		}
	}
	return src, err
}

func openChain(ctx context.Context, o Options, params *chaincfg.Params) (*source, error) {
	c := o.Config
	remote := rpc.Config{
		Params: params, URL: c.Text("rpc.url"), User: c.Text("rpc.user"), CookieFile: c.Text("rpc.cookie-file"), CertFile: c.Text("rpc.cert-file"),
	}
	if path := c.Text("rpc.password-file"); path != "" {
		pass, err := ReadSecret(path)
		if err != nil {
			return nil, err
		}
		remote.Pass = string(pass)
	}
	quiet := func(f func()) func() error { return func() error { f(); return nil } }
	switch c.Chain() {
	case "btcd":
		s, err := btcd.Open(ctx, btcd.Config{Config: remote, Log: o.Log})
		if err != nil {
			return nil, startError(err)
		}
		return &source{s, nil, quiet(s.Close)}, nil
	case "rpcpoll":
		s, err := rpcpoll.Open(ctx, rpcpoll.Config{Config: remote, Interval: c.Duration("rpc.interval")})
		if err != nil {
			return nil, startError(err)
		}
		return &source{s, nil, quiet(s.Close)}, nil
	case "neutrino":
		s, err := neutrino.Open(neutrino.Config{Dir: filepath.Join(c.Dir, "neutrino"), Params: params, Peers: c.List("neutrino.peers"), Log: o.Log})
		if err != nil {
			return nil, startError(err)
		}
		return &source{s, nil, s.Close}, nil
	}
	embedded, err := regtest.New(filepath.Join(c.Dir, "regtest"))
	if err != nil {
		return nil, startError(err)
	}
	return &source{embedded.Source(), embedded, embedded.Close}, nil
}

// startError says by its kind what to do about an error of the start.
func startError(err error) error {
	var db database.Error
	var socket *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: %w", ErrAddress, err) // the network may not be up yet, or another process may still end
	case errors.As(err, &socket) && socket.Op == "listen":
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	case errors.As(err, &db) && errors.Is(db.Err, syscall.EAGAIN), errors.Is(err, neutrino.ErrInUse):
		return fmt.Errorf("%w: %w", lnactor.ErrInUse, err)
	case errors.Is(err, rpc.ErrConfig), errors.Is(err, neutrino.ErrConfig), errors.Is(err, chain.ErrWrongChain):
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	case errors.Is(err, chain.ErrUnreachable): // before ErrAccess: a backend that starts has no cookie yet, or an old one
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, chain.ErrAccess), errors.Is(err, chain.ErrBadAnswer):
		return fmt.Errorf("%w: %w", lnactor.ErrConfig, err)
	}
	return err
}
