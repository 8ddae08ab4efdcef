package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
)

// chainSide is what a world knows about its chain.
type chainSide struct {
	startHeight int32
	old         []*wire.MsgTx // that were in the chain then
	held        [][]*held     // commitments that were durable at their owner, by owner, oldest first
	commitments map[chainhash.Hash]*held
	depth       map[chainhash.Hash]int32 // of a transaction: most confirmations that it had at the end of a step of the world
	deepened    int32                    // height of the chain then
	split       bool                     // nobody connects any more
	delta       uint32                   // of invoices; 0: the default
	how         string                   // the channel ends
	oldest      uint64                   // of bob's commitments that is not revoked
	thief       *thief
	funding     wire.OutPoint         // of the prepared channel
	fundings    []wire.OutPoint       // of all prepared channels
	chainEnds   map[ln.ChannelID]bool // channels that are to end in this world
	began       []int64               // msat of each node in it
	seenBefore  []map[string]bool     // events that were handled in the prepared world
}

func newChainSide(c *regtest.Chain, from *prepared) chainSide {
	s := chainSide{
		startHeight: c.Height(), deepened: c.Height(), old: from.txs, held: make([][]*held, from.size()), began: make([]int64, from.size()),
		seenBefore: make([]map[string]bool, from.size()), commitments: map[chainhash.Hash]*held{}, depth: map[chainhash.Hash]int32{}, chainEnds: map[ln.ChannelID]bool{},
	}
	for i, list := range from.held {
		s.held[i] = slices.Clone(list)
		for _, h := range list {
			s.commitments[h.tx.Txid] = h
		}
	}
	for i := range s.seenBefore {
		s.seenBefore[i] = map[string]bool{}
		for id := range from.seen[i] {
			s.seenBefore[i][id] = true
		}
	}
	return s
}

// noteChannel takes down how the prepared channels began.
func (w *world) noteChannel() {
	for i, n := range w.nodes {
		for _, id := range n.shadow.order {
			f := n.shadow.channels[id].facts
			if w.funding = f.Tx.Funding; !slices.Contains(w.fundings, w.funding) {
				w.fundings = append(w.fundings, w.funding)
			}
			w.began[i] += int64(f.HolderMsat)
		}
	}
}

func (w *world) finalDelta() uint32 {
	if w.delta == 0 {
		return invoice.DefaultMinFinalCLTVDelta
	}
	return w.delta
}

// adversaryScript is paid with a witness of adversaryWitness alone.
var adversaryWitness = []byte{txscript.OP_1, txscript.OP_DROP, txscript.OP_TRUE}

var adversaryScript = func() []byte {
	sum := sha256.Sum256(adversaryWitness)
	return append([]byte{txscript.OP_0, txscript.OP_DATA_32}, sum[:]...)
}()

// source is the chain as a node sees it, with a guard on what it broadcasts and fee rates that differ from block to block.
type source struct {
	*regtest.Source
	node *node
}

func (s *source) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	s.node.broadcasts(tx)
	return s.Source.Broadcast(ctx, tx)
}

// FeeRate is what a block asks for: up to three times as much in one as in another.
func (s *source) FeeRate(_ context.Context, blocks int32) (chain.FeePerKW, error) {
	w := s.node.w
	mix := sha256.Sum256([]byte{byte(w.seed), byte(w.seed >> 8), byte(w.chain.Height() / 3)})
	rate := 300 + 3*int64(mix[0])
	return chain.FeePerKW(rate + rate*3/int64(max(blocks, 1))), nil
}

// broadcasts checks a transaction that leaves the node.
func (n *node) broadcasts(tx *wire.MsgTx) {
	n.w.broadcast++
	txid := tx.TxHash()
	for _, id := range n.shadow.order {
		f := n.shadow.channels[id].facts
		if txid == f.Tx.Funding.Hash {
			return // durable before it is broadcast (rule 3)
		}
		for _, in := range tx.TxIn {
			if in.PreviousOutPoint != f.Tx.Funding {
				continue
			}
			n.closes(id.String(), tx)
			if f.MutualClose != nil && f.MutualClose.TxHash() == txid {
				return
			}
			if n.spenders[txid] || f.WasSpent && n.w.wasDeep(txid, 1) {
				return // it closed the channel and left the chain: whoever made it, it is public. A snapshot may hide the record that names it.
			}
			n.doubts(f, "broadcasts a commitment")
			number, err := commitment.NumberOf(tx, &f.Tx)
			switch {
			case err != nil:
				n.w.guard("rule 17: %s broadcasts a close that is not durable: %v", n.name, err)
			case f.ForceClose == nil:
				n.w.guard("rule 18: %s broadcasts commitment %d before the decision is durable", n.name, number)
			case number != f.HolderNumber || number < n.revoked[id]:
				n.w.guard("S12: %s broadcasts commitment %d, the current one is %d, revoked are those below %d", n.name, number, f.HolderNumber, n.revoked[id])
			}
			return
		}
	}
	if n.claims[txid] {
		return
	}
	for _, in := range tx.TxIn {
		if n.spendable[in.PreviousOutPoint] {
			return // a sweep of what the wallet was given: it rests on no record of its own
		}
	}
	n.w.guard("rule 22: %s broadcasts %s, which is no durable claim, and belongs to no durable channel (rule 3)", n.name, txid)
}

func (n *node) closes(id string, _ *wire.MsgTx) {
	if !n.w.closing && !n.w.plan.forceCloses {
		n.w.wrong("L7: %s closes %s", n.name, id)
	}
}

// noteChain takes over what a log restores.
func (n *node) noteChain(f *facts.Channel) {
	for _, c := range f.OnChain.Claims {
		n.claims[c.Tx.TxHash()] = true
	}
	for op := range f.OnChain.Spendable {
		n.spendable[op] = true
	}
	if f.Spent != nil {
		n.spenders[f.Spent.Txid] = true
	}
}

// ending guards what a monitor records about the end of an HTLC: final is only what is six blocks deep (rule 12, S16).
func (w *world) ending(n *node, c *shadowChannel, outbound bool, id uint64) {
	if c.facts.Spent == nil {
		return
	}
	what := "inbound"
	if outbound {
		if h := c.facts.Outbound[id]; h != nil && h.Preimage != nil {
			return // claimed: final however the money got there
		}
		what = "outbound"
	}
	txid := c.facts.Spent.Txid
	if !w.wasDeep(txid, 6) {
		w.guard("S16: %s: %s HTLC %d ended when the commitment had %d confirmations", n.name, what, id, w.depth[txid])
		return
	}
	h := w.commitments[txid]
	if h == nil {
		return
	}
	if n.restore != nil && h.owner != n.index && h.tx.Number > c.facts.CounterpartyNumber {
		return // newer than its backup, which does not tell what the outputs are
	}
	by := n
	if !outbound {
		by = w.nodeOf(c.facts.Peer)
	}
	op, there := h.output(by.index, id)
	if !there {
		return
	}
	list := c.facts.Inbound
	if outbound {
		list = c.facts.Outbound
	}
	spender, spent := w.chain.Spender(op)
	if x := list[id]; !spent && x != nil && h.tx.Tx.TxOut[op.Index].Value < 1000 && w.chain.Height() >= int32(x.CLTVExpiry)+abandonBlocks {
		return // worth its claim to nobody, so it was given up
	}
	if !spent || !w.wasDeep(spender, 6) {
		w.guard("S16: %s: %s HTLC %d ended when the spend of its output %v had %d confirmations", n.name, what, id, op, w.depth[spender])
	}
}

// abandonBlocks after its expiry an HTLC that nobody takes is not waited for any longer.
const abandonBlocks = 100

// leftBehind counts the inbound HTLCs that the counterparty could have back for a long time and does not take, and that are not ours without their
// preimages.
func (w *world) leftBehind(n *node, c *shadowChannel) (count int) {
	if c.facts.Spent == nil {
		return 0
	}
	h := w.commitments[c.facts.Spent.Txid]
	if h == nil {
		return 0
	}
	for _, x := range c.facts.Inbound {
		op, there := h.output(w.nodeOf(c.facts.Peer).index, x.ID)
		if _, spent := w.chain.Spender(op); there && !spent && x.Fate == facts.FateOpen && x.Preimage == nil && w.chain.Height() >= int32(x.CLTVExpiry)+abandonBlocks {
			count++
		}
	}
	return count
}

// endings is ending for what a snapshot changed.
func (w *world) endings(n *node, before *facts.Channel, c *shadowChannel) {
	if before == nil {
		return
	}
	for _, h := range facts.Sorted(c.facts.Outbound) {
		if old := before.Outbound[h.ID]; h.Fate != facts.FateOpen && (old == nil || old.Fate == facts.FateOpen) {
			w.ending(n, c, true, h.ID)
		}
	}
	for _, h := range facts.Sorted(c.facts.Inbound) {
		if old := before.Inbound[h.ID]; h.Fate != facts.FateOpen && (old == nil || old.Fate == facts.FateOpen) {
			w.ending(n, c, false, h.ID)
		}
	}
}

// strayError is an error that the node's peer gets from it once.
func (n *node) strayError(to ln.NodeID) []byte {
	if !n.errs || len(n.shadow.order) == 0 {
		return nil
	}
	id := n.errsAbout
	if id == (ln.ChannelID{}) {
		id = n.shadow.order[0]
	}
	if c := n.shadow.channels[id]; c != nil && c.facts.Peer != to {
		return nil
	}
	n.errs = false
	var b bytes.Buffer
	if _, err := lnwire.WriteMessage(&b, &lnwire.Error{ChanID: lnwire.ChannelID(id), Data: []byte("stray")}, 0); err != nil {
		panic(err)
	}
	return b.Bytes()
}
