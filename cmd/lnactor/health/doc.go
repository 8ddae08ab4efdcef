// Package health knows what an operator should know of a node: the one registry of conditions behind /healthz, /readyz, `lnactor status` and the API.
//
// [Kinds] is the table of all conditions there can be, each with severity and remedy. A [Collector] takes a [Snapshot] of the node now and then; [Judge]
// says, from that alone, which conditions there are; a [Registry] adds what other parts of the process found (see [Source]), remembers since when each
// condition is there and logs its beginning and its end, once.
//
// A node is alive unless a restart of the process would help: what restarts processes should look at that. A node is ready if it can be given work. A
// node that is alive and ready can still have critical conditions: they need a person, and a restart would not help.
//
// The age of an event is counted from when this process first saw it; events have no dates. Nothing here costs a node anything per event: a snapshot is
// one message to the manager and a few counters, at most once in two seconds.
package health
