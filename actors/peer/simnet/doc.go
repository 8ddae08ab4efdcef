// Package simnet is a network within one process for the seeded scheduler (supervisor/sim): no goroutines, no encryption, real bytes.
//
//	net := simnet.New(s)                              // s is a *sim.Sim
//	t := net.Node("alice", aliceID)                   // the peer.Transport of one life of a node; addresses are node names
//	net.Latency = func() time.Duration { ... }        // of each message, drawn from s.Rand; order within a connection is kept
//	net.Fault = func(from, to string, msg []byte) bool { ... }  // true cuts the connection in place of the message
//	net.Cut("alice", "bob")
//
// A node that crashes leaves its connections half open; Drop, or its next life, ends them for the others, as an operating system does.
// TCP neither repeats nor reorders within a connection, so neither does this; what is repeated is what nodes say again after a reconnect.
package simnet
