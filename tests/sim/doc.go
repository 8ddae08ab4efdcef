// Package sim runs whole nodes, two or a network of up to six, with their stores and one chain under the seeded scheduler of supervisor/sim, breaks
// everything that may break, and then checks the invariants S1-S20 and L1-L8 of docs/durability.md.
//
//	go test ./tests/sim                                     // some seeds of every suite, the sweeps and the scenarios, in about a minute
//	go test ./tests/sim -run TestSimulation -seeds 5000     // more seeds
//	go test ./tests/sim -run TestSimulation -budget 6m      // as many as fit, and no fewer than -floor
//	go test ./tests/sim -run TestSimulation -seed 17        // one seed again, with the tail of its trace; -log file writes all of it
//	go test ./tests/sim -run TestSimulation -seeds 5000 -keep   // do not stop at the first failure
//	go test ./tests/sim -run TestSweep -full                // every message, not every third
//
// # Parts
//
// A world is one seed's nodes (node_test.go), on stores that are cloned as a crash would leave them. While it runs, a shadow (shadow_test.go)
// follows what is durable, batch by batch, and guards compare with it everything that leaves a node: messages on the wire (wire_test.go),
// transactions (chain_test.go), monitor events and their acknowledgements (events_test.go). The user (user_test.go) handles events, fails at it
// and remembers their ids; callers (caller_test.go) pay and ask again until they have an answer. A storm (storm_test.go) is what goes wrong. When it
// is over, the world must come to rest and check_test.go looks at everything.
//
// Channels that end on chain: the endings (onchain_test.go), every commitment that was ever held (held_test.go), a thief who has bob's keys
// (adversary_test.go, thief_test.go), the money as the chain tells it (ledger_test.go), and what must hold in the end (ending_test.go).
//
// Networks (topology_test.go, network_test.go, network_chain_test.go): lines, a diamond, a star and random graphs, with several channels between some
// nodes and private ones. Their nodes learn each other by gossip while the network is prepared; seeds begin with the graphs that this left, and
// gossip goes on. Payments are of all kinds (network_pay_test.go); some are handed to a channel past the manager, over routes that the test chose
// (network_raw_test.go), so that only monitors know of them. Forwards and parts are judged by what is durable (forwards_test.go), outcomes and money
// when all is over (network_outcome_test.go, network_check_test.go).
//
// Prepared worlds (prepare_test.go) are made once and cloned for each seed. Crash sweeps hit every append and every message of one payment
// (sweep_test.go), of a channel's end on chain
// (sweepchain_test.go), and of a forwarded payment, at the forwarder and on either side (sweepforward_test.go). The scenarios (scenario_*.go) are those of other
// implementations' bugs. bite_test.go, bitechain_test.go and bitenetwork_test.go break the rules on purpose and show that the simulation notices.
package sim
