package sim

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// A raw payment is one that the payer's manager has no record of: its HTLC is handed to a channel, over a route that the test chose. It is known by
// what the monitor tells alone, as if all records had been lost right after it left (S18). It also takes ways that no payer would.

// sendRaw sends a payment over a random route.
func (w *world) sendRaw(p *payment, r *rand.Rand) {
	p.raw = true
	path := w.randomPath(p.from, p.to, r)
	if path == nil || !w.sim.Alive(p.from.name) {
		return
	}
	add := w.rawHTLC(p, path)
	p.msg.MaxFeeMsat = add.AmountMsat - p.msg.AmountMsat
	p.from.env.Tell(messages.ChannelAddr(path[0].channel), add)
}

// leg is a channel on the way from a node.
type leg struct {
	from, to *node
	channel  ln.ChannelID
}

// randomPath is a way without circles, nil if there is none.
func (w *world) randomPath(from, to *node, r *rand.Rand) []leg {
	visited := map[*node]bool{}
	var walk func(at *node) []leg
	walk = func(at *node) []leg {
		if at == to {
			return []leg{}
		}
		visited[at] = true
		for _, i := range r.Perm(len(at.shadow.order)) {
			id := at.shadow.order[i]
			f := at.shadow.channels[id].facts
			next := w.nodeOf(f.Peer)
			if visited[next] || !f.Open() || f.Funding == nil {
				continue
			}
			if rest := walk(next); rest != nil {
				return append([]leg{{at, next, id}}, rest...)
			}
		}
		return nil
	}
	return walk(from)
}

// rawHTLC is the payer's only HTLC.
func (w *world) rawHTLC(p *payment, path []leg) messages.AddHTLC {
	return w.rawPart(p, path, 0, p.msg.AmountMsat)
}

// rawPart is one of the payer's HTLCs.
func (w *world) rawPart(p *payment, path []leg, part, amount uint64) messages.AddHTLC {
	m := p.msg
	expiry := uint32(w.chain.Height()) + m.MinFinalCLTVDelta + 3
	payee, err := btcec.ParsePubKey(m.Payee[:])
	if err != nil {
		panic(err)
	}
	last := onion.Hop{PubKey: payee, AmountMsat: amount, CLTVExpiry: expiry, PaymentSecret: m.Secret, TotalMsat: m.AmountMsat, Keysend: m.Keysend}
	hops := []onion.Hop{last}
	for i := len(path) - 1; i > 0; i-- {
		via := path[i]
		hops = append(hops, onion.Hop{PubKey: via.from.key.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, NextSCID: via.scid()})
		policy := via.from.policy()
		amount += uint64(policy.BaseMsat) + amount*uint64(policy.PropMillionths)/1_000_000
		expiry += uint32(policy.CLTVDelta)
	}
	slices.Reverse(hops)
	secret := sha256.Sum256(fmt.Appendf(nil, "raw %d %s %d", w.seed, m.PaymentID, part))
	session, _ := btcec.PrivKeyFromBytes(secret[:])
	packet, err := onion.Build(session, hops, m.Hash)
	if err != nil {
		panic(err)
	}
	src := &ln.PaymentSource{PaymentID: m.PaymentID, PartID: part, SessionKey: secret, TotalMsat: m.AmountMsat}
	for _, l := range path {
		src.Path = append(src.Path, l.to.id)
	}
	return messages.AddHTLC{
		Fence: p.from.fences[path[0].channel], AmountMsat: amount, Hash: m.Hash, CLTVExpiry: expiry, Onion: packet[:], Source: ln.Source{Payment: src},
	}
}

// scid names a channel in an onion: its place in the chain, or the alias that its far node gave if it is private.
func (l leg) scid() uint64 {
	f := l.from.shadow.channels[l.channel].facts
	if !f.Announce {
		return f.Alias
	}
	return uint64(f.Funding.Height)<<40 | uint64(f.Funding.TxIndex)<<16 | uint64(f.Tx.Funding.Index)
}
