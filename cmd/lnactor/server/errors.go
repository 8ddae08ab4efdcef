package server

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/internal/invoice"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// known errors of the node, the first that fits counts: the code, the stable word and what to do.
var known = []struct {
	err    error
	code   connect.Code
	reason string
	hint   string
}{
	{lnactor.ErrPaymentIDUsed, connect.CodeAlreadyExists, "payment_id_used", "look at the payment; to pay again choose another id"},
	{lnactor.ErrNotFound, connect.CodeNotFound, "not_found", "check the id"},
	{lnactor.ErrInvoiceExpired, connect.CodeFailedPrecondition, "invoice_expired", "ask the payee for a new invoice"},
	{lnactor.ErrInvoiceMalformed, connect.CodeInvalidArgument, "invoice_malformed", "copy the whole invoice; it begins with ln"},
	{lnactor.ErrWrongNetwork, connect.CodeInvalidArgument, "wrong_network", "the invoice must be of this node's network"},
	{invoice.ErrNoSecret, connect.CodeInvalidArgument, "invoice_unsafe", "ask the payee for an invoice of a newer wallet"},
	{invoice.ErrUnknownFeature, connect.CodeFailedPrecondition, "invoice_feature", "ask the payee for an invoice without that feature"},
	{invoice.ErrDeltaTooHigh, connect.CodeFailedPrecondition, "invoice_delta", "ask the payee for an invoice that locks the payment for fewer blocks"},
	{invoice.ErrAmountImpossible, connect.CodeInvalidArgument, "invoice_amount", "ask the payee for an invoice with another amount"},
	{invoice.ErrParams, connect.CodeInvalidArgument, "invoice_params", "nothing was made; change what the invoice asks for"},
	{manager.ErrInvoice, connect.CodeInvalidArgument, "invoice_impossible", "ask the payee for another invoice"},
	{lnactor.ErrAmount, connect.CodeInvalidArgument, "amount", "give an amount if the invoice has none, and only then"},
	{lnactor.ErrNoChannel, connect.CodeFailedPrecondition, "no_channel", "open a channel, and wait until it is open and its peer connected"},
	{lnactor.ErrBalance, connect.CodeFailedPrecondition, "balance", "less than that can be sent over the channels now; see their balances"},
	{lnactor.ErrNoRoute, connect.CodeFailedPrecondition, "no_route", "the payee may be unknown, or no channel on the way large enough; open a channel nearer to it"},
	{lnactor.ErrSelfPayment, connect.CodeInvalidArgument, "self_payment", "the invoice is of this node"},
	{lnactor.ErrPaymentOver, connect.CodeFailedPrecondition, "payment_over", "look at the payment"},
	{lnactor.ErrAbandoned, connect.CodeAborted, "abandoned", "the id stands for that payment; to pay choose another id"},
	{lnactor.ErrDeadline, connect.CodeFailedPrecondition, "too_late", "the id is unused: try again, with more time if need be"},
	{lnactor.ErrBusy, connect.CodeResourceExhausted, "busy", "try again when some payments are done"},
	{lnactor.ErrStarting, connect.CodeUnavailable, "starting", "the channel's part of the node is starting; try again"},
	{lnactor.ErrPartAway, connect.CodeFailedPrecondition, "part_away", "see lnactor status for the channel; refuse the payment if it can't wait"},
	{lnactor.ErrPreimage, connect.CodeInvalidArgument, "preimage", "give the preimage of the invoice's payment hash"},
	{lnactor.ErrNotHeld, connect.CodeNotFound, "not_held", "it may be claimed or refused already: see lnactor invoices; its parts may not be complete: see lnactor htlcs explain"},
	{lnactor.ErrInvoiceHeld, connect.CodeFailedPrecondition, "invoice_held", "lnactor refuse gives the payer the money back; then the invoice can be cancelled"},
	{lnactor.ErrInvoicePaid, connect.CodeFailedPrecondition, "invoice_paid", "to give the money back, ask the payer for an invoice"},
	{lnactor.ErrOpeningLost, connect.CodeAborted, "opening_lost", "look at the channels before you repeat it"},
	{manager.ErrOpenings, connect.CodeResourceExhausted, "too_many_openings", "wait for one of the openings to be finished"},
	{manager.ErrNoKeys, connect.CodeFailedPrecondition, "no_keys", "close the channels, move the coins and begin with a new seed"},
	{lnactor.ErrRejected, connect.CodeFailedPrecondition, "channel_rejected", "change the channel's terms"},
	{lnactor.ErrPeerGone, connect.CodeUnavailable, "peer_gone", "connect to the peer and try again"},
	{lnactor.ErrNotConnected, connect.CodeFailedPrecondition, "not_connected", "connect to the peer first"},
	{lnactor.ErrChannelEnded, connect.CodeFailedPrecondition, "channel_ended", "nothing is forwarded over it any more; see lnactor channels"},
	{lnactor.ErrAlreadyClosed, connect.CodeFailedPrecondition, "already_closed", "nothing has to be done: lnactor channels shows how far it is, lnactor closed that it is over"},
	{lnactor.ErrUnverified, connect.CodeFailedPrecondition, "unverified", "connect to the peer; only if it will never come back and nothing happened after the backup: lnactor channels trust-restored"},
	{lnactor.ErrQuarantined, connect.CodeFailedPrecondition, "quarantined", "its records can't be used: lnactor doctor says what to do"},
	{lnactor.ErrVerified, connect.CodeFailedPrecondition, "verified", "nothing has to be done"},
	{lnactor.ErrBehind, connect.CodeFailedPrecondition, "behind", "ask the peer to close; what is ours is swept then"},
	{lnactor.ErrBadAddress, connect.CodeInvalidArgument, "bad_address", "check that the address is whole and of this node's network"},
	{lnactor.ErrBadOutput, connect.CodeInvalidArgument, "bad_output", "choose an amount that nodes relay"},
	{lnactor.ErrBadFeeRate, connect.CodeInvalidArgument, "bad_fee_rate", "253 satoshis per 1000 weight units are the least"},
	{lnactor.ErrNoFeeSource, connect.CodeFailedPrecondition, "no_fee_estimate", "give a fee rate, or set fee-url or fee-per-kw"},
	{lnactor.ErrStaleFees, connect.CodeFailedPrecondition, "no_fee_estimate", "give a fee rate, or set fee-url or fee-per-kw"},
	{lnactor.ErrNoFeeRate, connect.CodeFailedPrecondition, "no_fee_estimate", "give a fee rate, or set fee-url or fee-per-kw"},
	{lnactor.ErrNotSynced, connect.CodeUnavailable, "not_synced", "the wallet reads the chain; try again"},
	{lnactor.ErrNotPending, connect.CodeNotFound, "not_pending", "it confirmed, or it is no payment of this wallet; channels raise the fees of their own transactions"},
	{lnactor.ErrHasChild, connect.CodeFailedPrecondition, "has_child", "raise the fee of the newer transaction instead; see lnactor coins"},
	{lnactor.ErrNotReplaceable, connect.CodeFailedPrecondition, "not_replaceable", "wait until it confirms"},
	{lnactor.ErrSendRefused, connect.CodeFailedPrecondition, "refused_by_chain", "nothing was paid; see the reason, and try again with another fee or amount"},
	{regtest.ErrFaucetEmpty, connect.CodeResourceExhausted, "faucet_empty", "mine more blocks"},
	{chain.ErrUnreachable, connect.CodeUnavailable, "chain_unreachable", "check that the chain backend runs"},
	{lnactor.ErrClosed, connect.CodeUnavailable, "stopping", "the node is stopping"},
	{lnactor.ErrConfig, connect.CodeFailedPrecondition, "configuration", "the node's configuration does not allow it; see lnactor config show"},
	{lnactor.ErrCorrupt, connect.CodeDataLoss, "corrupt", "stop the node, keep a copy of the data directory, and see lnactor inspect"},
	{lnactor.ErrStoreFailed, connect.CodeUnavailable, "store_failed", "see the node's log"},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "deadline", "look before you repeat it: it may still have its effect"},
	{context.Canceled, connect.CodeCanceled, "canceled", "look before you repeat it: it may still have its effect"},
}

// problem is an error with a detail.
func problem(code connect.Code, reason, text, hint string) *connect.Error {
	return detailed(connect.NewError(code, errors.New(text)), &apiv1.ErrorDetail{Reason: reason, Hint: hint})
}

func detailed(e *connect.Error, d *apiv1.ErrorDetail) *connect.Error {
	if detail, err := connect.NewErrorDetail(d); err == nil {
		e.AddDetail(detail)
	}
	return e
}

// invalid is an argument that can't be right.
func invalid(text, hint string) error {
	return problem(connect.CodeInvalidArgument, "invalid_argument", text, hint)
}

// failed gives an error of the node its code and its detail. Nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	if already := (*connect.Error)(nil); errors.As(err, &already) {
		return already
	}
	code, detail := connect.CodeInternal, &apiv1.ErrorDetail{Reason: "internal"}
	var funds *lnactor.InsufficientFundsError
	var reserve *lnactor.ReserveError
	var limit *lnactor.RouteLimitError
	var policy *lnactor.PolicyError
	switch {
	case errors.As(err, &reserve):
		code, detail.Reason = connect.CodeFailedPrecondition, "reserve"
		detail.Hint = "send less, or allow the use of the reserve: then a channel's end may find no coins for its fees"
	case errors.As(err, &limit):
		code, detail.Reason, detail.Hint = connect.CodeFailedPrecondition, "route_limit", "allow a higher fee, or pay less"
	case errors.As(err, &funds):
		code, detail.Reason, detail.Hint = connect.CodeFailedPrecondition, "insufficient_funds", "pay coins to an address of the wallet and wait until they confirm"
	case errors.As(err, &policy):
		code, detail.Reason, detail.Hint = connect.CodeInvalidArgument, "policy", "nothing was changed"
	default:
		for _, k := range known {
			if errors.Is(err, k.err) {
				code, detail.Reason, detail.Hint = k.code, k.reason, k.hint
				break
			}
		}
	}
	var e *lnactor.Error
	if errors.As(err, &e) {
		if e.Channel != (lnactor.ChannelID{}) {
			detail.ChannelId = e.Channel.String()
		}
		if e.Hint != "" {
			detail.Hint = e.Hint
			bare := *e
			bare.Hint = "" // it is in the detail
			err = &bare
		}
	}
	return detailed(connect.NewError(code, err), detail)
}
