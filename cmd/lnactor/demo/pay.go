package demo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lnactor/lnactor"
)

// window is how many invoices are being paid at the same time.
const window = 8

// purchase is one invoice on its way from payee to payer.
type purchase struct {
	number       int
	payer, payee *side
	msat         uint64
}

// shop has the nodes pay each other.
type shop struct {
	*world
	run uint64 // makes payment ids differ from those of other runs on the same data

	done atomic.Int64
	mu   sync.Mutex
	more chan struct{}   // closed and replaced when done changes
	news map[Retried]int // not told yet
}

// progress is how many invoices are paid, and when to ask again.
func (s *shop) progress() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.done.Load()), s.more
}

// payAll pays a list of invoices, window at a time.
func (s *shop) payAll(ctx context.Context, list []purchase) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan purchase)
	var workers sync.WaitGroup
	for range window {
		workers.Go(func() {
			for p := range queue {
				if err := s.pay(ctx, p); err != nil {
					cancel(err)
					return
				}
				s.mu.Lock()
				s.done.Add(1)
				close(s.more)
				s.more = make(chan struct{})
				s.mu.Unlock()
			}
		})
	}
feed:
	for _, p := range list {
		select {
		case queue <- p:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// pay sees one invoice through: until the payer knows that it is sent and the payee that it is claimed. A payment that failed is made again
// under a new id, which is safe: PaymentFailed says that the old one can never be claimed.
func (s *shop) pay(ctx context.Context, p purchase) error {
	inv, err := s.invoice(ctx, p)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		id, err := s.send(ctx, p, inv, try)
		if err != nil {
			return err
		}
		how, reason, err := s.await(ctx, id)
		if err != nil {
			return err
		}
		if how == sent {
			s.tellRoute(ctx, p, id)
			return s.awaitClaim(ctx, inv.Hash)
		}
		if try == 0 {
			s.retried(p.payer.name, brief(reason))
		}
		select {
		case <-time.After(25 * time.Millisecond << min(try, 4)):
		case <-ctx.Done():
		}
	}
}

// tellRoute tells of payments that went in parts: those show what the network is for.
func (s *shop) tellRoute(ctx context.Context, p purchase, id lnactor.PaymentID) {
	if p.msat < largeMsat {
		return
	}
	call, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	node, err := p.payer.get(call)
	if err != nil {
		return
	}
	info, err := node.GetPayment(call, id)
	if err != nil {
		return // it crashes: the next one is told
	}
	news := Routed{At: s.now(), Payer: p.payer.name, Payee: p.payee.name, Msat: p.msat, FeeMsat: info.FeeMsat}
	for _, part := range info.Parts {
		if part.State == lnactor.PartClaimed {
			news.Parts++
			news.Hops = max(news.Hops, len(part.Hops))
		}
	}
	s.tell(news)
}

func (s *shop) invoice(ctx context.Context, p purchase) (inv lnactor.Invoice, err error) {
	if err := p.payee.do(ctx, func(ctx context.Context, n *lnactor.Node) (err error) {
		inv, err = n.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: p.msat, Description: fmt.Sprintf("demo %d", p.number)})
		return err
	}); err != nil {
		return inv, fmt.Errorf("invoice %d: %w", p.number, err)
	}
	return inv, nil
}

// send starts the payment of an invoice. An answer may be swallowed by a crash, so the call is repeated with the same id until there is one: the id
// is used at most once.
func (s *shop) send(ctx context.Context, p purchase, inv lnactor.Invoice, try int) (lnactor.PaymentID, error) {
	id := s.paymentID(p.number, try)
	s.ledger.begin(id, p.payer.name, inv.Hash, p.msat)
	if err := p.payer.do(ctx, func(ctx context.Context, n *lnactor.Node) error {
		_, err := n.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id))
		if errors.Is(err, lnactor.ErrPaymentIDUsed) {
			return nil
		}
		return err
	}); err != nil {
		return id, fmt.Errorf("payment %d: %w", p.number, err)
	}
	s.ledger.durable(id)
	return id, nil
}

func (s *shop) retried(node, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news[Retried{Node: node, Reason: reason}]++
}

// tellRetried tells of retries, many at once: whatever goes down fails all that was asked of it.
func (s *shop) tellRetried() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.SortedFunc(maps.Keys(s.news), func(a, b Retried) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Reason, b.Reason))
	}) {
		n := s.news[r]
		r.At, r.Count = s.now(), n
		s.tell(r)
	}
	clear(s.news)
}

// brief is a reason without the ids that a reader of the screen knows, and without what to do, which is done.
func brief(reason string) string {
	if _, rest, ok := strings.Cut(reason, " msat: "); ok {
		reason = rest
	}
	if i := strings.IndexAny(reason, ":;"); i > 0 {
		reason = reason[:i]
	}
	return reason
}

func (s *shop) await(ctx context.Context, id lnactor.PaymentID) (outcome, string, error) {
	for {
		how, reason, more := s.ledger.outcome(id)
		if how != pending {
			return how, reason, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return pending, "", context.Cause(ctx)
		}
	}
}

func (s *shop) awaitClaim(ctx context.Context, hash lnactor.Hash) error {
	for {
		yes, more := s.ledger.claimed(hash)
		if yes {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *shop) paymentID(number, try int) lnactor.PaymentID {
	b := binary.BigEndian.AppendUint64([]byte("lnactor/demo"), s.run)
	b = binary.BigEndian.AppendUint64(b, uint64(number))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(try)))
}
