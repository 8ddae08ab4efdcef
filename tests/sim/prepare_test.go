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
	stores  [2]*memstore.Store
	indexes [2]wallet.Indexes
	seen    [2]map[string]messages.UserEvent
	channel ln.ChannelID  // zero if there is none
	held    [2][]*held    // commitments that there were
	txs     []*wire.MsgTx // of its blocks

	payments []payment // under way
}

const (
	capacitySat = 1_000_000
	pushMsat    = 400_000_000
	feePerKw    = 1_000
)

// selfDelays are the blocks that each node asks its peer to wait for its own money. They are short, because blocks cost time.
var selfDelays = [2]uint16{9, 7}

// funded are two nodes without a channel; both have coins.
var funded = sync.OnceValue(func() *prepared {
	chain, err := regtest.New("")
	if err != nil {
		panic(err)
	}
	var indexes [2]wallet.Indexes
	for i, who := range identities {
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
		indexes[i] = hd.Indexes()
	}
	if _, err := chain.Mine(1); err != nil {
		panic(err)
	}
	snap, err := chain.Snapshot()
	if err != nil {
		panic(err)
	}
	return &prepared{chain: snap, stores: [2]*memstore.Store{memstore.New(), memstore.New()}, indexes: indexes}
})

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
	p := &prepared{chain: snap, channel: id, held: w.held}
	for h := int32(regtest.PreparedHeight + 1); h <= w.chain.Height(); h++ {
		block, err := w.chain.Block(h)
		if err != nil {
			panic(err)
		}
		p.txs = append(p.txs, block.Transactions[1:]...)
	}
	for i, n := range w.nodes {
		p.stores[i], p.indexes[i], p.seen[i] = n.store.Crash(rand.New(rand.NewPCG(1, 1))), n.indexes, maps.Clone(n.user.seen)
	}
	return p
}

// open is a channel that is being opened.
type open struct {
	done bool
	id   ln.ChannelID
	err  error
}

// openChannel asks a node to open a channel with the other one, and again until it is connected.
func (w *world) openChannel(from int) *open {
	o := &open{}
	tries := 0
	var ask func()
	ask = func() {
		tries++
		probe := w.sim.Probe(fmt.Sprintf("open/%d/%d", from, tries))
		probe.On = func(msg any) {
			if r, ok := msg.(messages.OpenReply); ok && !o.done {
				o.done, o.id, o.err = true, r.Channel, r.Err
				if r.Err != nil {
					o.done = false
				}
			}
		}
		probe.Send(w.nodes[from].name, messages.ManagerAddr, messages.RequestOpen{
			Peer: w.nodes[1-from].id, CapacitySat: capacitySat, PushMsat: pushMsat, FeePerKw: feePerKw, FundingFeePerKw: feePerKw,
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
	for _, n := range w.nodes {
		if c := n.shadow.channels[id]; c == nil || !c.facts.Open() {
			return false
		}
	}
	return true
}
