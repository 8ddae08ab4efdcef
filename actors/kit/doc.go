// Package kit is the one wrapper over protoactor: what every actor.go needs, and nothing that knows about channels.
//
// [NewSystem] makes an actor system, [NewEnv] a node in it. [Env.Props] then wraps a producer with what protoactor lacks:
//
//   - A mailbox that accepts messages from the moment its name is known, never spins, and keeps its order over restarts. Messages of one
//     sender arrive in the order in which they were sent.
//   - A [Pool] of workers that keep their grown stacks, and that grows when all of them block.
//   - A guard around the actor. A panic in Receive becomes a [*Crash] with message type and stack for the supervisor, and a
//     [messages.Fault] for whoever asked. The crashed instance receives nothing more but Restarting, Stopping and Stopped. Panics in these
//     three, and in anything after Stopping, are logged and swallowed, since protoactor would hang or resurrect the actor.
//     runtime.Goexit in Receive counts as a crash ([ErrGoexit]); it costs a goroutine, not the actor.
//
// # What an actor may rely on
//
// A message whose handling panics is lost. The others stay, in order, and reach the next instance, which comes from the producer; so an
// instance may receive answers to questions of its predecessor, and must drop them (rule 4, [Env.NextIncarnation]).
//
// # What an actor must not do
//
// Start goroutines of its own, use time.Now or SetReceiveTimeout, wait for futures, stash, or use ReenterAfter: the seeded scheduler
// (supervisor/sim) cannot order these. Time comes from Env.Clock.
package kit
