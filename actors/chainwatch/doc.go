// Package chainwatch tells each channel's monitor what the chain does to it.
package chainwatch
