// Package btcdtest runs btcd, the full node, for tests: built once per test
// binary from the version in go.mod, started on loopback with free ports, on a
// simnet chain of its own on which segwit, taproot and relative locks are
// active, and ended with the test. There is regtest, too, but btcd deletes a
// regtest chain when it starts, so it can't be restarted there.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(btcdtest.Main(m)) }
//
// Its mempool follows mainnet's policy (standard transactions, 1 sat/vB, BIP
// 125), its RPC speaks TLS with the certificate in [Node.CertFile], and it
// keeps an index of transactions and of compact filters.
//
// The coins that it mines belong to everybody, see [Script]. The coinbases of
// the first blocks are mature from the start, so [Node.Fund] works at once.
package btcdtest
