package server

import "net/http"

// Handler is what the unix socket serves.
func (s *Server) Handler() http.Handler { return s.guard(owner, unbounded(s.mux)) }
