package lnactor

import (
	"context"
	"iter"

	"github.com/lnactor/lnactor/actors/userevents"
	"github.com/lnactor/lnactor/messages"
)

// Kinds of events about what the chain made of payments and channels. The others are in types.go.
type (
	// PaymentLost follows PaymentFailed if a deep reorganisation let the payee claim the payment after all.
	PaymentLost = messages.PaymentLost
	// ClaimLost follows PaymentClaimed if the HTLC ended on chain without our preimage.
	ClaimLost = messages.ClaimLost
	// PaymentForwarded: an HTLC went through this node, and its fee is ours.
	PaymentForwarded = messages.PaymentForwarded
	// HTLCHandlingFailed: an HTLC that was to go through this node, or was for it, was failed.
	HTLCHandlingFailed = messages.HTLCHandlingFailed
	// ChannelResolved is the last of a channel: all of its money is where it belongs.
	ChannelResolved = messages.ChannelResolved
)

// Delivery is an event in the hands of a consumer. Exactly one of Ack and Return ends it; after a crash or Close in between it comes again.
type Delivery = userevents.Delivery

// Next waits for the oldest event that no other consumer holds. For pools of workers; see Events for the simple way.
func (n *Node) Next(ctx context.Context) (*Delivery, error) {
	d, err := n.events.Next(ctx)
	return d, n.fail("next event", err)
}

// Events yields events in order. Finishing the body of the loop acknowledges the event; leaving the loop by break, return or a panic does not:
// the event then comes again, before all later ones. The sequence ends with the context's error, or with ErrClosed when the node has stopped.
func (n *Node) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			d, err := n.Next(ctx)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !handle(d, yield) {
				return
			}
		}
	}
}

// handle acknowledges a delivery only if the body was finished.
func handle(d *Delivery, yield func(Event, error) bool) (goOn bool) {
	finished := false
	defer func() {
		if finished {
			d.Ack()
		} else {
			d.Return()
		}
	}()
	finished = yield(d.Event, nil)
	return finished
}
