package graph

import "errors"

// Why a message is not taken. None of them says that the node has a problem.
var (
	ErrChain          = errors.New("graph: gossip about another chain")
	ErrMalformed      = errors.New("graph: gossip that breaks BOLT 7")
	ErrTooLarge       = errors.New("graph: message larger than what is kept")
	ErrSignature      = errors.New("graph: wrong signature")
	ErrStale          = errors.New("graph: not newer than what is known, or too old")
	ErrFuture         = errors.New("graph: timestamp too far in the future")
	ErrKnown          = errors.New("graph: channel is known")
	ErrDead           = errors.New("graph: channel was found to be closed, false or abandoned")
	ErrUnknownChannel = errors.New("graph: update for an unknown channel")
	ErrUnknownNode    = errors.New("graph: announcement of a node without channels")
	ErrFull           = errors.New("graph: no room for more channels, raise the limit")
	ErrRate           = errors.New("graph: too many updates for this channel")

	// ErrCache says that a snapshot can't be used. Begin with an empty graph.
	ErrCache = errors.New("graph: snapshot is damaged or of another version or chain; it is a cache, delete it")
)
