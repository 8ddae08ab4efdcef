// Package demo plays two nodes that pay each other while parts of them crash, and checks the books.
//
// [Run] opens an embedded chain and two nodes, alice and bob, whose stores are on disk with every commit synced, and a channel between them with
// money on both sides. Then they pay each other's invoices while the actors named in [Kinds] and whole nodes are crashed by a seeded plan. At the
// end it has seen every event that the nodes gave to their user, and counted every MonitorEvent that passed between monitors and managers, and
// compares:
//
//   - Every payment has exactly one outcome and every invoice is claimed exactly once; see [Report] for how the two may go wrong.
//   - Every event that a monitor emitted was acknowledged, and no monitor holds one.
//   - Every node has, to the millisatoshi, what it had before, less what it sent, and what it claimed.
//   - The channel is open and carries one more payment each way.
//
// With [Options].Close the channel is closed then, in one of three ways ([CloseKinds]), and blocks are mined one at a time until every node that
// runs has archived it. A third of the crashes come in that time. Payments in flight are made for it: the nodes are restarted with
// lnactor.Config.ManualClaim, and their users decide late or never. What is compared:
//
//   - At every block the parts of each side's lnactor.ChannelBalance add up, and the total stays what it was but for payments that it claimed.
//   - Each held payment has the outcome that its payee chose.
//   - Each wallet has what it had, and what it swept, less the fees of its transactions: these are computed from the chain alone.
//   - In both wallets together, fees and outputs that nobody claims is what was in wallets and channel, to the satoshi.
//
// The cheater of a revoked close is no function of a node: nothing in its interface can publish a revoked commitment. He copies his data directory
// while his node is stopped, and signs later with the keys in it what it says (thief.go). His node does not run again.
//
// The plan and the amounts follow from the seed. The interleaving does not: it is that of the machine, so a run is not repeated exactly. The
// seeded simulation of package supervisor/sim is.
//
// Amounts are in millisatoshi where the name says Msat, else in satoshi.
package demo
