package journal

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
)

var causes = map[any]string{
	lnactor.ClosedByUs: "by us", lnactor.ClosedMutually: "mutually", lnactor.ClosedByPeer: "by the peer",
	lnactor.ClosedByRevoked: "by the peer, revoked", lnactor.ClosedByUnknownSpend: "by an unknown transaction",
}

// describe is an event's kind and content for the journal.
func describe(kind any) (string, map[string]any) {
	switch k := kind.(type) {
	case lnactor.PaymentSent:
		return "PaymentSent", map[string]any{
			"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "preimage": k.Preimage.String(),
		}
	case lnactor.PaymentFailed:
		return "PaymentFailed", map[string]any{
			"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "reason": k.Reason,
		}
	case lnactor.PaymentLost:
		return "PaymentLost", map[string]any{
			"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "preimage": k.Preimage.String(),
			"channel_id": k.Channel.String(),
		}
	case lnactor.PaymentClaimable:
		return "PaymentClaimable", map[string]any{"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "deadline": k.Deadline}
	case lnactor.PaymentClaimed:
		return "PaymentClaimed", map[string]any{"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "channel_id": k.Channel.String()}
	case lnactor.ClaimLost:
		return "ClaimLost", map[string]any{"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "channel_id": k.Channel.String()}
	case lnactor.PaymentForwarded:
		return "PaymentForwarded", map[string]any{
			"payment_hash": k.Hash.String(), "in_channel_id": k.InChannel.String(), "out_channel_id": k.OutChannel.String(), "in_htlc_id": k.InHTLCID,
			"out_htlc_id": k.OutHTLCID, "in_amount_msat": k.InAmountMsat, "out_amount_msat": k.OutAmountMsat, "fee_msat": k.FeeMsat,
			"on_chain": k.OnChain, "claim_lost": k.ClaimLost,
		}
	case lnactor.HTLCHandlingFailed:
		data := map[string]any{
			"payment_hash": k.Hash.String(), "channel_id": k.Channel.String(), "htlc_id": k.HTLCID, "amount_msat": k.AmountMsat, "reason": k.Reason,
		}
		if k.OutChannel != (lnactor.ChannelID{}) {
			data["out_channel_id"] = k.OutChannel.String()
		}
		return "HTLCHandlingFailed", data
	case lnactor.ChannelPending:
		return "ChannelPending", map[string]any{
			"channel_id": k.Channel.String(), "peer": k.Peer.String(),
			"funding": wire.OutPoint{Hash: chainhash.Hash(k.FundingTxid), Index: k.FundingIndex}.String(),
		}
	case lnactor.ChannelReady:
		return "ChannelReady", map[string]any{"channel_id": k.Channel.String(), "peer": k.Peer.String()}
	case lnactor.ChannelClosed:
		data := map[string]any{"channel_id": k.Channel.String(), "peer": k.Peer.String(), "closed": causes[k.Cause]}
		if k.Txid != [32]byte{} {
			data["txid"] = chainhash.Hash(k.Txid).String()
		}
		if k.Force != nil && k.Force.Detail != "" {
			data["detail"] = k.Force.Detail
		}
		return "ChannelClosed", data
	case lnactor.ChannelResolved:
		c := k.Closed
		return "ChannelResolved", map[string]any{
			"channel_id": c.Channel.String(), "peer": c.Peer.String(), "txid": chainhash.Hash(c.ClosingTxid).String(),
			"swept_sat": c.SweptSat, "lost_sat": c.LostSat, "fees_sat": c.FeesSat,
		}
	}
	return fmt.Sprintf("%T", kind), map[string]any{} // of a later release of the package
}
