// Package sim runs the actors of one or more nodes on one goroutine, in an order drawn from a seed, on virtual time, with crashes.
//
//	s := sim.New(seed)
//	env := s.Env("alice")               // the *kit.Env of a node; spawn its actors with it
//	s.Faults.Before = s.CrashAt(17, sim.CrashActor)
//	if !s.Run(100_000) { t.Fatal(s) }   // s prints the last steps and the trace's hash
//	s.Crash("alice")                    // a power cut; then env = s.Env("alice") and start again on the same store
//
// # What is random and what is not
//
// At each step the seed picks one of the actors that have a message, or a timer that is due; that actor handles one message. Messages of
// one sender to one actor keep their order, as in the real thing; everything else is shuffled. The same seed gives the same trace if the
// actors keep to package kit's rules: no goroutines, no other clock, no other randomness, no map iteration into messages.
//
// Time stands almost still while anybody has something to do ([Sim.Tick] per step) and jumps to the next timer when nobody has. No two
// timers are due at the same instant.
//
// # Faults
//
// An actor crashes before or after a message ([CrashActor]), a node is dropped in the middle of its work ([CrashNode]), an actor is slow
// ([Delay]: its mailbox rests for a while). Messages between nodes are the transport's: it delays, repeats and drops with [Sim.Rand] and
// [Sim.After]. A panic that was not injected is kept in [Sim.Crashes], and the actor is restarted like any other.
//
// Everything here, the test's own calls included, must stay on one goroutine; so t.Fatal may be called within actors. Each Sim has an
// actor system of its own (about 30 kB), so seeds may run in parallel.
package sim
