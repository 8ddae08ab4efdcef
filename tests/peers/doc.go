// Package peers checks lnactor against lnd's own code. It is a module of its own
// because lnd's lnwallet brings all of lnd's storage with it, which must not
// become a dependency of lnactor.
//
// Run it with
//
//	cd tests/peers && go test ./...
//
// Random cases print their seed; -seed replays it, -cases sets how many there are.
package peers
