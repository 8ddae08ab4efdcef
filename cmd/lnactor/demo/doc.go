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
// The plan and the amounts follow from the seed. The interleaving does not: it is that of the machine, so a run is not repeated exactly. The
// seeded simulation of package supervisor/sim is.
//
// Amounts are in millisatoshi where the name says Msat, else in satoshi.
package demo
