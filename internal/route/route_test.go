package route

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

var now = time.Unix(1_800_000_000, 0)

func id(n int) ln.NodeID {
	x := ln.NodeID{2}
	binary.BigEndian.PutUint32(x[1:], uint32(n))
	return x
}

// channel describes both directions of a channel; Nodes[0] is the lower one.
type channel struct {
	a, b     int
	capacity uint64
	pol      [2]graph.Policy
}

func scidOf(i int) uint64 { return uint64(100+i)<<40 | 1<<16 }

// build makes a graph of channels, added in the order given.
func build(t testing.TB, chans []channel, order []int) *graph.Graph {
	t.Helper()
	g := graph.New(graph.Limits{Updates: graph.Rate{Burst: 100, PerMinute: 1}})
	for _, i := range order {
		c := chans[i]
		if c.a > c.b {
			t.Fatal("order")
		}
		op := wire.OutPoint{Index: uint32(i)}
		m := &graph.ChannelMsg{SCID: scidOf(i), Nodes: [2]ln.NodeID{id(c.a), id(c.b)}, Raw: []byte{1}}
		if err := g.AddChannel(m, graph.Funding{Outpoint: op, CapacitySat: c.capacity}, now); err != nil {
			t.Fatal(err)
		}
		for dir, p := range c.pol {
			if p.Timestamp == 0 {
				continue
			}
			if err := g.SetPolicy(&graph.UpdateMsg{SCID: scidOf(i), Dir: dir, Policy: p}, now, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g
}

func inOrder(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// pol is a policy for small tests.
func pol(base, prop uint32, delta uint16) graph.Policy {
	return graph.Policy{Timestamp: uint32(now.Unix()), BaseMsat: base, PropMillionths: prop, CLTVDelta: delta, MinMsat: 1, MaxMsat: 1_000_000_000}
}

func both(a, b int, p graph.Policy) channel {
	return channel{a: a, b: b, capacity: 1_000_000, pol: [2]graph.Policy{p, p}}
}

func local(i, peer int, send uint64) Local {
	return Local{SCID: uint64(i), Peer: id(peer), SendMsat: send}
}

func request(target int, amount uint64, l ...Local) *Request {
	return &Request{Self: id(0), Target: id(target), AmountMsat: amount, Height: 1000, FinalDelta: 18, MaxFeeMsat: 1 << 40, Local: l}
}

func TestLine(t *testing.T) {
	chans := []channel{both(1, 2, pol(1000, 100, 40)), both(2, 3, pol(2000, 0, 80))}
	g := build(t, chans, inOrder(2))
	var f Finder
	routes, err := f.Find(g, nil, request(3, 1_000_000, local(7, 1, 5_000_000)), now)
	if err != nil {
		t.Fatal(err)
	}
	// 3 gets 1,000,000. 2 sends it for 2000. 1 sends 1,002,000 for 1000 + 100 millionths of it. Nothing for our own hop.
	want := []Route{{FeeMsat: 3100, Hops: []Hop{
		{SCID: 7, From: id(0), To: id(1), AmountMsat: 1_003_100, Expiry: 1000 + 18 + 80 + 40},
		{SCID: scidOf(0), From: id(1), To: id(2), AmountMsat: 1_002_000, Expiry: 1000 + 18 + 80},
		{SCID: scidOf(1), From: id(2), To: id(3), AmountMsat: 1_000_000, Expiry: 1000 + 18},
	}}}
	if !reflect.DeepEqual(routes, want) {
		t.Fatalf("%+v", routes)
	}
	limits := map[string]func(*Request){
		"fee": func(r *Request) { r.MaxFeeMsat = 3099 }, "delay": func(r *Request) { r.MaxDelay = 137 },
	}
	for name, limit := range limits {
		r := request(3, 1_000_000, local(7, 1, 5_000_000))
		limit(r)
		var broken *LimitError
		if _, err := f.Find(g, nil, r, now); !errors.As(err, &broken) || broken.FeeMsat != 3100 || broken.Delay != 138 {
			t.Error(name, err)
		}
	}
	none := map[string]func(*Request){
		"hops":    func(r *Request) { r.MaxHops = 2 },
		"balance": func(r *Request) { r.Local[0].SendMsat = 1_003_099 },
		"minimum": func(r *Request) { r.Local[0].MinMsat = 1_003_101 },
		"maximum": func(r *Request) { r.Local[0].MaxMsat = 1_003_099 },
		"avoid":   func(r *Request) { r.Avoid = []uint64{scidOf(1)} },
		"live":    func(r *Request) { r.LessMsat = map[Edge]uint64{{scidOf(0), id(1)}: 999_000_000} },
		"unknown": func(r *Request) { r.Target = id(99) },
	}
	for name, change := range none {
		r := request(3, 1_000_000, local(7, 1, 5_000_000))
		change(r)
		if _, err := f.Find(g, nil, r, now); !errors.Is(err, ErrNoPath) {
			t.Error(name, err)
		}
	}
	for change, want := range map[*Request]error{
		request(0, 1, local(7, 1, 5)): ErrSelf, request(3, 0, local(7, 1, 5)): ErrRequest, request(3, 6, local(7, 1, 5)): ErrBalance,
		request(3, 1<<63, local(7, 1, 5)): ErrRequest,
	} {
		if _, err := f.Find(g, nil, change, now); !errors.Is(err, want) {
			t.Error(want, err)
		}
	}
}

func TestHints(t *testing.T) {
	g := build(t, []channel{both(1, 2, pol(1000, 0, 40))}, inOrder(1))
	r := request(9, 1_000_000, local(7, 1, 5_000_000))
	r.Hints = [][]Hint{{{Node: id(2), SCID: 55, BaseMsat: 10, PropMillionths: 1, CLTVDelta: 30}, {Node: id(8), SCID: 56, BaseMsat: 20, CLTVDelta: 31}}}
	var f Finder
	routes, err := f.Find(g, nil, r, now)
	if err != nil {
		t.Fatal(err)
	}
	var scids []uint64
	for _, h := range routes[0].Hops {
		scids = append(scids, h.SCID)
	}
	if !slices.Equal(scids, []uint64{7, scidOf(0), 55, 56}) || routes[0].FeeMsat != 20+11+1000 || routes[0].Hops[0].Expiry != 1000+18+31+30+40 {
		t.Fatalf("%+v", routes)
	}
	direct := request(1, 1_000_000, local(7, 1, 5_000_000))
	direct.Hints = [][]Hint{{{Node: id(0), SCID: 99}}}
	if routes, err := f.Find(g, nil, direct, now); err != nil || len(routes[0].Hops) != 1 || routes[0].FeeMsat != 0 {
		t.Fatal(routes, err)
	}
}

func TestLimitsAreWorthADearerRoute(t *testing.T) {
	// By 2 it is cheap and slow, by 3 dear and fast.
	slow, fast := pol(1, 0, 1000), pol(50_000, 0, 10)
	g := build(t, []channel{both(1, 2, slow), both(2, 4, slow), both(1, 3, fast), both(3, 4, fast)}, inOrder(4))
	var f Finder
	for _, x := range []struct {
		delay uint32
		fee   uint64
		want  int
	}{{3000, 1 << 40, 2}, {500, 1 << 40, 3}} {
		r := request(4, 1_000_000, local(7, 1, 5_000_000))
		r.MaxDelay, r.MaxFeeMsat = x.delay, x.fee
		routes, err := f.Find(g, nil, r, now)
		if err != nil || routes[0].Hops[1].To != id(x.want) {
			t.Error(x, routes, err)
		}
	}
}

func TestNotThroughThePayer(t *testing.T) {
	p := pol(1, 0, 10)
	// The payer's own public channels are in the graph too. Its channel with 2 is of no use now, whatever the graph says.
	g := build(t, []channel{both(0, 1, p), both(0, 2, p), both(2, 3, p)}, inOrder(3))
	var f Finder
	if routes, err := f.Find(g, nil, request(3, 1000, local(7, 1, 5_000_000)), now); !errors.Is(err, ErrNoPath) {
		t.Fatal(routes, err)
	}
}

func TestTies(t *testing.T) {
	p := pol(1, 0, 10)
	chans := []channel{both(1, 2, p), both(1, 2, p), both(2, 3, p), both(2, 3, p), both(1, 4, p), both(3, 4, p)}
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {1, 3, 0, 5, 2, 4}} {
		var f Finder
		routes, err := f.Find(build(t, chans, order), nil, request(3, 1000, local(9, 1, 5_000_000), local(8, 1, 5_000_000)), now)
		if err != nil {
			t.Fatal(err)
		}
		h := routes[0].Hops
		if h[0].SCID != 8 || h[1].SCID != scidOf(0) || h[2].SCID != scidOf(2) {
			t.Errorf("%v: %+v", order, h)
		}
	}
}

func TestSplit(t *testing.T) {
	p := pol(1, 0, 10)
	diamond := []channel{both(1, 3, p), both(2, 3, p)}
	g := build(t, diamond, inOrder(2))
	var f Finder
	r := request(3, 500_000_000, local(7, 1, 300_000_000), local(8, 2, 300_000_000))
	if _, err := f.Find(g, nil, r, now); !errors.Is(err, ErrNoPath) {
		t.Fatal("one part", err)
	}
	r.MaxParts = 16
	routes, err := f.Find(g, nil, r, now)
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, r := range routes {
		sum += r.AmountMsat()
	}
	if sum != 500_000_000 || len(routes) != 2 {
		t.Fatalf("%d in %d parts", sum, len(routes))
	}
	q := *r
	q.Local[0].SCID, q.Local[1].SCID = 7, 8
	simulate(t, diamond, &q, routes)
	// A channel in the middle carries no more than it holds either, with what earlier parts have put into it.
	narrow := []channel{both(1, 3, p), both(1, 3, p), both(1, 3, p)}
	for i := range narrow {
		narrow[i].capacity = 300_000
		narrow[i].pol = [2]graph.Policy{p, p}
		for d := range narrow[i].pol {
			narrow[i].pol[d].MaxMsat = 300_000_000
		}
	}
	n := request(3, 800_000_000, local(7, 1, 5_000_000_000))
	n.MaxParts = 16
	routes, err = f.Find(build(t, narrow, inOrder(3)), nil, n, now)
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, narrow, n, routes)
	r.MinPart = 300_000_000
	if _, err := f.Find(g, nil, r, now); !errors.Is(err, ErrNoPath) {
		t.Fatal("parts too small", err)
	}
	// All parts together keep the fee limit.
	r.MinPart, r.MaxFeeMsat = 0, 1
	var broken *LimitError
	if _, err := f.Find(g, nil, r, now); !errors.As(err, &broken) {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	p := pol(1000, 0, 10)
	g := build(t, []channel{both(1, 3, p), both(2, 3, pol(9000, 0, 10))}, inOrder(2))
	var f Finder
	m := NewMemory(MemoryConfig{})
	at := func(when time.Time) (int, error) {
		routes, err := f.Find(g, m, request(3, 1_000_000, local(7, 1, 9_000_000), local(8, 2, 9_000_000)), when)
		if err != nil {
			return 0, err
		}
		if routes[0].Hops[0].SCID == 7 {
			return 1, nil
		}
		return 2, nil
	}
	check := func(what string, when time.Time, want int) {
		t.Helper()
		if got, err := at(when); got != want {
			t.Error(what, got, err)
		}
	}
	check("cheaper", now, 1)
	e := Edge{scidOf(0), id(1)}
	m.Failed(e, 2_000_000, now)
	check("more than this failed", now, 1)
	m.Failed(e, 1_000_000, now)
	check("just failed", now, 2)
	check("an hour later it is still less likely", now.Add(time.Hour), 2)
	check("a day later it is forgotten", now.Add(24*time.Hour), 1)
	m.Passed(e, 1_000_000)
	check("passed", now, 1)
	m.NodeFailed(id(1), now)
	check("node", now, 2)
	m.NodeFailed(id(2), now)
	check("all failed, so it is tried all the same", now, 1)
	small := NewMemory(MemoryConfig{MaxEdges: 2, MaxNodes: 2})
	for i := range 10 {
		small.Failed(Edge{uint64(i), id(i)}, 5, now)
		small.NodeFailed(id(i), now)
	}
	if len(small.edges) != 2 || len(small.nodes) != 2 || len(small.queue) != 2 || small.known(Edge{9, id(9)}) == nil {
		t.Error("bounds", len(small.edges), len(small.nodes))
	}
	for i, last := 0, uint64(0); i < 200; i++ {
		got := m.faded(now, now.Add(time.Duration(i)*7*time.Minute))
		if got < last || got > one || i == 0 && got != 0 {
			t.Fatal("memory does not fade evenly", i, got, last)
		}
		last = got
	}
}

// world draws a small random graph and a request.
func world(t *rapid.T, roomy bool) ([]channel, *Request) {
	nodes := rapid.IntRange(3, 7).Draw(t, "nodes")
	var chans []channel
	for range rapid.IntRange(2, 12).Draw(t, "channels") {
		a := rapid.IntRange(1, nodes-1).Draw(t, "a")
		b := rapid.IntRange(a+1, nodes).Draw(t, "b")
		c := channel{a: a, b: b, capacity: rapid.Uint64Range(500, 5000).Draw(t, "capacity")}
		if roomy {
			c.capacity = 1 << 31
		}
		for dir := range c.pol {
			if rapid.IntRange(0, 9).Draw(t, "known") == 0 {
				continue
			}
			p := graph.Policy{
				Timestamp: uint32(now.Unix()), BaseMsat: rapid.Uint32Range(0, 3000).Draw(t, "base"), PropMillionths: rapid.Uint32Range(0, 50_000).Draw(t, "prop"),
				CLTVDelta: rapid.Uint16Range(0, 200).Draw(t, "delta"), MinMsat: rapid.Uint64Range(0, 400_000).Draw(t, "min"),
			}
			p.MaxMsat = rapid.Uint64Range(p.MinMsat, c.capacity*1000).Draw(t, "max")
			p.Disabled = rapid.IntRange(0, 9).Draw(t, "disabled") == 0
			if roomy {
				p.MinMsat, p.MaxMsat = 0, 1<<40
			}
			c.pol[dir] = p
		}
		chans = append(chans, c)
	}
	r := request(nodes, rapid.Uint64Range(1, 3_000_000).Draw(t, "amount"))
	for i := range rapid.IntRange(1, 4).Draw(t, "locals") {
		l := local(i+1, rapid.IntRange(1, nodes).Draw(t, "peer"), rapid.Uint64Range(0, 4_000_000).Draw(t, "balance"))
		if roomy {
			l.SendMsat = 1 << 40
		}
		r.Local = append(r.Local, l)
	}
	r.MaxFeeMsat = rapid.SampledFrom([]uint64{1 << 40, 10_000, 1000}).Draw(t, "maxfee")
	r.MaxDelay = rapid.SampledFrom([]uint32{0, 300, 100}).Draw(t, "maxdelay")
	r.MaxHops = rapid.SampledFrom([]int{0, 3, 1}).Draw(t, "maxhops")
	r.MaxParts, r.MinPart = rapid.IntRange(1, 5).Draw(t, "parts"), 1000
	if roomy {
		r.MaxFeeMsat, r.MaxDelay, r.MaxHops, r.MaxParts = 1<<40, 1<<20, 0, 1
	}
	return chans, r
}

// simulate forwards all parts hop by hop, as the nodes would.
func simulate(t interface{ Fatalf(string, ...any) }, chans []channel, q *Request, routes []Route) {
	balance := map[Edge]uint64{}
	for _, l := range q.Local {
		balance[Edge{l.SCID, q.Self}] = l.SendMsat
	}
	byID := map[uint64]*channel{}
	for i := range chans {
		byID[scidOf(i)] = &chans[i]
		balance[Edge{scidOf(i), id(chans[i].a)}] = chans[i].capacity * 1000
		balance[Edge{scidOf(i), id(chans[i].b)}] = chans[i].capacity * 1000
	}
	var arrived, fees uint64
	maxHops, maxDelay := q.MaxHops, q.MaxDelay
	if maxHops == 0 {
		maxHops = MaxHops
	}
	if maxDelay == 0 {
		maxDelay = 2016
	}
	for _, r := range routes {
		at := q.Self
		visited := map[ln.NodeID]bool{}
		for i, h := range r.Hops {
			if h.From != at || visited[at] {
				t.Fatalf("hop %d of %+v", i, r)
			}
			visited[at] = true
			e := Edge{h.SCID, h.From}
			if balance[e] < h.AmountMsat {
				t.Fatalf("hop %d of %+v: only %d left", i, r, balance[e])
			}
			balance[e] -= h.AmountMsat
			if i > 0 {
				c, in := byID[h.SCID], r.Hops[i-1]
				dir := 0
				if id(c.a) != h.From {
					dir = 1
				}
				if id(c.a) != h.From && id(c.b) != h.From || id(c.a) != h.To && id(c.b) != h.To {
					t.Fatalf("hop %d of %+v: wrong channel", i, r)
				}
				p := c.pol[dir]
				fee := uint64(p.BaseMsat) + h.AmountMsat*uint64(p.PropMillionths)/1_000_000
				if p.Timestamp == 0 || p.Disabled || h.AmountMsat < p.MinMsat || h.AmountMsat > p.MaxMsat ||
					in.AmountMsat != h.AmountMsat+fee || in.Expiry != h.Expiry+uint32(p.CLTVDelta) {
					t.Fatalf("hop %d of %+v breaks its policy %+v", i, r, p)
				}
			}
			at = h.To
		}
		last := r.Hops[len(r.Hops)-1]
		if at != q.Target || last.Expiry != q.Height+q.FinalDelta || len(r.Hops) > maxHops || r.Hops[0].Expiry > q.Height+maxDelay {
			t.Fatalf("%+v", r)
		}
		arrived += last.AmountMsat
		fees += r.FeeMsat
		if r.FeeMsat != r.Hops[0].AmountMsat-last.AmountMsat {
			t.Fatalf("fee of %+v", r)
		}
	}
	if arrived != q.AmountMsat || fees > q.MaxFeeMsat || len(routes) > q.MaxParts {
		t.Fatalf("%d of %d arrived in %d parts for %d", arrived, q.AmountMsat, len(routes), fees)
	}
}

func TestRoutesAreValid(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		chans, q := world(t, false)
		order := rapid.Permutation(inOrder(len(chans))).Draw(t, "order")
		var mem *Memory
		if rapid.Bool().Draw(t, "memory") {
			mem = NewMemory(MemoryConfig{})
			for range 5 {
				i := rapid.IntRange(0, len(chans)-1).Draw(t, "failed")
				mem.Failed(Edge{scidOf(i), id(chans[i].a)}, rapid.Uint64Range(1, 1_000_000).Draw(t, "at"), now)
			}
		}
		var f, other Finder
		g := build(t0, chans, inOrder(len(chans)))
		routes, err := f.Find(g, mem, q, now)
		// The same question has the same answer, whatever the history of the graph and the finder.
		again, err2 := other.Find(build(t0, chans, order), mem, q, now)
		once, err3 := f.Find(g, mem, q, now)
		if !reflect.DeepEqual(routes, again) || !reflect.DeepEqual(routes, once) || (err == nil) != (err2 == nil) || (err == nil) != (err3 == nil) {
			t.Fatalf("%+v %v\n%+v %v\n%+v %v", routes, err, again, err2, once, err3)
		}
		if err == nil {
			found++
			simulate(t, chans, q, routes)
		}
	})
	if found < 10 {
		t.Fatal("the worlds drawn have no routes", found)
	}
}

var t0 = new(testing.T)

// brute goes over all simple routes and returns the least fee, delay and hops.
func brute(chans []channel, q *Request) (fee uint64, delay uint32, hops int, found bool) {
	var walk func(at ln.NodeID, amount uint64, locked uint32, n int, seen map[ln.NodeID]bool)
	walk = func(at ln.NodeID, amount uint64, locked uint32, n int, seen map[ln.NodeID]bool) {
		for _, l := range q.Local {
			if l.Peer == at {
				f := amount - q.AmountMsat
				if !found {
					fee, delay, hops, found = f, locked, n+1, true
				}
				fee, delay, hops = min(fee, f), min(delay, locked), min(hops, n+1)
			}
		}
		for _, c := range chans {
			for dir, p := range c.pol {
				from, to := id(c.a), id(c.b)
				if dir == 1 {
					from, to = to, from
				}
				if to != at || seen[from] || p.Timestamp == 0 || p.Disabled {
					continue
				}
				seen[from] = true
				cost := uint64(p.BaseMsat) + amount*uint64(p.PropMillionths)/1_000_000
				walk(from, amount+cost, locked+uint32(p.CLTVDelta), n+1, seen)
				delete(seen, from)
			}
		}
	}
	walk(q.Target, q.AmountMsat, q.FinalDelta, 0, map[ln.NodeID]bool{q.Target: true, q.Self: true})
	return fee, delay, hops, found
}

func TestOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chans, r := world(t, true)
		q, err := r.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		g := build(t0, chans, inOrder(len(chans)))
		fee, delay, hops, found := brute(chans, &q)
		v := newView(g, &q)
		s := &search{Finder: new(Finder), v: v, q: &q, self: v.index(q.Self), target: v.index(q.Target), used: map[Edge]uint64{}}
		for _, x := range []struct {
			goal goal
			ok   func(*Route) bool
		}{
			{byFee, func(r *Route) bool { return r.FeeMsat == fee }},
			{byDelay, func(r *Route) bool { return r.Hops[0].Expiry-q.Height == delay }},
			{byHops, func(r *Route) bool { return len(r.Hops) == hops }},
		} {
			s.goal = x.goal
			got := s.run(q.AmountMsat)
			if (got != nil) != found || found && !x.ok(got) {
				t.Fatalf("goal %d: %+v, want fee %d, delay %d, hops %d, %v", x.goal, got, fee, delay, hops, found)
			}
		}
		// What the least fee allows is found.
		r.MaxFeeMsat = fee
		if _, err := new(Finder).Find(g, nil, r, now); (err == nil) != found {
			t.Fatal(err, found)
		}
	})
}

// network is a random one of the size asked for, with hubs as the real one has.
func network(b testing.TB, nodes, channels int) *graph.Graph {
	rng := rand.New(rand.NewPCG(1, 2))
	var chans []channel
	for len(chans) < channels {
		x, y := 1+int(float64(nodes-1)*rng.Float64()*rng.Float64()*rng.Float64()), 1+rng.IntN(nodes-1)
		if x == y {
			continue
		}
		c := channel{a: min(x, y), b: max(x, y), capacity: 1_000_000 + rng.Uint64N(10_000_000)}
		for d := range c.pol {
			c.pol[d] = pol(uint32(rng.IntN(2000)), uint32(rng.IntN(1000)), uint16(20+rng.IntN(100)))
		}
		chans = append(chans, c)
	}
	return build(b, chans, inOrder(len(chans)))
}

func BenchmarkFind(b *testing.B) {
	const nodes, channels = 10_000, 60_000
	g := network(b, nodes, channels)
	for name, mem := range map[string]*Memory{"plain": nil, "memory": NewMemory(MemoryConfig{})} {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(3, 4))
			var f Finder
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				q := request(1+rng.IntN(nodes-1), 50_000_000, local(1, 5, 1e9), local(2, 700, 1e9), local(3, 9000, 1e9))
				if _, err := f.Find(g, mem, q, now); err == nil {
					found++
				}
			}
			b.ReportMetric(100*float64(found)/float64(b.N), "%found")
		})
	}
}
