// Package watchdog finds actors that do not get on, and tells the service manager that all is well only while none is found.
//
// A round sends a ping through the mailboxes of the supervisors, the persister, chainwatch, the manager and one monitor, another one each time, and
// looks at all actors: whether each that has something to do has handled a message since the round before. Only after all pings were answered the service
// manager is told (systemd's WATCHDOG=1).
//
// An actor is wedged when it has handled nothing for [Config.Limit] although it had something to do, or has not answered a ping for so long. Then
// nobody is told any more that all is well, a report names the actor, and it is a condition of the node's health. An actor that waits for
// its restart is not wedged: its supervisor deals with it. One that gets on again is as good as before.
//
// The watchdog knows the node by [Node] and is no actor itself: it must not hang with one.
package watchdog
