// Package server is the API of a running node (package apiv1) over HTTP: gRPC, gRPC-Web and plain JSON, on a unix socket and, if asked for, on TCP
// with TLS.
//
// Who may do what: the unix socket has mode 0600, so whoever can open it is the node's owner and may do everything. Over TCP each call carries a
// token ("Authorization: Bearer ...") of one of three scopes; access.go has the one table of what each procedure needs, and a procedure that
// is not in it is refused. Tokens and key are made at the first start, in files of mode 0600 in the data directory.
//
// Errors: a connect code with an ErrorDetail (errors.go). Inputs are checked here or by the node; a bad one is InvalidArgument, never a panic. No
// answer holds a key, a word of the seed or a token; the preimage of a payment of ours, which proves it, is shown to scope full alone.
package server
