package facts

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

func msat(v uint64) lnwire.MilliSatoshi { return lnwire.MilliSatoshi(v) }

// Balances returns what each side owns in a commitment with all HTLCs taken off, before fee and anchors, in msat.
func (c *Channel) Balances(w Which) (holder, counterparty uint64) {
	holder, counterparty = c.HolderMsat, c.CounterpartyMsat
	apply := func(m map[uint64]*HTLC, from, to *uint64) {
		for _, h := range m {
			p := presences[h.State][w]
			if p == before {
				continue
			}
			*from -= h.AmountMsat
			if p != after {
				continue
			}
			if h.Resolution.Fulfilled() {
				*to += h.AmountMsat
			} else {
				*from += h.AmountMsat
			}
		}
	}
	apply(c.Outbound, &holder, &counterparty)
	apply(c.Inbound, &counterparty, &holder)
	return holder, counterparty
}

// Fee returns the fee rate of a commitment.
func (c *Channel) Fee(w Which) uint32 {
	fee := c.FeePerKw
	for _, f := range c.FeeUpdates {
		if f.State.Added(w) {
			fee = f.FeePerKw
		}
	}
	return fee
}

// View describes one of the commitments as its owner sees it. The per-commitment point is needed for the holder's only (of HolderNumber).
func (c *Channel) View(w Which, holderPoint *btcec.PublicKey) (*commitment.View, error) {
	holder, counterparty := c.Balances(w)
	v := &commitment.View{
		OwnerIsHolder: w == Holder,
		FeePerKw:      chainfee.SatPerKWeight(c.Fee(w)),
		HTLCs:         make([]commitment.HTLC, 0, len(c.Outbound)+len(c.Inbound)),
	}
	add := func(m map[uint64]*HTLC, offered bool) {
		for _, h := range Sorted(m) {
			if h.State.In(w) {
				v.HTLCs = append(v.HTLCs, commitment.HTLC{
					ID: h.ID, Offered: offered, Amount: msat(h.AmountMsat), Hash: h.Hash, CLTVExpiry: h.CLTVExpiry,
				})
			}
		}
	}
	add(c.Outbound, v.OwnerIsHolder)
	add(c.Inbound, !v.OwnerIsHolder)

	if w == Holder {
		v.Number, v.PerCommitmentPoint = c.HolderNumber, holderPoint
		v.OwnerMsat, v.OtherMsat = msat(holder), msat(counterparty)
		return v, nil
	}
	v.OwnerMsat, v.OtherMsat = msat(counterparty), msat(holder)
	v.Number = c.CounterpartyNumber
	raw := c.CounterpartyPoint
	if w == CounterpartyNext && c.Unrevoked {
		v.Number++
		raw = c.CounterpartyNextPoint
	}
	p, err := btcec.ParsePubKey(raw[:])
	if err != nil {
		return nil, fmt.Errorf("per-commitment point of the counterparty's commitment %d: %w", v.Number, err)
	}
	v.PerCommitmentPoint = p
	return v, nil
}
