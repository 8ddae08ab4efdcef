package channel

import (
	"flag"
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

var seeds = flag.Int("channel.seeds", 16, "random runs of each kind")

// Any interleaving, with disconnects and crashes of either kind at any message, ends with both sides agreeing, nothing settled twice and all
// settled once.
func TestRandom(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random(t, seed, func(tm *terms) {
				switch seed % 3 {
				case 1:
					tm.pushMsat = 20_000_000 // bob is poor
				case 2:
					tm.pushMsat = 980_000_000 // alice, the funder, is poor
				}
				if seed%2 == 1 {
					tm.feePerKw = 253
				}
			})
		})
	}
}

// A funder with next to nothing, high fees and a small reserve, while both sides add at the same time: no commitment ever fails because the
// funder can't pay for it.
func TestFunderCanAlwaysPay(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random(t, seed*4+3, func(tm *terms) {
				tm.alice.ReserveSat, tm.bob.ReserveSat = 1500, 1500
				tm.pushMsat = 985_000_000 - 3_000_000*(seed%4)
				tm.feePerKw = 500 << (seed % 4)
			})
		})
	}
}

func random(t *testing.T, seed uint64, change func(*terms)) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, change)
	nodes := []*node{w.a, w.b}
	start := w.a.durable.HolderMsat
	number, ops := uint64(0), 0
	crashes := seed%4 != 3 // one in four is only traffic
	for step := 0; step < 20_000 && ops < 150; step++ {
		n := nodes[r.IntN(2)]
		p := r.IntN(10_000)
		below := func(n int) bool { p -= n; return p < 0 && p >= -n }
		switch {
		case below(200):
			number++
			ops++
			n.add(number, 1000+r.Uint64N(40_000_000)>>r.IntN(12))
		case below(200):
			n.decideOne(r)
		case below(30):
			w.a.toChannel = append(w.a.toChannel, updateFee(253+r.IntN(8000)))
		case below(300) && !w.up:
			w.connect()
		case below(6) && crashes:
			w.disconnect()
		case below(6) && crashes:
			n.restart(false)
		case below(6) && crashes:
			w.disconnect()
			n.restart(true)
		case below(6) && crashes:
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

// The worst moment for the funder: it goes down to its reserve, and raises the fee, while the fundee adds as many HTLCs as it may without knowing.
func TestFunderCanPayAtTheWorstMoment(t *testing.T) {
	for rate, raise := range map[uint32]int{2000: 0, 253: 8000} {
		w := newWorld(t, func(tm *terms) {
			tm.alice.ReserveSat, tm.bob.ReserveSat, tm.feePerKw, tm.pushMsat = 1500, 1500, rate, 900_000_000
		})
		if raise > 0 {
			w.a.toChannel = append(w.a.toChannel, updateFee(raise))
		}
		for amount := uint64(100_000_000); amount > 1000; amount /= 2 { // as much as goes
			w.a.add(1000+amount, amount)
		}
		for i := range uint64(25) {
			w.b.add(i, 3_000_000)
		}
		// Both sign before either hears of the other.
		for _, n := range []*node{w.a, w.b} {
			for n.turnChannel() || n.turnMonitor() || n.turnPeer() {
			}
		}
		if len(w.a.durable.Outbound) == 0 || len(w.b.durable.Outbound) == 0 {
			t.Fatal("the two did not add at the same time")
		}
		w.run()
		w.agree()
		if n := len(w.a.forced) + len(w.b.forced); n > 0 {
			t.Fatal("the channel failed")
		}
	}
}
