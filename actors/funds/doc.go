// Package funds is the actor around the on-chain wallet (internal/wallet): it keeps the wallet in step with the chain, builds the claims of monitors,
// sweeps what channels pay out, and sends payments.
//
// What is durable: nothing here but a cache, the wallet's Snapshot, given to Config.Save every few blocks and at an orderly stop. Coins come from
// blocks, read from wherever the wallet stands, through reorganisations; a reorganisation that is too deep, or a lost cache, costs reading the chain
// from the seed's birthday. A crash of the actor costs a repeat at most: the wallet itself outlives it, and is safe for concurrent use.
//
//   - Claims (BOLT 5): BuildClaim is answered with a transaction whose coins are held, in memory, under the claim's name. Its monitor makes it durable,
//     and says WalletSpends then and after each of its starts (rule 22). After a start of the process no claim gets coins before the manager says
//     that all monitors have reported, for until then a coin may be in a claim that has not been heard of.
//   - Sweeps: SweepOutputs comes again at every start until SweepDone. One transaction takes all outputs there are; when the chain refuses it and no
//     block says why, each is tried alone, so that none holds up the others. One that stays unconfirmed is replaced. Outputs wait while they cost more than
//     half of what they bring. The wallet remembers sweeps, so a start goes on with them.
//   - Payments: SendFunds is answered once the transaction is durable, in the wallet's Snapshot, and was offered to the chain; it is offered with
//     every block until it is buried, also after a restart.
//   - Fee rates: of the chain source, for a few targets, asked at every block. A source that is not Local is asked aside, and a claim waits for its
//     first answer only. A rate once known is used until there is a newer one. For want of any: Config.Fallback, then a guess, and FeeState says so.
//
// Board shows all that an operator has to know, the fee reserve included: 10,000 satoshis for each channel, at most 100,000, which SendFunds leaves
// unless told otherwise. Amounts are satoshis, fee rates satoshis per 1000 weight units, heights those of the wallet.
//
// Files: core.go, claims.go, sweep.go, sweepchain.go, send.go, fees.go, status.go and follow.go are plain; actor.go alone knows of actors, time and IO.
package funds
