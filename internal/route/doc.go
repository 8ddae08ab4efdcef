// Package route finds ways for payments: over this node's channels, the gossiped graph (internal/graph) and the route hints of an invoice.
//
// Find returns a set of routes, one for each part, that together deliver the amount within the limits of the request, or an error that says which
// limit is in the way. It looks for one route first and halves the amount when there is none.
//
// # How
//
// Dijkstra from the payee to the payer, since what a node is to forward, and so its fee, is known from its end. A route costs its fee, the risk of
// locked money (amount times blocks), and a penalty for each channel by how likely it is to carry the amount, as [Memory] has it; what
// failed a moment ago is tried only where there is no other way. All of it is in millisatoshis and integers, so that the same question has the same
// answer on every machine. Ties go to the shorter route, then to the lower short channel id.
//
// The cheapest route may break a limit that a dearer one keeps. So the search is made anew for the least fee, the least delay and the fewest hops, and
// the first result within all limits is taken. A route that exists only between these extremes is not found.
//
// # Units
//
// Amounts are millisatoshis, delays blocks, Expiry a block height. A Hop is one HTLC: Hops[i] is what node i of the route (the payer is node 0) offers
// to Hops[i].To; its amount and expiry are those of that HTLC. What Hops[i].To is told to forward is in Hops[i+1].
//
// The package is pure: no clock, randomness or IO; time is an argument. A Finder is not for use by several goroutines at once.
package route
