// Package cli is the lnactor command, one file per subcommand.
//
// [Main] returns the exit code and never exits itself, so tests run it in their own process. What was asked for goes to the first writer, all
// else, errors included, to the second; colours only where a writer is a terminal and NO_COLOR is not set.
//
// Exit codes (see exit.go): 0 well; 1 the demo found a fault, a payment failed, or the node refused; 64 usage; 65 corrupt data; 69 the chain
// source or the node can't be reached; 70 supervision gave up; 74 the store failed; 75 the data directory is in use; 77 the token does not allow it;
// 78 configuration; 130 interrupted.
package cli
