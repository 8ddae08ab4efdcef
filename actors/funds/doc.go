// Package funds keeps the on-chain wallet in step with the chain.
//
// The wallet itself (internal/wallet) is safe for concurrent use and a cache: coins come from blocks, which this actor reads from the chain source
// from wherever the wallet stands, through reorganisations; reservations come from the monitors at every start (messages.WalletSpends). Nothing
// here is durable, so a crash costs a repeat at most.
package funds
