// Package supervisor restarts what crashes, gives up on what keeps crashing, and takes a node down in order.
//
// A [Supervisor] is an actor; [Config] and [ChildSpec] say what it does. It decides within its own mailbox turns and in no other place:
//
//  1. A child that panics is suspended by protoactor: its messages wait. The message that it panicked over is lost, each time.
//  2. The supervisor counts the failure. The count halves with every Decay of uptime; time spent waiting for a restart heals nothing.
//  3. Children of the same group that were added after it depend on it; they are suspended as well.
//  4. After the back-off (doubling between Min and Max, at least half of it, the rest drawn by lot) the child and its dependents get new
//     instances. They keep address and mailbox, so dependents that ask the child something are queued behind its restart.
//  5. When the count exceeds the child's limit, its [GiveUp] says what happens. It is never silently stopped (rule 5 of package actors).
//
// One child for each group is one_for_one, one group for all is rest_for_one, and a monitor with its channel is a group of two: the
// monitor's restart restarts the channel, the channel's death alone does not restart the monitor.
//
// # Quarantine
//
// A quarantined child keeps its address too. A stand-in takes its place, by default one that drops and counts every message and answers
// askers with a [messages.Fault]. It stays so until [Retry].
//
// # Drain
//
// [Drain] stops a tree cleanly: in each group the last child first, each behind the work that it already has, and at the end the
// supervisor itself. It is an optimisation only: kill -9 must be as correct. It ends after its limit, whatever hangs.
//
// # Where things are
//
// This package's files but tree.go know nothing of Lightning. tree.go puts the node's actors together. Package sim, below, is the seeded
// scheduler that everything here is tested under.
package supervisor
