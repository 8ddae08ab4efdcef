// Package kit is the one wrapper over protoactor: what every actor.go needs, and nothing that knows about channels.
package kit
