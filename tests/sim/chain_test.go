package sim

import (
	"context"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/commitment"
)

// source is the chain as a node sees it, with a guard on what it broadcasts.
type source struct {
	*regtest.Source
	node *node
}

func (s *source) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	s.node.broadcasts(tx)
	return s.Source.Broadcast(ctx, tx)
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
	n.w.guard("rule 3: %s broadcasts %s, which belongs to no durable channel", n.name, txid)
}

func (n *node) closes(id string, _ *wire.MsgTx) {
	if !n.w.closing && !n.w.plan.forceCloses {
		n.w.wrong("L7: %s closes %s", n.name, id)
	}
}
