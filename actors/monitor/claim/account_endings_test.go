package claim_test

import (
	"bytes"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// leaf is an output of the channel's transactions at its end: what it was worth and who took it.
type leaf struct {
	what  string
	op    wire.OutPoint
	value int64
	mine  string // whose it is by right, "" for either
	by    string // who spent it, "" for nobody
}

// leaves follows the funding output to its ends. A second stage only passes on what it spends.
func (w *world) leaves() (out []leaf, txs map[chainhash.Hash]string) {
	w.Helper()
	txs = map[chainhash.Hash]string{}
	txid, ok := w.chain.Spender(w.funding)
	if !ok {
		w.Fatalf("the funding output is not spent")
	}
	c := w.find(txid)
	if c == nil {
		return nil, txs
	}
	owner, other := w.side(c.owner), w.side(c.owner).peer
	revoked := !other.behind && c.tx.Number < other.f.CounterpartyNumber
	right := func(name string) string {
		if revoked {
			return other.name
		}
		return name
	}
	end := func(l leaf) {
		if spender, ok := w.chain.Spender(l.op); ok {
			for _, s := range w.sides() {
				if s.made[spender] {
					l.by, txs[spender] = s.name, s.name
				}
			}
			if l.by == "" {
				w.Fatalf("%s %v was spent by a stranger", l.what, l.op)
			}
		}
		out = append(out, l)
	}
	htlcs := map[int]bool{}
	for i := range c.tx.HTLCs {
		h := &c.tx.HTLCs[i]
		htlcs[int(h.OutputIndex)] = true
		op := wire.OutPoint{Hash: txid, Index: h.OutputIndex}
		value := c.tx.Tx.TxOut[h.OutputIndex].Value
		spender, ok := w.chain.Spender(op)
		if ok && owner.made[spender] {
			txs[spender] = owner.name
			tx := w.tx(spender)
			for j, in := range tx.TxIn {
				if in.PreviousOutPoint == op {
					end(leaf{"second stage", wire.OutPoint{Hash: spender, Index: uint32(j)}, tx.TxOut[j].Value, right(owner.name), ""})
					if tx.TxOut[j].Value != value {
						w.Fatalf("a second stage changed the value of %v", op)
					}
				}
			}
			continue
		}
		end(leaf{"htlc", op, value, right(""), ""})
	}
	for i, o := range c.tx.Tx.TxOut {
		op := wire.OutPoint{Hash: txid, Index: uint32(i)}
		switch {
		case htlcs[i]:
		case i == c.tx.ToOwnerIndex:
			end(leaf{"to_local", op, o.Value, right(owner.name), ""})
		case i == c.tx.ToOtherIndex:
			end(leaf{"to_remote", op, o.Value, other.name, ""})
		default:
			end(leaf{"anchor", op, o.Value, "", ""})
		}
	}
	return out, txs
}

func (w *world) side(name string) *side {
	if name == "a" {
		return w.a
	}
	return w.b
}

// account checks value to the satoshi: what a side took out of the channel is in its wallet, but for the fees of its transactions; and nothing that
// is its own was left or taken by the other.
func (w *world) account() {
	w.Helper()
	leaves, txs := w.leaves()
	got, paid := map[string]int64{}, map[string]int64{}
	for _, l := range leaves {
		got[l.by] += l.value
		switch {
		case l.what == "anchor" || l.by == l.mine && l.by != "":
		case l.by == "" && (l.value < 1000 || l.mine != "" && w.side(l.mine).down):
		case l.by != "" && (l.mine == "" || w.side(l.mine).down || w.side(l.mine).behind):
		case w.a.behind || w.b.behind:
		default:
			w.Fatalf("%s of %d sat is of %q, it was spent by %q", l.what, l.value, l.mine, l.by)
		}
	}
	for txid, name := range txs {
		tx := w.tx(txid)
		paid[name] += w.fee(tx)
		if fee := w.fee(tx); fee > 12_000 && !w.stuck {
			w.Fatalf("a transaction of %s pays %d sat", name, fee)
		}
	}
	for _, s := range w.sides() {
		if s.behind {
			continue
		}
		if mutual := w.mutual(s); s.wallet.total()-s.wallet.start != got[s.name]-paid[s.name]+mutual {
			w.Fatalf("%s: took %d sat and paid %d in fees, the wallet has %d more", s.name, got[s.name]+mutual, paid[s.name], s.wallet.total()-s.wallet.start)
		}
	}
	for _, s := range w.sides() {
		if s.down {
			continue
		}
		b := s.balanced()
		if b.Available+b.InHTLCs+b.Awaiting+b.Contested != 0 && !w.deep {
			w.Fatalf("%s: all is over and the balance says %+v", s.name, b)
		}
		anchor := int64(0)
		for _, l := range leaves {
			if l.what == "anchor" && l.by == s.name {
				anchor = l.value
			}
		}
		if want := got[s.name] + w.mutual(s); int64(b.Swept) != want && int64(b.Swept) != want-anchor && !w.deep {
			w.Fatalf("%s: %d sat are in the wallet, the balance says %+v", s.name, want, b)
		}
	}
}

// fee is what a confirmed transaction pays.
func (w *world) fee(tx *wire.MsgTx) (fee int64) {
	for _, in := range tx.TxIn {
		fee += w.tx(in.PreviousOutPoint.Hash).TxOut[in.PreviousOutPoint.Index].Value
	}
	for _, out := range tx.TxOut {
		fee -= out.Value
	}
	return fee
}

// mutual is what a cooperative close paid to the side.
func (w *world) mutual(s *side) (sum int64) {
	txid, _ := w.chain.Spender(w.funding)
	if w.find(txid) != nil {
		return 0
	}
	for _, out := range w.tx(txid).TxOut {
		if bytes.Equal(out.PkScript, s.wallet.script) {
			sum += out.Value
		}
	}
	return sum
}
