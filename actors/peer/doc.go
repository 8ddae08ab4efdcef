// Package peer keeps the session with one peer: BOLT 1 (init, ping, error, warning, what may be ignored) and the routing of channel messages
// to the actors that attached themselves, over a connection that dials again for ever.
//
// [Peer] is the core. It knows sessions by number and says what is to be done as [Effect] values; [Props] makes the actor
// "peer/<node id>" around it, with connections from a [Transport]: package tcp (BOLT 8 over TCP) or package simnet (a network of one
// process for the seeded scheduler). Package peers is the actor above all sessions.
//
// # Sessions
//
// A session is one connection. Its number comes from kit.Env.NextIncarnation, so it is unique in the process and grows. Nothing of a session
// outlives it: proposals that are in no commitment are void (BOLT 2, Message Retransmission), messages that waited for a channel are dropped,
// and what is sent with an older number is dropped.
//
// # Attaching
//
// Each entry of the attach table belongs to an incarnation of a channel or of an opening.
//
//   - A channel that attaches is answered with PeerUp when the session is up. PeerUp may come again with the same session, when the same
//     incarnation attaches again; then nothing has changed.
//   - PeerUp says Established only if an opening held the id in this very session and the id is not one that the peer chose.
//   - Another incarnation of a channel in one session makes the peer reconnect, since channel_reestablish belongs to the start of a connection.
//   - A message for an id nobody attached waits while Monitors is asked. It goes to whoever attaches, or is answered with an error.
//   - When a session ends, openings in it are taken out; channels stay and are told PeerUp in the next one.
//
// # Hostile peers
//
// Whatever a peer sends, it costs its own connection at most. All that it can make us keep is bounded ([Limits]); a peer is not read faster
// than its messages are handled, here and in the channels behind; a peer that does not read is disconnected. Messages of types that are even
// and unknown, or malformed, end the connection with a warning. Gossip goes to the graph ([messages.GraphAddr]) and is dropped unread when it comes too
// fast, when the graph is behind, and when there is no graph.
package peer
