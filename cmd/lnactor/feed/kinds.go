package feed

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// fields are what an event's data holds. Names are those of the API: snake case, the unit at the end; ids and hashes are hexadecimal.
type fields map[string]any

// kind is how one kind of event is told. See docs/events.md, which explains each.
type kind struct {
	name   string
	of     reflect.Type
	encode func(any) fields
}

func tell[K any](encode func(K) fields) kind {
	t := reflect.TypeFor[K]()
	return kind{name: t.Name(), of: t, encode: func(k any) fields { return encode(k.(K)) }} //nolint:forcetypeassert // by its type
}

// kinds is the table of all kinds. TestEveryKind fails when the node has one that is not here, or a field that is not told.
var kinds = []kind{
	tell(func(k lnactor.PaymentSent) fields {
		return fields{
			"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "fee_msat": k.FeeMsat, "preimage": k.Preimage.String(),
		}
	}),
	tell(func(k lnactor.PaymentFailed) fields {
		return fields{"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "reason": k.Reason, "unproven": k.Unproven}
	}),
	tell(func(k lnactor.PaymentLost) fields {
		return fields{
			"payment_id": k.PaymentID.String(), "payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "preimage": k.Preimage.String(),
			"channel_id": k.Channel.String(), "htlc_id": k.HTLCID,
		}
	}),
	tell(func(k lnactor.PaymentClaimable) fields {
		f := fields{"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "deadline": k.Deadline, "parts": parts(k.Parts), "preimage_unknown": k.PreimageUnknown}
		return f.records(k.Records)
	}),
	tell(func(k lnactor.PaymentClaimed) fields {
		f := fields{
			"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "channel_id": k.Channel.String(), "htlc_id": k.HTLCID, "parts": parts(k.Parts),
		}
		return f.records(k.Records)
	}),
	tell(func(k lnactor.ClaimLost) fields {
		return fields{"payment_hash": k.Hash.String(), "amount_msat": k.AmountMsat, "channel_id": k.Channel.String(), "htlc_id": k.HTLCID}
	}),
	tell(func(k messages.PaymentForwarded) fields {
		return fields{
			"payment_hash": k.Hash.String(), "in_channel_id": k.InChannel.String(), "in_htlc_id": k.InHTLCID, "in_amount_msat": k.InAmountMsat,
			"out_channel_id": k.OutChannel.String(), "out_htlc_id": k.OutHTLCID, "out_amount_msat": k.OutAmountMsat,
			"fee_msat": k.FeeMsat, "on_chain": k.OnChain, "claim_lost": k.ClaimLost,
		}
	}),
	tell(func(k messages.HTLCHandlingFailed) fields {
		f := fields{
			"payment_hash": k.Hash.String(), "channel_id": k.Channel.String(), "htlc_id": k.HTLCID, "amount_msat": k.AmountMsat, "reason": k.Reason,
		}
		if k.NextSCID != 0 {
			f["next_scid"] = scid(k.NextSCID)
		}
		if k.OutChannel != (lnactor.ChannelID{}) {
			f["out_channel_id"] = k.OutChannel.String()
		}
		return f
	}),
	tell(func(k lnactor.ChannelPending) fields {
		return fields{"channel_id": k.Channel.String(), "peer": k.Peer.String(), "funding": outpoint(k.FundingTxid, k.FundingIndex)}
	}),
	tell(func(k lnactor.ChannelReady) fields {
		return fields{"channel_id": k.Channel.String(), "peer": k.Peer.String()}
	}),
	tell(func(k lnactor.ChannelClosed) fields {
		f := fields{"channel_id": k.Channel.String(), "peer": k.Peer.String(), "closed_by": causes[k.Cause]}
		if k.Txid != [32]byte{} {
			f["txid"] = chainhash.Hash(k.Txid).String()
		}
		if k.Force != nil {
			f["reason"], f["detail"] = reasons[k.Force.Reason], k.Force.Detail
		}
		return f
	}),
	tell(func(k lnactor.ChannelResolved) fields {
		c := k.Closed
		return fields{
			"channel_id": c.Channel.String(), "peer": c.Peer.String(), "funding": outpoint(c.FundingTxid, c.FundingIndex), "capacity_sat": c.CapacitySat,
			"txid": chainhash.Hash(c.ClosingTxid).String(), "height": c.Height, "closed_by": spends[c.Spend],
			"swept_sat": c.SweptSat, "lost_sat": c.LostSat, "fees_sat": c.FeesSat,
		}
	}),
}

// How a channel ended, in the words of the API's ClosedChannel.closed_by.
var (
	causes = map[messages.ClosedBy]string{
		messages.ClosedByUs: "ours", messages.ClosedMutually: "mutual", messages.ClosedByPeer: "theirs",
		messages.ClosedByRevoked: "revoked", messages.ClosedByUnknownSpend: "unknown",
	}
	spends = map[facts.SpendKind]string{
		facts.SpendHolder: "ours", facts.SpendMutualClose: "mutual", facts.SpendCounterparty: "theirs",
		facts.SpendRevoked: "revoked", facts.SpendUnknown: "unknown",
	}
	reasons = map[facts.CloseReason]string{
		facts.CloseByUser: "user", facts.CloseByProtocolError: "protocol_error", facts.CloseByPeerError: "peer_error",
		facts.CloseByHTLCDeadline: "htlc_deadline", facts.CloseByReorganisation: "reorganisation",
		facts.CloseByFundingTimeout: "funding_timeout",
	}
)

func parts(list []messages.PaymentPart) []fields {
	out := make([]fields, 0, len(list))
	for _, p := range list {
		out = append(out, fields{"channel_id": p.Channel.String(), "htlc_id": p.HTLCID, "amount_msat": p.AmountMsat})
	}
	return out
}

// records adds what the payer's application said: hexadecimal, by type. Types are texts: not all of them fit into the numbers of JSON.
func (f fields) records(list []messages.CustomRecord) fields {
	all := fields{}
	for _, r := range list {
		all[strconv.FormatUint(r.Type, 10)] = hex.EncodeToString(r.Value)
	}
	if len(all) > 0 {
		f["records"] = all
	}
	return f
}

func outpoint(txid [32]byte, index uint32) string {
	return wire.OutPoint{Hash: chainhash.Hash(txid), Index: index}.String()
}

// scid writes a short channel id as people do: block x transaction x output.
func scid(n uint64) string { return fmt.Sprintf("%dx%dx%d", n>>40, n>>16&0xffffff, n&0xffff) }

var kindOf = func() map[reflect.Type]*kind {
	m := map[reflect.Type]*kind{}
	for i := range kinds {
		m[kinds[i].of] = &kinds[i]
	}
	return m
}()

// Kinds are the names of all kinds of events.
func Kinds() []string {
	out := make([]string, len(kinds))
	for i := range kinds {
		out[i] = kinds[i].name
	}
	return out
}

// describe is an event's kind and its data as JSON.
func describe(k any) (name string, data json.RawMessage, err error) {
	t := kindOf[reflect.TypeOf(k)]
	if t == nil {
		// Of a part of this program that is newer than this file, which a test excludes. The event is told all the same: it must not get lost.
		data, err = json.Marshal(map[string]string{"text": fmt.Sprintf("%+v", k)})
		return reflect.TypeOf(k).Name(), data, err
	}
	data, err = json.Marshal(t.encode(k))
	return t.name, data, err
}
