package lnactor

import (
	"context"
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// HTLCStanding is where an HTLC of a channel stands.
type HTLCStanding = messages.HTLCStanding

// Explanation is what is known of a payment's HTLCs.
type Explanation struct {
	HTLCs   []HTLCStanding
	Payment []string    // what the manager knows, a line each
	Unknown []ChannelID // channels that could not be asked
}

// ExplainPayment says where the HTLCs with a payment hash stand, in all channels: which record, message or acknowledgement each waits for, from whom, and
// until when. Errors: ErrNotFound.
func (n *Node) ExplainPayment(ctx context.Context, hash Hash) (Explanation, error) {
	return n.explain(ctx, &hash, nil, 0)
}

// ExplainHTLC does it for the HTLCs with an id in one channel; each side counts its own.
func (n *Node) ExplainHTLC(ctx context.Context, channel ChannelID, htlc uint64) (Explanation, error) {
	return n.explain(ctx, nil, &channel, htlc)
}

func (n *Node) explain(ctx context.Context, hash *Hash, channel *ChannelID, id uint64) (e Explanation, err error) {
	const op = "explain"
	list, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListChannels{ReplyTo: to}
	})
	if err != nil {
		return e, n.fail(op, err)
	}
	ids := make([]ChannelID, 0, len(list.Channels))
	found := false
	for _, c := range list.Channels {
		if channel == nil || c.Channel == *channel {
			ids = append(ids, c.Channel)
		}
		found = found || channel != nil && c.Channel == *channel
	}
	for _, q := range list.Quarantined {
		if channel == nil || q == *channel {
			e.Unknown, found = append(e.Unknown, q), true
		}
	}
	if channel != nil && !found {
		return e, n.channelError(op, *channel, ErrNotFound)
	}
	q := messages.ExplainPayment{Hash: hash, HTLCID: id}
	if channel != nil {
		q.Channel = *channel
	}
	known, err := askAgain[messages.PaymentExplained](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		q.ReplyTo = to
		return q
	})
	if err != nil {
		return e, n.fail(op, err)
	}
	e.Payment = known.Lines
	for _, c := range ids {
		got, err := askAgain[messages.HTLCsExplained](ctx, n, messages.MonitorAddr(c), func(to messages.Addr) any {
			return messages.ExplainHTLC{Hash: hash, HTLCID: id, ReplyTo: to}
		})
		if err != nil {
			if ctx.Err() != nil {
				return e, n.fail(op, err)
			}
			e.Unknown = append(e.Unknown, c)
			continue
		}
		e.HTLCs = append(e.HTLCs, got.HTLCs...)
	}
	if len(e.HTLCs)+len(e.Payment)+len(e.Unknown) == 0 {
		return e, n.fail(op, fmt.Errorf("%w: no live HTLC, no event and no payment under way; if it was here it is over", ErrNotFound))
	}
	return e, nil
}
