package claim_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestEndings closes a channel at every step of an HTLC's way through both commitments, by every commitment that can be broadcast then, with HTLCs
// of each kind in each direction, and reorganises the chain at every depth. What must hold is checked at every block (check), and the money at
// the end (account).
func TestEndings(t *testing.T) {
	t.Parallel()
	i := 0
	for step := range steps {
		for _, end := range ends {
			if !end.possible(prepared(step)) {
				continue
			}
			for depth := range 8 {
				i++
				c := course{step: step, end: end, depth: depth, point: points[i%len(points)], how: hows[i/len(points)%len(hows)]}
				if depth == 0 {
					c.point, c.how = point{}, ""
				}
				t.Run(c.String(), func(t *testing.T) {
					t.Parallel()
					c.run(t)
				})
			}
		}
	}
}

// course is one way from an open channel to its end.
type course struct {
	step  int
	end   ending
	depth int
	point point
	how   string
	thief *adversary
}

// fast tells whether an adversary gets its second stages into the block behind its commitment, those with preimages it should not use included.
func (c *course) fast() bool { return c.end.back > 0 && c.depth%2 == 1 && c.point.after(c.depth) > 1 }

func (c *course) String() string {
	name := fmt.Sprintf("%02d %s/%s", c.step, stepNames[c.step], c.end.name)
	if c.depth > 0 {
		name += fmt.Sprintf("/reorg %d %s %s", c.depth, c.point.name, c.how)
	}
	return name
}

// point is when the chain is reorganised: so many blocks after the first one with a commitment.
type point struct {
	name  string
	after func(depth int) int
}

var points = []point{
	{"of the commitment", func(depth int) int { return depth - 1 }},
	{"of the first claims", func(depth int) int { return depth }},
	{"of the time-outs", func(depth int) int { return timeout + 1 + depth/2 }},
	{"of the delayed", func(depth int) int { return timeout + 12 + depth/2 }},
}

// hows say what becomes of the transactions that a reorganisation takes out.
var hows = []string{"back", "dropped", "replaced"}

// timeout is when the HTLCs that nobody claims expire, in blocks after the commitment.
const timeout = 10

// The steps of an HTLC that a offers, one message each; before them come HTLCs of both sides that are irrevocably committed, behind the twelfth the
// HTLCs are gone.
const steps = 13

var stepNames = [steps]string{
	"committed", "add signed", "add received", "add revoked", "add signed back", "add received back", "add revoked back",
	"remove signed", "remove received", "remove revoked", "remove signed back", "remove received back", "gone",
}

// prepared is a world at a step; it is copied, not used. The side that funds the channel alternates.
func prepared(step int) *world { return preparedOnce[step%2][step]() }

var preparedOnce [2][steps]func() *world

func init() {
	for funder := range preparedOnce {
		for i := range steps {
			preparedOnce[funder][i] = sync.OnceValue(func() *world {
				if i == 0 {
					return prepare(funder == 0)
				}
				w := preparedOnce[funder][i-1]().clone(panics{})
				w.step(i)
				return w
			})
		}
	}
}

// kinds of HTLCs. By its amount an HTLC may be dust for both sides or for b only.
type kind struct {
	sat     uint64
	expiry  uint32 // after the commitment
	learned learned
}

type learned uint8

const (
	never   learned = iota // the receiver does not know the preimage
	earlier                // before the close
	later                  // some blocks after the close
)

var kinds = []kind{
	{20_000, timeout, never},
	{21_000, timeout + 15, earlier},
	{22_000, timeout + 15, later},
	{300, timeout, never},
	{310, timeout + 15, earlier},
	{10_000, timeout - 2, never},
	{11_000, timeout + 16, earlier},
}

func prepare(aFunds bool) *world {
	w := newWorld(panics{}, aFunds)
	// Older states: HTLCs that came and went, and one that stays.
	for i := range 4 {
		w.a.round([]facts.HTLC{w.a.htlc(0, 30_000+uint64(i), w.expiry(60), uint32(100+i))})
		w.b.round([]facts.HTLC{w.b.htlc(0, 31_000+uint64(i), w.expiry(60), uint32(110+i))})
		w.settle()
		if i < 3 {
			w.b.decide(uint64(i), i%2 == 0)
			w.a.decide(uint64(i), i%2 == 1)
			w.b.round(nil, uint64(i))
			w.a.round(nil, uint64(i))
			w.settle()
		}
	}
	var adds [2][]facts.HTLC
	for i, s := range w.sides() {
		for j, k := range kinds {
			adds[i] = append(adds[i], s.htlc(j, k.sat, w.expiry(k.expiry), uint32(200+20*i+j)))
		}
	}
	w.a.round(adds[0])
	w.b.round(adds[1])
	w.settle()
	for _, s := range w.sides() {
		for _, h := range facts.Sorted(s.f.Inbound) {
			if w.learned(h) == earlier {
				s.decide(h.ID, true)
			}
		}
	}
	return w
}

// step is one message of the way of the HTLCs that move.
func (w *world) step(i int) {
	switch i {
	case 1:
		var add []facts.HTLC
		for i, sat := range moving {
			add = append(add, w.a.htlc(i, sat, w.expiry(timeout+uint32(i)), uint32(300+i)))
		}
		w.a.sign(add)
	case 2, 11:
		w.b.receive()
	case 3, 12:
		w.a.acked()
	case 4:
		w.b.sign(nil)
	case 5, 8:
		w.a.receive()
	case 6, 9:
		w.b.acked()
	case 7:
		var ids []uint64
		for i := range moving {
			id := w.a.f.NextOutboundHTLCID - uint64(len(moving)-i)
			w.b.decide(id, i != 1)
			ids = append(ids, id)
		}
		w.b.sign(nil, ids...)
	case 10:
		w.a.sign(nil)
	}
}

// moving are the amounts of the HTLCs that the steps are about. All but the second are fulfilled.
var moving = []uint64{25_000, 26_000, 350, 11_500}

// panics is for what is made outside of a test.
type panics struct{}

func (panics) Helper()                           {}
func (panics) Logf(string, ...any)               {}
func (panics) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// expiry is counted from the block that has the commitment if it is broadcast at once.
func (w *world) expiry(after uint32) uint32 { return w.height() + 1 + after }

// learned tells when the receiver of an HTLC learns its preimage, by its amount.
func (w *world) learned(h *facts.HTLC) learned {
	for _, k := range kinds {
		if k.sat*1000 == h.AmountMsat {
			return k.learned
		}
	}
	return never
}

// ending is who broadcasts what.
type ending struct {
	name  string
	side  int  // 0: a
	back  int  // commitments behind the current one
	legal bool // the commitment is not revoked for the peer
}

var ends = []ending{
	{"a's current", 0, 0, true},
	{"b's current", 1, 0, true},
	{"a's previous", 0, 1, true},
	{"b's previous", 1, 1, true},
	{"a's last revoked", 0, 1, false},
	{"b's last revoked", 1, 1, false},
	{"a's revoked 6 deep", 0, 6, false},
	{"b's revoked 6 deep", 1, 6, false},
}

// possible tells whether there is such a commitment: the previous one is not revoked for the peer as long as revoke_and_ack is on its way.
func (e *ending) possible(w *world) bool {
	s := w.sides()[e.side]
	return e.back == 0 || (s.revoke != nil) == e.legal || e.back > 1
}

func (e *ending) commitment(w *world) *held {
	s := w.sides()[e.side]
	return s.held[len(s.held)-1-e.back]
}

// run is one course.
func (c *course) run(t *testing.T) {
	w := prepared(c.step).clone(t)
	for _, s := range w.sides() {
		s.thorough = c.depth == c.step%8
	}
	closer := w.sides()[c.end.side]
	tx := c.end.commitment(w)
	if c.end.back == 0 {
		closer.apply(facts.ForceClosed{Reason: facts.CloseByUser})
	} else {
		thief := closer.corrupt(tx, w.preimages(closer, c.fast()))
		if c.fast() { // its second stages are in the block behind the commitment
			defer func() { c.thief = nil }()
			c.thief = thief
		}
		if err := w.chain.Broadcast(tx.signed); err != nil {
			t.Fatalf("%v is refused: %v", tx, err)
		}
	}
	w.act()
	first := w.height() + 1
	for {
		w.mine(1)
		if c.thief != nil && w.height() == first {
			w.mineTxs(c.thief.loot()...)
		}
		after := int(w.height() - first)
		if after == 3 {
			w.learn()
		}
		if c.depth > 0 && after == c.point.after(c.depth) {
			w.reorg(c.depth, c.options(w, tx)...)
			if after < 3 {
				w.learn()
			}
			break
		}
		if c.depth == 0 && after == 3 {
			break
		}
	}
	w.finish()
	w.outcomes()
}

// options of a reorganisation.
func (c *course) options(w *world, was *held) []regtest.ReorgOption {
	switch c.how {
	case "dropped":
		return []regtest.ReorgOption{regtest.DropAllTxs()}
	case "replaced": // scenario 29: the other side's commitment, or the current one instead of an old one
		other := w.side(was.owner).peer
		if other.down {
			return nil
		}
		if c.point.after(c.depth) != c.depth-1 {
			return nil
		}
		return []regtest.ReorgOption{regtest.WithBlock(0, other.current().signed)}
	}
	return nil
}

// learn gives the receivers the preimages that come after the close, as far as somebody upstream could have them: no side learns one for an HTLC
// that is not irrevocably committed.
func (w *world) learn() {
	for _, s := range w.sides() {
		if s.down {
			continue
		}
		for _, h := range facts.Sorted(s.f.Inbound) {
			if w.learned(h) == later && h.Decidable() && h.Resolution == nil {
				s.decide(h.ID, true)
			}
		}
	}
	w.act()
}

// preimages are those that a side knows as the receiver, or all.
func (w *world) preimages(s *side, all bool) map[ln.Hash]bool {
	known := map[ln.Hash]bool{}
	for hash := range w.secrets {
		known[hash] = all
	}
	for _, h := range s.f.Inbound {
		if h.Preimage != nil {
			known[h.Hash] = true
		}
	}
	return known
}

// outcomes checks at the end that each HTLC went where it should: to who had the preimage in time, and back to its sender if nobody had it.
func (w *world) outcomes() {
	w.Helper()
	for _, s := range w.sides() {
		if s.down || s.behind {
			continue
		}
		for _, h := range facts.Sorted(s.f.Outbound) {
			if s.claimed[h.ID]+s.failed[h.ID] != 1 && !w.deep {
				w.Fatalf("%s: outbound htlc %d (%v) was claimed %d times and failed %d times", s.name, h.ID, h.State, s.claimed[h.ID], s.failed[h.ID])
			}
			if s.claimed[h.ID] == 0 && s.failed[h.ID] == 0 {
				w.Fatalf("%s: outbound htlc %d has no outcome", s.name, h.ID)
			}
			f, ok := s.fate(h, true)
			if in := s.peer.f.Inbound[h.ID]; ok && in != nil && in.Preimage != nil && !s.peer.down && !f.lacking && !f.fulfilled && !w.deep && !w.punished() && s.peer.inTime(in) {
				w.Fatalf("%s: inbound htlc %d was lost, its preimage was known (L4)", s.peer.name, h.ID)
			}
		}
	}
}

// inTime tells whether there were blocks enough to claim an inbound HTLC before its expiry.
func (s *side) inTime(h *facts.HTLC) bool {
	const enough = 8
	return !s.w.hasty || max(s.decided[h.ID], s.f.Spent.Height, s.w.shaken)+enough <= h.CLTVExpiry
}

// punished tells whether the confirmed commitment was revoked.
func (w *world) punished() bool {
	txid, _ := w.chain.Spender(w.funding)
	c := w.find(txid)
	return c != nil && c.tx.Number < w.side(c.owner).peer.f.CounterpartyNumber
}
