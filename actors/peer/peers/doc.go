// Package peers is the actor messages.PeersAddr: it connects to nodes and disconnects from them, takes the connections that others make, and
// supervises one actor "peer/<node id>" per node (one for one).
//
// A session that crashes is restarted at once; its own actor then waits before it connects again, longer each time. One that cannot even
// start is stopped, and tried again later if its connection is to last. An inbound peer that has neither channel nor opening is forgotten
// when its connection ends, so that strangers leave nothing behind; their number is limited.
//
// Addresses are remembered by the owner of the node ([Config].Remember, Forget and Lasting): an actor that is started again asks for them.
package peers
