package neutrino

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	lib "github.com/lightninglabs/neutrino"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

const (
	// askWithin is how long a peer may take to ask for a transaction that was announced: bitcoind lets two seconds pass.
	askWithin = 5 * time.Second

	// refuseWithin is how long it may take to refuse what it got, if it does not answer a ping sooner.
	refuseWithin = time.Second

	// reorderWithin is how much later than the pong a refusal may come that was sent before it: the library hands messages on in no order.
	reorderWithin = 100 * time.Millisecond
)

// verdict is what came of one peer.
type verdict struct {
	peer   string
	taken  bool            // it asked for the transaction and did not refuse it
	reject *wire.MsgReject // it refused
	gone   bool            // the connection ended
}

// Broadcast implements chain.Source. It returns with the first peer that takes the transaction; the others are served in the background. A peer that
// has taken it before is not waited for: most likely it has it still, and if not it asks for it.
func (s *Source) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	peers := s.peers()
	verdicts := make(chan verdict, len(peers))
	own, txid, waiting, known := tx.Copy(), tx.TxHash(), 0, false
	for _, p := range peers {
		had := s.handed.has(txid, p.ID())
		if !s.spawn(func() { verdicts <- s.offer(p, own, txid) }) {
			return chain.ErrClosed
		}
		known = known || had
		waiting++
	}
	if known {
		return nil
	}
	var all []verdict
	for range waiting {
		select {
		case v := <-verdicts:
			if v.taken {
				return nil
			}
			all = append(all, v)
		case <-ctx.Done():
			return fmt.Errorf("neutrino: broadcast: %w", ctx.Err())
		}
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	return conclude(txid, all)
}

// offer lets a peer have a transaction, and remembers whether it took it.
func (s *Source) offer(p *lib.ServerPeer, tx *wire.MsgTx, txid chainhash.Hash) verdict {
	v := offer(s.life, p, tx, txid)
	switch {
	case v.taken:
		s.handed.add(txid, p.ID())
	case v.reject != nil:
		s.handed.remove(txid, p.ID()) // the next broadcast waits for the reason
	}
	return v
}

// offer announces a transaction to a peer and hands it out.
func offer(ctx context.Context, p *lib.ServerPeer, tx *wire.MsgTx, txid chainhash.Hash) verdict {
	v := verdict{peer: p.Addr()}
	msgs, unsubscribe := p.SubscribeRecvMsg()
	defer unsubscribe()

	inv := wire.NewMsgInv()
	if err := inv.AddInvVect(wire.NewInvVect(wire.InvTypeTx, &txid)); err != nil {
		return v // an empty message takes one
	}
	p.QueueMessage(inv, nil)
	ping := wire.NewMsgPing(rand.Uint64())
	asked := false
	timer := time.NewTimer(askWithin)
	defer timer.Stop()
	for {
		select {
		case msg := <-msgs:
			switch m := msg.(type) {
			case *wire.MsgGetData:
				if slices.ContainsFunc(m.InvList, func(want *wire.InvVect) bool { return want.Hash == txid }) {
					p.QueueMessageWithEncoding(tx, nil, wire.WitnessEncoding)
					p.QueueMessage(ping, nil) // answered when the transaction has been dealt with
					asked = true
					timer.Reset(refuseWithin)
				}
			case *wire.MsgReject:
				if m.Hash == txid {
					v.reject = m
					return v
				}
			case *wire.MsgPong:
				if asked && m.Nonce == ping.Nonce {
					timer.Reset(reorderWithin)
				}
			}
		case <-timer.C:
			v.taken = asked
			return v
		case <-p.OnDisconnect():
			v.gone = true
			return v
		case <-ctx.Done():
			v.gone = true
			return v
		}
	}
}

// conclude says what came of a transaction that no peer took.
func conclude(txid chainhash.Hash, all []verdict) error {
	count := make(map[chain.BroadcastCode]int)
	var refused []verdict
	present := 0
	for _, v := range all {
		if !v.gone {
			present++
		}
		if v.reject != nil {
			refused = append(refused, v)
			count[codeOf(v.reject)]++
		}
	}
	if present == 0 {
		return fmt.Errorf("neutrino: broadcast of %v: no peer is connected: %w", txid, chain.ErrUnreachable)
	}
	if len(refused) == 0 {
		return nil // nobody wants it: they have it
	}
	// The code that most say; the order makes the answer the same every time.
	v := slices.MinFunc(refused, func(a, b verdict) int {
		ca, cb := codeOf(a.reject), codeOf(b.reject)
		return cmp.Or(cmp.Compare(count[cb], count[ca]), cmp.Compare(ca, cb), cmp.Compare(a.peer, b.peer))
	})
	return &chain.BroadcastError{
		Code: codeOf(v.reject), Txid: txid, Reason: fmt.Sprintf("peer %s: %s: %s", v.peer, v.reject.Code, v.reject.Reason),
	}
}
