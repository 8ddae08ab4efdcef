package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor/internal/redact"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// maxRequest bounds what a caller may send in one message: the largest is an invoice.
const maxRequest = 64 << 10

// Server serves the API. Make it by New, give it listeners by Serve, end it by Close.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	https   []*http.Server
	lasting context.Context // of streams, which would hold up the end
	end     context.CancelFunc
}

// New makes the handlers; nothing is listened to yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), mux: http.NewServeMux()}
	s.lasting, s.end = context.WithCancel(context.Background())
	opts := []connect.HandlerOption{
		connect.WithReadMaxBytes(maxRequest),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(s.intercept)),
		connect.WithRecover(s.recovered),
	}
	s.mux.Handle(api.NewNodeHandler(&service{cfg: s.cfg, lasting: s.lasting, streams: make(chan struct{}, mostStreams)}, opts...))
	if s.cfg.Chain != nil {
		s.mux.Handle(api.NewRegtestHandler(&regtestService{s.cfg}, opts...))
	} else {
		s.mux.Handle(api.NewRegtestHandler(noRegtest{}, opts...))
	}
	return s
}

// intercept bounds a call's time and logs what should not have happened.
func (s *Server) intercept(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.cfg.Timeout)
			defer cancel()
		}
		answer, err := next(ctx, r)
		if connect.CodeOf(err) == connect.CodeInternal && err != nil {
			s.cfg.Log.Error("API call failed", "procedure", r.Spec().Procedure, "error", err)
		}
		return answer, err
	}
}

func (s *Server) recovered(_ context.Context, spec connect.Spec, _ http.Header, what any) error {
	s.cfg.Log.Error("API call crashed", "procedure", spec.Procedure, "panic", redact.Text(fmt.Sprint(what)))
	return problem(connect.CodeInternal, "crash", "the call crashed; the node goes on", "look before you repeat it: it may have had its effect")
}

// ServeUnix serves whoever can open the listener's socket. It returns at once.
func (s *Server) ServeUnix(l net.Listener) { s.serve(l, s.guard(owner, unbounded(s.mux))) }

// ServeTLS serves whoever has a token; the listener speaks TLS. It returns at once.
func (s *Server) ServeTLS(l net.Listener, tokens Tokens) {
	s.serve(l, s.guard(tokens.bearer, unbounded(s.mux)))
}

func (s *Server) serve(l net.Listener, h http.Handler) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC on the unix socket
	server := &http.Server{
		Handler: h, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	s.https = append(s.https, server)
	go func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Error("the API is no longer served", "address", l.Addr().String(), "error", err)
		}
	}()
}

// Close ends the serving: no new calls, those under way may end until the context does, streams end at once.
func (s *Server) Close(ctx context.Context) error {
	s.end()
	var errs []error
	for _, h := range s.https {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, err, h.Close())
		}
	}
	return errors.Join(errs...)
}
