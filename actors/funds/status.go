package funds

import (
	"slices"
	"sync"

	"github.com/lnactor/lnactor/internal/ln"
)

// reservePerChannel is kept for the fees of each channel's end, up to maxReserve: lnd's figures for channels with anchors.
const (
	reservePerChannel = 10_000
	maxReserve        = 100_000
)

// Status is what an operator should know of the wallet's actor.
type Status struct {
	Height uint32 // of the wallet
	Synced bool   // that was the tip

	// ReserveWantedSat is what the channels may need for fees, ReserveHaveSat what can be spent now, and confirmed.
	ReserveWantedSat, ReserveHaveSat uint64

	Fees     FeeState
	FeesErr  error // of the source; nil if it answers
	FeePerKw uint32

	Starving []StarvingClaim // claims that the wallet has no coins for
	Waiting  int             // claims that wait for the wallet to know its coins and fee rates
	Sweeps   []SweepStatus   // outputs of channels that are not in the wallet yet
	Invalid  int             // outputs that can't be swept: a bug
}

// ReserveTooSmall tells whether a channel's end may find no money for its fees.
func (s *Status) ReserveTooSmall() bool { return s.ReserveHaveSat < s.ReserveWantedSat }

// SweepStatus is an output on its way to the wallet.
type SweepStatus struct {
	Event    ln.EventID
	Output   string // outpoint
	ValueSat uint64
	Txid     string // of the sweep; empty: none yet
	Spent    uint32 // height of the block that has it; 0: none
	Reason   string // why it waits
}

// Board shows the status to whoever asks, from any goroutine. It outlives the actor.
type Board struct {
	mu       sync.Mutex
	status   Status
	channels int
	ready    bool // all monitors have reported since the process started
}

// Status is the last one.
func (b *Board) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Starving, s.Sweeps = slices.Clone(s.Starving), slices.Clone(s.Sweeps)
	return s
}

// Keep is what a payment to others should leave in the wallet.
func (b *Board) Keep() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return reserveFor(b.channels)
}

func reserveFor(channels int) uint64 {
	return uint64(min(max(channels, 0)*reservePerChannel, maxReserve))
}

func (b *Board) setCount(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.channels = n
}

func (b *Board) setReported() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = true
}

func (b *Board) reported() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready
}

func (b *Board) show(s Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
}

// show publishes the status, and warns when it gets worse.
func (c *core) show() {
	balance := c.wallet.Balance()
	s := Status{
		Height: c.height, Synced: c.synced, ReserveWantedSat: c.cfg.Board.Keep(), ReserveHaveSat: uint64(balance.Confirmed),
		Fees: c.fees.state, FeesErr: c.fees.err, FeePerKw: c.fees.rate(sweepTarget), Waiting: len(c.waiting), Invalid: c.sweeps.invalid,
	}
	keys := make([]claimKey, 0, len(c.starving))
	for key := range c.starving {
		keys = append(keys, key)
	}
	sortKeys(keys)
	for _, key := range keys {
		s.Starving = append(s.Starving, c.starving[key])
	}
	for _, t := range c.sortedTargets() {
		x := SweepStatus{Event: t.event, Output: t.out.Output.String(), ValueSat: t.out.ValueSat, Reason: t.reason}
		if t.gone != foreverGone {
			x.Spent = t.gone
		}
		if t.tx != nil {
			x.Txid = t.tx.txid.String()
		}
		s.Sweeps = append(s.Sweeps, x)
	}
	c.cfg.Board.show(s)
	c.warn(&s)
}

// warn logs what an operator has to see, once when it begins.
func (c *core) warn(s *Status) {
	small := s.Synced && s.ReserveTooSmall()
	if small && (!c.warned.small || c.warned.wanted < s.ReserveWantedSat) {
		c.log.Warn("the wallet has little for the fees of closing channels; send it some",
			"want_sat", s.ReserveWantedSat, "have_sat", s.ReserveHaveSat)
	}
	c.warned.small, c.warned.wanted = small, s.ReserveWantedSat
	if s.Fees != c.warned.fees {
		switch s.Fees {
		case FeesStale:
			c.log.Warn("fee estimates are stale: the source does not answer", "error", s.FeesErr)
		case FeesMissing:
			c.log.Warn("there is no fee estimate, and no rate is configured: a guess is used for claims", "error", s.FeesErr, "sat_per_kw", s.FeePerKw)
		case FeesUnknown, FeesOK, FeesFallback:
		}
	}
	c.warned.fees = s.Fees
}

// warned is what was logged last.
type warned struct {
	small  bool
	wanted uint64
	fees   FeeState
}
