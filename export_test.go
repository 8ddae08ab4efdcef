package lnactor

import (
	"crypto/rand"
	"io"

	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/internal/chankeys"
)

// WrapSigner lets tests see what is signed.
func (c *Config) WrapSigner(wrap func(chankeys.Signer) chankeys.Signer) { c.signer = wrap }

// SetGossip makes gossip faster or slower.
func (c *Config) SetGossip(t graph.Times) { c.gossip = t }

// RestoreWith replaces what makes two restores of a backup differ, until the function that it returns is called.
func RestoreWith(r io.Reader) (stop func()) {
	restoreRand = r
	return func() { restoreRand = rand.Reader }
}

// CrashRestore has f called before each step of a restore that leaves something on disk, until the function that it returns is called.
func CrashRestore(f func()) (stop func()) {
	restoreStep = f
	return func() { restoreStep = func() {} }
}
