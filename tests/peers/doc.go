// Package peers checks lnactor against lnd: against its code, and against lnd itself, a real one, with a real btcd. It is a module of its own because
// lnd brings all of its storage with it, which must not become a dependency of lnactor.
//
// Run it with
//
//	cd tests/peers && go test ./...                        # a part that takes minutes, after lnd was built once (five minutes on two cores)
//	cd tests/peers && go test -live=all -timeout 3h ./...  # all of it: an hour and a half, more on a busy machine
//	cd tests/peers && go test -live=none ./...             # no process is started
//	cd tests/peers && go test -run - -bench SideBySide -benchtime 1x -timeout 30m .
//
// TestLive… functions start btcd and lnd as processes, on loopback, with free ports and directories of their own, and drive lnactor by its public Go
// API and lnd by its REST interface. lnd is built from the version in go.mod into the user's cache directory. A test that fails leaves both
// nodes' directories with their logs, says where, and prints the command that repeats it.
//
// Random cases print their seed; -seed replays it, -cases sets how many there are.
package peers
