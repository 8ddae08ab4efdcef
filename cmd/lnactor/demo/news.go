package demo

import "time"

// News is what a run tells while it goes on.
type News interface{ news() }

type (
	// Opening says what is being set up.
	Opening struct{ What string }
	// Opened says that payments begin.
	Opened struct {
		Nodes     []Introduced
		Channels  []IntroducedChannel
		Height    int32
		Before    map[string]Balance
		Dir       string
		Continued bool // the channels are of an earlier run
	}
	// Introduced is a node and its id.
	Introduced struct{ Name, ID string }
	// IntroducedChannel is a channel, the node that paid for it first.
	IntroducedChannel struct {
		Between     [2]string
		ID          string
		CapacitySat uint64
	}
	// Routed says that a payment arrived that took more than one channel or part.
	Routed struct {
		At            time.Duration
		Payer, Payee  string
		Msat, FeeMsat uint64
		Parts, Hops   int // Hops are those of the longest part
	}
	// Crashed says that a part of a node was crashed on purpose.
	Crashed struct {
		At      time.Duration // since payments began
		N       int           // which crash it is
		Node    string
		Kind    string // one of Kinds
		Message string // Go type of the message over which it happened
		Handled bool   // the message was handled and the part died of it; else the message is lost
	}
	// Reemitted says that monitors told a manager events again that were not acknowledged before a crash.
	Reemitted struct {
		At    time.Duration
		Node  string
		Count int
	}
	// Reacked says that events that were emitted again are acknowledged now.
	Reacked struct {
		At    time.Duration
		Node  string
		Count int
		After time.Duration // since the first of them was emitted again
	}
	// Returned says that a node which was crashed as a whole works again.
	Returned struct {
		At    time.Duration
		Node  string
		After time.Duration
	}
	// Retried says that payments failed, with a reason, and that their invoices are paid again.
	Retried struct {
		At     time.Duration
		Node   string // the payer
		Count  int
		Reason string
	}
	// Progress says how far the run is.
	Progress struct {
		Done, Of int // invoices
		Payments Payments
		Events   Events
		Crashes  int
	}
	// Settling says that the payments are through and what is waited for.
	Settling struct{ What string }
)

func (Opening) news()   {}
func (Opened) news()    {}
func (Routed) news()    {}
func (Crashed) news()   {}
func (Reemitted) news() {}
func (Reacked) news()   {}
func (Returned) news()  {}
func (Retried) news()   {}
func (Progress) news()  {}
func (Settling) news()  {}

// announcer passes news on from wherever they happen, actors included, to one goroutine. Nothing waits for the screen: what does not fit is
// dropped.
type announcer struct {
	ch   chan News
	done chan struct{}
}

func newAnnouncer(show func(News)) *announcer {
	a := &announcer{ch: make(chan News, 4096), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for n := range a.ch {
			show(n)
		}
	}()
	return a
}

func (a *announcer) tell(n News) {
	select {
	case a.ch <- n:
	default:
	}
}

// close waits until everything is shown. Nobody may tell anything any more.
func (a *announcer) close() {
	close(a.ch)
	<-a.done
}
