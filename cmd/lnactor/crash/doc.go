// Package crash writes a report when an actor panics or hangs, or when the process dies of a panic, so that a fault that happened once at night can be
// understood in the morning.
//
// A report is a text file in the directory crashes/ of the data directory, mode 0600: what happened, the stack, the types of the last messages that the
// actor handled, the last events of supervision and the last lines of the log. At most [Keep] are kept, the newest; a fault at one place is
// reported [Repeats] times by a process and counted from then on.
//
// No secret is in a report: stacks have no values of arguments, messages are named by type, texts go through package redact. So a report
// can be sent to whoever maintains this.
//
// A [Recorder] takes all of this in. It costs a node nothing while nothing crashes.
package crash
