package lnactor

import "github.com/lnactor/lnactor/actors/persister"

// StoreStats counts what the store did since it was opened.
type StoreStats = persister.StoreStats

// StoreStats tells how often the store has synced and how much it wrote.
func (n *Node) StoreStats() StoreStats { return n.store.Stats() }
