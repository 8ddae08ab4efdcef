package channel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BOLT 2, Normal Operation: HTLCs both ways, fulfilled and failed in each way.
func TestDance(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 50_000_000)
	w.a.add(2, 100_000) // dust
	w.a.add(3, 20_000_000)
	w.b.add(4, 30_000_000)
	w.run()
	if len(w.a.accepted) != 1 || len(w.b.accepted) != 3 {
		t.Fatalf("accepted %d and %d", len(w.a.accepted), len(w.b.accepted))
	}
	w.b.decide(0, "fulfill")
	w.b.decide(1, "fail")
	w.b.decide(2, "malformed")
	w.a.decide(0, "fulfill")
	w.run()
	w.agree()
	if got := fmt.Sprint(w.a.outcome, w.b.outcome); got != "map[0:claimed 1:failed 2:failed] map[0:claimed]" {
		t.Fatal(got)
	}
	if want := uint64(600_000_000 - 50_000_000 + 30_000_000); w.a.durable.HolderMsat != want {
		t.Fatalf("alice has %d msat, want %d", w.a.durable.HolderMsat, want)
	}
	if n := len(w.a.refused) + len(w.b.refused); n != 0 {
		t.Fatalf("%d refused", n)
	}
}

// Any interleaving, with disconnects and crashes of either kind at any message, ends with both sides agreeing, nothing settled twice and all
// settled once.
func TestRandom(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { random(t, seed) })
	}
}

func random(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, func(tm *terms) {
		if seed%3 == 1 {
			tm.pushMsat = 20_000_000 // bob is poor
		}
		if seed%3 == 2 {
			tm.pushMsat = 980_000_000 // alice, the funder, is poor
		}
		if seed%2 == 1 {
			tm.feePerKw = 253
		}
	})
	nodes := []*node{w.a, w.b}
	start := w.a.durable.HolderMsat
	number, ops := uint64(0), 0
	crashes := seed%4 != 3 // one in four is only traffic
	for step := 0; step < 3000 && ops < 120; step++ {
		n := nodes[r.IntN(2)]
		switch p := r.IntN(1000); {
		case p < 60:
			number++
			ops++
			n.add(number, 1000+r.Uint64N(40_000_000)>>r.IntN(12))
		case p < 100:
			n.decideOne(r)
		case p < 104 && crashes:
			w.disconnect()
		case p < 120 && !w.up:
			w.connect()
		case p < 122 && crashes:
			n.restart(false)
		case p < 124 && crashes:
			w.disconnect()
			n.restart(true)
		case p < 130:
			w.a.toChannel = append(w.a.toChannel, updateFee(253+r.IntN(3000)))
		case p < 133 && crashes:
			// What is on the wire is lost, and the connection with it.
			if len(n.wire) > 0 {
				n.wire = n.wire[:r.IntN(len(n.wire))]
				w.disconnect()
			}
		default:
			turns := []func() bool{n.turnChannel, n.turnMonitor, n.turnPeer, n.turnWire}
			turns[r.IntN(len(turns))]()
		}
	}
	if !w.up {
		w.connect()
	}
	w.run()
	for _, n := range nodes {
		for len(n.accepted) > 0 {
			n.decideOne(r)
		}
	}
	w.run()
	for _, n := range nodes {
		for len(n.accepted) > 0 {
			n.decideOne(r)
		}
		if len(n.forced) > 0 {
			t.Fatalf("%s closed: %s", n.name, n.forced[0].Detail)
		}
	}
	w.run()
	w.agree()
	want := start
	for _, n := range nodes {
		f := n.durable
		if len(f.Outbound)+len(f.Inbound) > 0 {
			t.Fatalf("%s: %d and %d HTLCs are stuck", n.name, len(f.Outbound), len(f.Inbound))
		}
		if uint64(len(n.outcome)) != f.NextOutboundHTLCID {
			t.Fatalf("%s: %d outcomes of %d HTLCs", n.name, len(n.outcome), f.NextOutboundHTLCID)
		}
		for id, how := range n.outcome {
			if how != "claimed" {
				continue
			}
			if n == w.a {
				want -= n.amounts[id]
			} else {
				want += n.amounts[id]
			}
		}
	}
	if w.a.durable.HolderMsat != want {
		t.Fatalf("alice has %d msat, want %d", w.a.durable.HolderMsat, want)
	}
}
