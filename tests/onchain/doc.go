// Package onchain closes channels between two whole nodes and follows them to the archive, on the embedded chain and on a real btcd.
package onchain
