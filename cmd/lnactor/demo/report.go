package demo

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options of Run.
type Options struct {
	Topology Topology // empty: Pair
	Nodes    int      // 0: Topology.DefaultNodes
	Payments int      // at least two for each channel
	Crashes  int
	Seed     uint64
	Close    CloseKind
	Pace     time.Duration // how long each block of the close with something to see stays, before the next is mined
	Dir      string        // where the data is kept; a run continues with the channel of an earlier one
}

// ErrOptions is wrapped by what Run says about Options that make no sense.
var ErrOptions = errors.New("demo")

// Report is what a run found. Its JSON form is for scripts and stays compatible.
type Report struct {
	OK     bool     `json:"ok"`
	Faults []string `json:"faults"` // why not OK, one sentence each

	Topology Topology `json:"topology"`
	Seed     uint64   `json:"seed"`
	Seconds  float64  `json:"seconds"`
	Dir      string   `json:"dir,omitempty"`

	Payments Payments              `json:"payments"`
	Events   Events                `json:"events"`
	Crashes  Crashes               `json:"crashes"`
	Nodes    map[string]NodeReport `json:"nodes"`              // by node
	Balances map[string]Two        `json:"balances"`           // by node
	OnChain  *OnChain              `json:"on_chain,omitempty"` // of the channel's close, if there was one
}

// Payments counts payments of both nodes.
type Payments struct {
	Requested  int `json:"requested"`  // invoices to be paid
	Attempted  int `json:"attempted"`  // payment ids that were durable; an invoice whose payment failed is paid again under a new id
	Sent       int `json:"sent"`       // PaymentSent
	Failed     int `json:"failed"`     // PaymentFailed: the peer was down or the HTLC was never committed; the payer kept the money
	Claimed    int `json:"claimed"`    // PaymentClaimed
	Forwarded  int `json:"forwarded"`  // PaymentForwarded: HTLCs that a node between payer and payee saw through
	Lost       int `json:"lost"`       // attempts without an outcome and sent payments without a claim: must be 0
	Duplicates int `json:"duplicates"` // second outcomes of an id and second payments of an invoice: must be 0
}

// NodeReport is what one node and its user did.
type NodeReport struct {
	Sent       int    `json:"sent"`
	Failed     int    `json:"failed"`
	Claimed    int    `json:"claimed"`
	Forwarded  int    `json:"forwarded"`        // HTLCs of others
	PaidMsat   uint64 `json:"fees_paid_msat"`   // to forwarding nodes
	EarnedMsat uint64 `json:"fees_earned_msat"` // for forwarding
	Crashes    int    `json:"crashes"`
	Events     Events `json:"events"`
}

// Events counts MonitorEvents, by id.
type Events struct {
	Emitted    int `json:"emitted"`
	Reemitted  int `json:"reemitted"` // times that an id came again
	Acked      int `json:"acked"`
	Unacked    int `json:"unacked"`    // must be 0
	Redelivery int `json:"redelivery"` // times that a node's user was given an event again, under the same id
}

// Crashes counts crashes that were made.
type Crashes struct {
	Planned int            `json:"planned"`
	Made    int            `json:"made"`
	ByActor map[string]int `json:"by_actor"` // the names are Kinds
	Restart int            `json:"restarts"` // of actors, those that restart together with a crashed one included
}

// Two is a balance before the payments and after them.
type Two struct {
	Before Balance `json:"before"`
	After  Balance `json:"after"`
}

// Balance is a node's money.
type Balance struct {
	OnChainSat  uint64 `json:"on_chain_sat"`
	ChannelMsat uint64 `json:"channel_msat"`
}

// Error is the verdict of a run that went wrong, nil if it did not.
func (r *Report) Error() error {
	if r.OK {
		return nil
	}
	return &FaultError{Faults: r.Faults}
}

// FaultError says that the books do not balance, or that something stopped that must not: a bug of lnactor.
type FaultError struct{ Faults []string }

func (e *FaultError) Error() string {
	if len(e.Faults) == 1 {
		return "the demo found a fault: " + e.Faults[0]
	}
	return fmt.Sprintf("the demo found %d faults:\n  %s", len(e.Faults), strings.Join(e.Faults, "\n  "))
}
