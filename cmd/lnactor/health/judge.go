package health

import (
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
)

// Limits beyond which something is a condition.
const (
	lostAfter    = 30 * time.Second
	silentAfter  = 10 * time.Second
	lagAfter     = time.Minute
	farBehind    = 3 // blocks
	stalledAfter = 3 * time.Hour
	userOld      = 10 * time.Minute
	monitorOld   = 24 * time.Hour
	slowCommit   = time.Second
	diskLow      = 1 << 30
	diskFull     = 128 << 20
)

// Found is a condition that somebody found. What is found under one id and subject is one condition, whatever its cause says.
type Found struct {
	ID      string
	Subject string // what it is about: a channel's id, an actor's name, a consumer; may be empty
	Cause   string
	Remedy  string // empty: that of the kind
}

// Judge says what is not as it should be. Public is whether blocks come by themselves.
func Judge(s *Snapshot, public bool) (out []Found) {
	found := func(id, subject, format string, args ...any) {
		out = append(out, Found{ID: id, Subject: subject, Cause: fmt.Sprintf(format, args...)})
	}
	if s.NodeErr != nil {
		found(StoreFailed, "", "the node has stopped: %v", s.NodeErr)
	}
	for _, id := range s.Quarantined {
		found(ChannelQuarantined, id.String(), "its monitor or its channel failed too often, or its records can't be read")
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		if c.Phase == lnactor.PhaseBehind {
			found(ChannelBehind, c.Channel.String(), "the peer %s showed a newer state", c.Peer)
		}
		if c.Phase == lnactor.PhaseUnburied {
			found(ChannelUnburied, c.Channel.String(), "funding transaction %s has %d confirmations", chainhash.Hash(c.FundingTxid), c.Confirmations)
		}
		if c.Unverified && c.Spent == nil && c.Phase != lnactor.PhaseBehind { // of that one the peer was connected and has shown it
			found(ChannelUnverified, c.Channel.String(), "the peer is %s", c.Peer)
		}
	}
	judgeFunds(s, found)
	judgeChain(s, public, found)
	if over(s.SilentSince, s.At, silentAfter) {
		found(ManagerSilent, "", "no answer since %s", s.SilentSince.UTC().Format(time.RFC3339))
	}
	if s.OldestUnhandled >= userOld {
		found(UserEventsOld, "", "%d user events wait, the oldest for %s", s.UnhandledEvents, s.OldestUnhandled.Round(time.Second))
	}
	if s.OldestUnacked >= monitorOld {
		found(MonitorEventsOld, s.OldestChannel.String(), "%d events wait, the oldest for %s", s.UnackedEvents, s.OldestUnacked.Round(time.Minute))
	}
	if s.CommitTime >= slowCommit {
		found(StoreSlow, "", "the last commits took %s each", s.CommitTime.Round(time.Millisecond))
	}
	if s.DiskKnown && s.DiskFree < diskFull {
		found(DiskFull, "", "%d MiB are left", s.DiskFree>>20)
	} else if s.DiskKnown && s.DiskFree < diskLow {
		found(DiskLow, "", "%d MiB are left", s.DiskFree>>20)
	}
	return out
}

func judgeFunds(s *Snapshot, found func(id, subject, format string, args ...any)) {
	for _, c := range s.Funds.Starving {
		found(ClaimStarving, c.Channel.String(), "a claim lacks coins for its fee since block %d: %d sat", c.Since, c.NeedSat)
	}
	if s.Funds.Invalid > 0 {
		found(SweepInvalid, "", "%d outputs", s.Funds.Invalid)
	}
	if len(s.Channels) > 0 && s.Funds.ReserveTooSmall() {
		found(ReserveTooSmall, "", "the channels may need %d sat for fees, the wallet has %d confirmed", s.Funds.ReserveWantedSat, s.Funds.ReserveHaveSat)
	}
	last := ""
	if s.Fees.Last != nil {
		last = fmt.Sprintf("; the last attempt: %v", s.Fees.Last)
	}
	switch s.Fees.State {
	case fees.Stale:
		found(FeesStale, "", "the estimates are of %s%s", s.Fees.Updated.UTC().Format(time.RFC3339), last)
	case fees.Missing:
		found(FeesMissing, "", "nothing has an estimate%s", last)
	case fees.OK:
	}
}

func judgeChain(s *Snapshot, public bool, found func(id, subject, format string, args ...any)) {
	switch {
	case over(s.ChainLost, s.At, lostAfter):
		found(ChainLost, "", "no answer since %s: %v", s.ChainLost.UTC().Format(time.RFC3339), s.ChainErr)
	case public && !s.Tip.Time.IsZero() && s.At.Sub(s.Tip.Time) > stalledAfter:
		found(ChainStalled, "", "block %d is of %s", s.Tip.Height, s.Tip.Time.UTC().Format(time.RFC3339))
	}
	if over(s.UnsyncedFrom, s.At, lostAfter) || !s.WasSynced { // a new block takes a moment
		found(NotSynced, "", "the wallet is at block %d, the source at %d", s.Funds.Height, s.Tip.Height)
	}
	if over(s.LagSince, s.At, lagAfter) {
		found(ChannelsLag, "", "the slowest channel is %d blocks behind block %d", s.Lag, s.Tip.Height)
	}
}

func over(since, now time.Time, limit time.Duration) bool {
	return !since.IsZero() && now.Sub(since) >= limit
}
