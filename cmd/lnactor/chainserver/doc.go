// Package chainserver serves the embedded regtest chain over the JSON-RPC that bitcoind and btcd share, as far as package rpcpoll speaks it: so two
// node processes can use one chain with nothing else installed.
//
// It is for one machine and for play money: it listens on loopback addresses only and asks for no password. Calls read the chain and broadcast;
// blocks are mined by the API of the node that runs the chain. Answers are bitcoind's, errors its codes and words, since those are what callers tell
// refusals by. There is an index of transactions.
package chainserver
