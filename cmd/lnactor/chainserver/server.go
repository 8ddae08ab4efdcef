package chainserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/btcsuite/btcd/btcjson"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// maxRequest bounds a request: a transaction of the largest standard size in hexadecimal is 800,000 bytes.
const maxRequest = 1 << 20

// Server answers over HTTP until Close.
type Server struct {
	chain *regtest.Chain
	http  *http.Server
	addr  string
	done  chan struct{}
}

// Check refuses an address that is not host:port on a loopback interface.
func Check(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: serve-chain: %w", lnactor.ErrConfig, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: serve-chain is %q: the embedded chain is served on loopback only, such as 127.0.0.1:18443", lnactor.ErrConfig, address)
	}
	return nil
}

// Start serves a chain on a loopback address.
func Start(c *regtest.Chain, address string, log *slog.Logger) (*Server, error) {
	if err := Check(address); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: serve-chain: %w", lnactor.ErrConfig, err)
	}
	s := &Server{chain: c, addr: l.Addr().String(), done: make(chan struct{})}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("the embedded chain is no longer served", "address", s.addr, "error", err)
		}
	}()
	return s, nil
}

// Addr is where the chain is served.
func (s *Server) Addr() string { return s.addr }

// Close ends the serving; calls under way may end until the context does.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}

type request struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

type response struct {
	Result any               `json:"result"`
	Error  *btcjson.RPCError `json:"error"`
	ID     json.RawMessage   `json:"id"`
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A web page can make a browser post here; the browser then names the page as the Origin, which programs do not.
	if r.Method != http.MethodPost || r.Header.Get("Origin") != "" {
		http.Error(w, "JSON-RPC by POST only", http.StatusMethodNotAllowed)
		return
	}
	var q request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
		http.Error(w, "not a JSON-RPC request", http.StatusBadRequest)
		return
	}
	answer, status := response{ID: q.ID}, http.StatusOK
	method, ok := methods[q.Method]
	if !ok {
		answer.Error, status = refuse(btcjson.ErrRPCMethodNotFound.Code, "Method not found"), http.StatusNotFound
	} else if result, err := method(s, q.Params); err != nil {
		answer.Error, status = err, http.StatusInternalServerError
	} else {
		answer.Result = result
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the caller is gone
}

func refuse(code btcjson.RPCErrorCode, text string) *btcjson.RPCError {
	return &btcjson.RPCError{Code: code, Message: text}
}
