package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

// ListenUnix makes the socket, mode 0600. One that a dead process left behind is replaced; anything else at the path is left alone.
func ListenUnix(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("API socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%w: API socket: %s is there and is not a socket", lnactor.ErrConfig, path)
	default:
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, fmt.Errorf("%w: another process serves the API socket %s", lnactor.ErrInUse, path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("API socket: %w", err)
		}
	}
	// Nobody else may connect even before the mode is set: the socket is made in a directory of its own and moved.
	private, err := os.MkdirTemp(filepath.Dir(path), ".api-*")
	if err != nil {
		return nil, fmt.Errorf("API socket: %w", err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // empty
	made := filepath.Join(private, "s")
	l, err := net.Listen("unix", made)
	if err != nil {
		return nil, fmt.Errorf("%w: API socket: %w (a path longer than about 100 bytes can't be a socket: choose another by api.socket)", lnactor.ErrConfig, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		l.Close()
		return nil, fmt.Errorf("API socket: %w", err)
	}
	return &unixListener{l, path}, nil
}

// unixListener takes its socket away when it is closed.
type unixListener struct {
	net.Listener
	path string
}

func (l *unixListener) Close() error {
	os.Remove(l.path)
	return l.Listener.Close()
}

// Files of the TLS identity in the data directory.
const (
	CertFile = "api-cert.pem"
	KeyFile  = "api-key.pem"
)

// ListenTLS listens with the certificate in the data directory, which is made and self-signed at the first start: clients trust that file.
func ListenTLS(address, dir string, now time.Time) (net.Listener, error) {
	cert, err := certificate(address, dir, now)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: api.listen: %w", lnactor.ErrConfig, err)
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

func certificate(address, dir string, now time.Time) (tls.Certificate, error) {
	certPath, keyPath := filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile)
	_, err := os.Stat(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = makeCertificate(address, certPath, keyPath, now)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("API certificate: %w", err)
	}
	key, err := readPrivate(keyPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: API key: %w", lnactor.ErrConfig, err)
	}
	pemCert, err := os.ReadFile(certPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("API certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(pemCert, []byte(key))
	if err != nil {
		return cert, fmt.Errorf("%w: API certificate %s: %w: remove it and its key, and new ones are made", lnactor.ErrConfig, certPath, err)
	}
	return cert, nil
}

// certificateLife is long, since whoever trusts the certificate trusts this file and nothing else.
const certificateLife = 10 * 365 * 24 * time.Hour

func makeCertificate(address, certPath, keyPath string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "lnactor"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		t.DNSNames = append(t.DNSNames, name)
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil {
			t.DNSNames = append(t.DNSNames, host)
		} else if !ip.IsUnspecified() {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first: a certificate on disk has its key beside it.
	if err := atomicfile.Write(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})); err != nil {
		return err
	}
	return atomicfile.Write(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
