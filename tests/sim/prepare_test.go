package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// prepared is a world at rest, from which others are cloned.
type prepared struct {
	chain   *regtest.Snapshot
	stores  []*memstore.Store // of the nodes
	indexes []wallet.Indexes
	seen    []map[string]messages.UserEvent
	channel ln.ChannelID  // zero if there is none, or more than one
	held    [][]*held     // commitments that there were
	txs     []*wire.MsgTx // of its blocks

	payments []payment // under way
	links    [][2]int  // of nodes that connect: the first dials
	gossip   bool      // graphs are kept by gossip
	graphs   [][]byte  // their caches
	traffic  []traffic // of the nodes
	at       time.Time // when worlds that are cloned from it begin
}

func (p *prepared) size() int { return len(p.stores) }

// trafficOf is what is known of a node's HTLCs.
func (p *prepared) trafficOf(i int) traffic {
	if p.traffic == nil {
		return newTraffic()
	}
	return p.traffic[i].clone()
}

// graph is a node's cache of the channel graph.
func (p *prepared) graph(i int) []byte {
	if p.graphs == nil {
		return nil
	}
	return p.graphs[i]
}

const (
	capacitySat = 1_000_000
	pushMsat    = 400_000_000
	feePerKw    = 1_000
)

// selfDelays are the blocks that each node asks its peer to wait for its own money. They are short, because blocks cost time.
var selfDelays = [...]uint16{9, 7, 8, 6, 9, 7}

// funded are two nodes without a channel; both have coins.
var funded = sync.OnceValue(func() *prepared { return fund(2, [][2]int{{0, 1}}) })

// fund makes nodes that have coins, and connect as the links say: the first of two dials.
func fund(nodes int, links [][2]int) *prepared {
	chain, err := regtest.New("")
	if err != nil {
		panic(err)
	}
	p := &prepared{links: links, at: begin}
	for _, who := range identities[:nodes] {
		hd, err := wallet.New(wallet.Config{Params: regtest.Params(), Keys: who.root, Lookahead: 3})
		if err != nil {
			panic(err)
		}
		for range 3 {
			script, err := hd.NewScript()
			if err != nil {
				panic(err)
			}
			if _, err := chain.Fund(script, 5_000_000); err != nil {
				panic(err)
			}
		}
		p.indexes = append(p.indexes, hd.Indexes())
		p.stores = append(p.stores, memstore.New())
		p.seen, p.held = append(p.seen, nil), append(p.held, nil)
	}
	if _, err := chain.Mine(1); err != nil {
		panic(err)
	}
	if p.chain, err = chain.Snapshot(); err != nil {
		panic(err)
	}
	return p
}

// opened are two nodes with a channel that both can pay over.
var opened = sync.OnceValue(func() *prepared {
	w := newWorld(0, funded(), plan{snapshotEvery: 32})
	defer w.close()
	o := w.openChannel(0)
	if !w.until(func() bool { return o.done }, time.Minute) || o.err != nil {
		panic(fmt.Sprintf("open: %v\n%s\n%s", o.err, w.report(), w.sim))
	}
	w.mine(6)
	ready := func() bool { return w.usable(o.id) && w.quiet() == "" }
	if !w.until(ready, patience) {
		panic(fmt.Sprintf("the prepared channel does not get ready: %s\n%s\n%s", w.quiet(), w.report(), w.sim))
	}
	w.pass(time.Second)
	if r := w.report(); r != "" {
		panic(r + "\n" + w.sim.String())
	}
	return w.freeze(o.id)
})

// freeze makes a prepared world of this one.
func (w *world) freeze(id ln.ChannelID) *prepared {
	snap, err := w.chain.Snapshot()
	if err != nil {
		panic(err)
	}
	p := &prepared{chain: snap, channel: id, held: w.held, links: w.links, gossip: w.gossip, at: begin}
	for h := int32(regtest.PreparedHeight + 1); h <= w.chain.Height(); h++ {
		block, err := w.chain.Block(h)
		if err != nil {
			panic(err)
		}
		p.txs = append(p.txs, block.Transactions[1:]...)
	}
	for _, x := range w.payments {
		p.payments = append(p.payments, *x)
	}
	for _, n := range w.nodes {
		p.stores = append(p.stores, n.store.Crash(rand.New(rand.NewPCG(1, 1))))
		p.traffic = append(p.traffic, n.traffic.clone())
		p.indexes, p.seen, p.graphs = append(p.indexes, n.indexes), append(p.seen, maps.Clone(n.user.seen)), append(p.graphs, n.graph)
	}
	return p
}

// open is a channel that is being opened.
type open struct {
	done bool
	id   ln.ChannelID
	err  error
}

// openChannel asks a node to open a channel with the other one, in a world of two.
func (w *world) openChannel(from int) *open {
	return w.openTo(from, 1-from, terms{capacitySat: capacitySat, pushMsat: pushMsat})
}

// terms of a channel.
type terms struct {
	capacitySat uint64
	pushMsat    uint64
	announce    bool
}

// openTo asks a node to open a channel with another one, and again until it is connected.
func (w *world) openTo(from, to int, t terms) *open {
	o := &open{}
	w.opens++
	number, tries := w.opens, 0
	var ask func()
	ask = func() {
		tries++
		probe := w.sim.Probe(fmt.Sprintf("open/%d/%d", number, tries))
		probe.On = func(msg any) {
			if r, ok := msg.(messages.OpenReply); ok && !o.done {
				o.done, o.id, o.err = true, r.Channel, r.Err
				if r.Err != nil {
					o.done = false
				}
			}
		}
		probe.Send(w.nodes[from].name, messages.ManagerAddr, messages.RequestOpen{
			Peer: w.nodes[to].id, CapacitySat: t.capacitySat, PushMsat: t.pushMsat, Announce: t.announce, FeePerKw: feePerKw, FundingFeePerKw: feePerKw,
			ReplyTo: probe.Addr(),
		})
		w.sim.After(time.Second, "ask to open again", func() {
			if !o.done {
				ask()
			}
		})
	}
	w.sim.After(50*time.Millisecond, "open", ask)
	return o
}

func (w *world) mine(n int) {
	if _, err := w.chain.Mine(n); err != nil {
		w.wrong("mine: %v", err)
	}
}

// usable tells whether a channel can carry payments, as far as the stores say.
func (w *world) usable(id ln.ChannelID) bool {
	sides := 0
	for _, n := range w.nodes {
		if c := n.shadow.channels[id]; c != nil && c.facts.Open() {
			sides++
		}
	}
	return sides == 2
}
