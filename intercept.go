package lnactor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/lnactor/lnactor/messages"
)

// InterceptedHTLC is an HTLC that this node is asked to forward.
type InterceptedHTLC = messages.InterceptHTLC

// InterceptAction is what an interceptor decides.
type InterceptAction = messages.InterceptAction

// What an interceptor can decide. The zero value is no decision: it follows by DecideIntercepted.
const (
	InterceptForward = messages.InterceptForward
	InterceptFail    = messages.InterceptFail
	InterceptSettle  = messages.InterceptSettle
)

// Interception is an interceptor's decision.
type Interception struct {
	Action InterceptAction

	// Channel, with InterceptForward, is a channel of this node to forward over instead of the one that the payer named, which need not exist. The fee
	// is the interceptor's affair then: no more than the amount that came in goes out, and the expiries must leave this node the time that it needs.
	Channel ChannelID

	// ForwardMsat, with InterceptForward, is what goes out; 0 means what the payer says, and it can't be more. The difference is this node's (a skimmed
	// fee). The next node must be ready to take less than its onion says.
	ForwardMsat uint64

	// Code, with InterceptFail, is the BOLT 4 failure code for the payer; 0 means temporary_channel_failure.
	Code uint16

	// Preimage, with InterceptSettle, claims the HTLC for this node.
	Preimage Preimage
}

// Interceptor decides about each HTLC that is to be forwarded. It is asked about one at a time, outside of the node's actors, and may take its time:
// until it returns, no other HTLC is forwarded. To decide later it returns the zero Interception, and calls Node.DecideIntercepted before the block height
// htlc.Deadline, at which the HTLC is failed.
//
// Until a decision is durable the interceptor is asked again with every restart of the node or of a part of it, so it must give the same answer to the
// same HTLC, or remember (Channel, HTLCID). Once durable a decision is final. The context ends when the node stops.
type Interceptor func(ctx context.Context, htlc InterceptedHTLC) Interception

// DecideIntercepted decides about an HTLC that the interceptor was asked about. When it returns without an error the decision is durable. ErrNotIntercepted:
// it is decided already, or gone. ErrNotForwarded: it could not be forwarded as wished, and was failed. Give ctx a deadline: a peer that does not answer
// delays what is durable, and after a crash of the manager no answer comes; the interceptor is asked again then if nothing was decided.
func (n *Node) DecideIntercepted(ctx context.Context, channel ChannelID, htlcID uint64, d Interception) error {
	reply, err := ask[messages.InterceptReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return decisionOf(channel, htlcID, d, to)
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("decide about intercepted HTLC", err)
}

func decisionOf(channel ChannelID, htlcID uint64, d Interception, replyTo messages.Addr) messages.DecideIntercepted {
	return messages.DecideIntercepted{
		Channel: channel, HTLCID: htlcID, Action: d.Action, Out: d.Channel, ForwardMsat: d.ForwardMsat, Code: d.Code, Preimage: d.Preimage, ReplyTo: replyTo,
	}
}

// intercept asks the interceptor until the node stops.
func (n *Node) intercept() {
	for {
		htlc, err := n.interceptions.Next(n.life)
		if err != nil {
			return
		}
		d, ok := n.askInterceptor(htlc)
		if !ok || d.Action == 0 {
			continue
		}
		// Nobody waits for the answer: it comes when the decision is durable, which a peer can delay and a crash of the manager prevent. What is no good
		// is in the log, is told again at the next start, and failed at its deadline.
		n.env.Tell(messages.ManagerAddr, decisionOf(htlc.Channel, htlc.HTLCID, d, ""))
	}
}

// askInterceptor survives a panic of the interceptor: the HTLC is not decided.
func (n *Node) askInterceptor(htlc InterceptedHTLC) (d Interception, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			n.cfg.Log.Error("the interceptor panicked; the HTLC is not decided", slog.String("channel_id", htlc.Channel.String()),
				slog.Uint64("htlc_id", htlc.HTLCID), slog.String("panic", fmt.Sprint(v)))
			ok = false
		}
	}()
	return n.cfg.Interceptor(n.life, htlc), true
}
