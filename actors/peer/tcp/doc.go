// Package tcp is the transport of real networks: BOLT 8 over TCP. It is outside of the actors: sockets, goroutines and the time of day live
// here, and nothing else does.
//
// A connection has two goroutines. The reader takes a message only when there is room for it in the window that the session grants, so a
// flood stays in the sender's own socket. The writer has a queue bounded in bytes and a deadline for progress: a peer that does not read
// loses its connection.
//
// Handshakes run in goroutines of their own, with a deadline, at most so many at once in all and from one address; connections are limited
// likewise. Errors of [Transport.Dial] wrap [ErrHandshake] if the other side is not the node it should be, or those of package net.
package tcp
