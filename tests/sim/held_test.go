package sim

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// held is a commitment that its owner could broadcast at some time: durable, with the other side's signatures. All of them are kept, so that what
// confirms can be told from what it says, and an adversary has something to choose from.
type held struct {
	owner    int
	channel  ln.ChannelID
	static   *facts.Static
	tx       *commitment.Tx
	sig      lnwire.Sig
	htlcSigs []lnwire.Sig
	final    *wire.MsgTx // nil until it is asked for
}

// hold notes the durable holder commitment of a node's channel, if it is new.
func (w *world) hold(n *node, c *shadowChannel) {
	f := c.facts
	if w.gossip && !w.plan.forceCloses {
		return // a network whose channels stay open: nobody asks for them
	}
	if last, ok := n.lastHeld[f.ID]; f.WasSpent || ok && last == f.HolderNumber {
		return
	}
	n.lastHeld[f.ID] = f.HolderNumber
	point, err := n.signer.PerCommitmentPoint(f.KeyIndex, f.HolderNumber)
	if err != nil {
		panic(err)
	}
	view, err := f.View(facts.Holder, point)
	if err != nil {
		panic(err)
	}
	if view.Keys, err = commitmentKeys(&f.Tx, true, point); err != nil {
		panic(err)
	}
	tx, err := commitment.Build(&f.Tx, view)
	if err != nil {
		w.wrong("%s: holder commitment %d can't be built: %v", n.name, f.HolderNumber, err)
		return
	}
	if w.commitments[tx.Txid] != nil {
		return
	}
	h := &held{owner: n.index, channel: f.ID, static: f.Static, tx: tx, sig: f.HolderSig, htlcSigs: append([]lnwire.Sig(nil), f.HolderHTLCSigs...)}
	w.held[n.index] = append(w.held[n.index], h)
	w.commitments[tx.Txid] = h
}

// holdAll notes the commitments of all channels at the start of a life.
func (n *node) holdAll() {
	for _, id := range n.shadow.order {
		n.w.hold(n, n.shadow.channels[id])
	}
}

// signed is the commitment as it can be broadcast.
func (h *held) signed() *wire.MsgTx {
	if h.final == nil {
		sig, err := identities[h.owner].signer.SignHolder(h.static.KeyIndex, &h.static.Tx, h.tx)
		if err != nil {
			panic(err)
		}
		if h.final, err = h.tx.Complete(sig, h.sig); err != nil {
			panic(err)
		}
	}
	return h.final
}

// output is the place of an HTLC that a node offered in a commitment, false if it has no output there.
func (h *held) output(offeredBy int, id uint64) (wire.OutPoint, bool) {
	for i := range h.tx.HTLCs {
		x := &h.tx.HTLCs[i]
		if x.ID == id && x.Offered == (offeredBy == h.owner) {
			return wire.OutPoint{Hash: h.tx.Txid, Index: x.OutputIndex}, true
		}
	}
	return wire.OutPoint{}, false
}

func (h *held) outpoint(index uint32) wire.OutPoint {
	return wire.OutPoint{Hash: h.tx.Txid, Index: index}
}

// secondStage is the HTLC transaction of output i, signed by both, with inputs and outputs added that pay for it: HTLC-success if there is a
// preimage, HTLC-timeout otherwise.
func (h *held) secondStage(i int, preimage *ln.Preimage, more func(*wire.MsgTx)) *wire.MsgTx {
	who := identities[h.owner]
	spend := h.tx.HTLCs[i].Tx.Copy()
	if more != nil {
		more(spend)
	}
	sig, err := who.signer.SignHolderHTLC(h.static.KeyIndex, &h.static.Tx, h.tx, i, spend)
	if err != nil {
		panic(err)
	}
	var p *[32]byte
	if preimage != nil {
		p = (*[32]byte)(preimage)
	}
	tx, err := h.tx.CompleteHTLC(i, spend, sig, h.htlcSigs[i], p)
	if err != nil {
		panic(err)
	}
	return tx
}

// spend is a transaction of a node's that takes one output of a channel with its own keys alone, to a script.
func spendOutput(who *identity, keyIndex uint32, s *chankeys.Spend, from wire.OutPoint, sequence, lockTime uint32, fee int64, to []byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.LockTime = lockTime
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: from, Sequence: sequence})
	tx.AddTxOut(wire.NewTxOut(int64(s.Value)-fee, to))
	witness, err := who.signer.SignSpend(keyIndex, s, tx, 0)
	if err != nil {
		panic(err)
	}
	tx.TxIn[0].Witness = witness
	return tx
}

// closed is the commitment that the chain holds, nil if there is none; txid and height are of whatever spends the funding output.
func (w *world) closed(funding wire.OutPoint) (h *held, txid chainhash.Hash, height int32) {
	txid, ok := w.chain.Spender(funding)
	if !ok {
		return nil, txid, 0
	}
	return w.commitments[txid], txid, w.chain.Height() - w.chain.Confirmations(txid) + 1
}
