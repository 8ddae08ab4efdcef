// Package chainwatch tells each channel's monitor what the chain does to it.
//
// # The watcher's contract
//
// A watcher registers with a cursor (a block it knows, by height and hash), the outpoints and scripts it cares about, and a height at which it
// wants to be woken. It is then told of blocks that hold a match, of the height it asked for, and of blocks that left the chain after it was
// told of something above the fork. Blocks in between cost it nothing: with 10,000 channels a block costs what matches in it.
//
// Told heights ascend, so that a watcher may take each ChainBlock's height as its new cursor (rule 20). Everything is at least once: what a
// watcher has recorded it may be told again after it registers again, in particular the matches of the cursor's own block, since the watcher
// may have added outputs of that very block. A watcher must take a repeated match as the fact that it knows already.
//
// A watch that looks back (the outputs of a commitment transaction that has just confirmed) is served from its FromHeight on. Until that is done
// the watcher is told nothing higher, so heights ascend here too, unless the watcher had been told of a later height before the watch came: then
// the late match carries its own, lower height inside a ChainBlock of the height told last.
//
// A watcher may crash between taking such a later height as its cursor and hearing of the late match. So one that comes back registers with its
// cursor and sends, right after it, a ChainWatch for every output it still waits for, with the height of the block that created the output as
// FromHeight. The cursor must be the highest block that its facts rest on: only what is above the fork of that very block is taken back.
//
// A zero hash in a registration means that the cursor is not checked against the chain. Cursors on an abandoned branch are walked back to the
// fork, which is told first. If the source has forgotten that branch, the fork is taken to be [forgottenDepth] blocks below.
//
// # Restart
//
// The watcher holds nothing durable (rule 3): its new incarnation says ChainStarted, and everybody registers and broadcasts again from what
// they know. Thousands of watchers that catch up from different heights share one pass over the blocks.
//
// # Structure
//
// core.go and its neighbours are pure: an input goes in, messages and questions to the chain come out, answers are inputs again. At most one
// question about the chain and one broadcast are open at a time, so that every answer meets the state that asked. actor.go asks the
// chain.Source, and it alone knows actors. Package chain is the contract with the technologies, package regtest the embedded one.
//
// Heights are uint32 as in package messages; int32, as in btcd, begins at chain.Source.
package chainwatch
