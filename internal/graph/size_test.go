package graph

import (
	"runtime"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// TestSize holds the estimate of Stats against what a large graph takes, and reads its snapshot back.
func TestSize(t *testing.T) {
	const channels, nodes = 20_000, 4_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	g := New(Limits{})
	id := func(n uint32) ln.NodeID { return ln.NodeID{2, byte(n >> 8), byte(n)} }
	for i := range uint32(channels) {
		a, b := i%nodes, (i*7+1)%nodes
		if a == b {
			continue
		}
		m := &ChannelMsg{SCID: uint64(500_000+i) << 40, Nodes: [2]ln.NodeID{id(min(a, b)), id(max(a, b))}, Raw: make([]byte, 430)}
		if err := g.AddChannel(m, Funding{Outpoint: wire.OutPoint{Index: i}, CapacitySat: 1e6}, testNow); err != nil {
			t.Fatal(err)
		}
		for dir := range 2 {
			p := Policy{Timestamp: stamp(testNow), MaxMsat: 1e9, Raw: make([]byte, 138)}
			if err := g.SetPolicy(&UpdateMsg{SCID: m.SCID, Dir: dir, Policy: p}, testNow, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range uint32(nodes) {
		if err := g.SetNode(&NodeMsg{ID: id(n), Info: NodeInfo{Timestamp: stamp(testNow), Alias: "name", Raw: make([]byte, 200)}}, testNow); err != nil {
			t.Fatal(err)
		}
	}
	took, estimate := heap()-before, uint64(g.Stats().Bytes)
	t.Logf("%d bytes, estimated %d", took, estimate)
	if estimate < took*7/10 || estimate > took*14/10 {
		t.Errorf("%d bytes, estimated %d", took, estimate)
	}
	runtime.KeepAlive(g)
}
