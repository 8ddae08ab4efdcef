package lnactor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// PayOption changes a call of Pay or Keysend.
type PayOption func(*payOptions)

type payOptions struct {
	id         *PaymentID
	amountMsat uint64
	maxFee     *uint64
	percent    float64
	maxParts   int
	timeout    time.Duration
}

// WithPaymentID chooses the payment's id, its idempotency key: of all calls with one id, ever, at most one pays. Without it every call of Pay is a
// payment of its own.
func WithPaymentID(id PaymentID) PayOption { return func(o *payOptions) { o.id = &id } }

// WithAmount sets the amount for an invoice that leaves it to the payer.
func WithAmount(msat uint64) PayOption { return func(o *payOptions) { o.amountMsat = msat } }

// WithMaxFee bounds what nodes on the way may take, all parts together, in msat. Without a bound it is 1 % of the amount and 50 satoshis.
func WithMaxFee(msat uint64) PayOption { return func(o *payOptions) { o.maxFee = &msat } }

// WithMaxFeePercent is WithMaxFee in percent of the amount.
func WithMaxFeePercent(percent float64) PayOption {
	return func(o *payOptions) { o.maxFee, o.percent = nil, percent }
}

// WithMaxParts bounds into how many parts the payment is split at a time, if the payee takes parts; 1: it is not split. Without it 16.
func WithMaxParts(n int) PayOption { return func(o *payOptions) { o.maxParts = n } }

// WithTimeout bounds how long routes are tried: no part is made after it, the first ones included. What is under way then may still arrive: the payment ends when all parts have ended. Without it a
// minute.
func WithTimeout(d time.Duration) PayOption { return func(o *payOptions) { o.timeout = d } }

// none is no percentage.
const none = -1

func payWith(opts []PayOption) payOptions {
	o := payOptions{percent: none}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// maxFeeMsat is the bound for an amount.
func (o *payOptions) maxFeeMsat(amountMsat uint64) (uint64, error) {
	switch {
	case o.maxFee != nil:
		return *o.maxFee, nil
	case math.IsNaN(o.percent) || o.percent > 100 || o.percent < 0 && o.percent != none:
		return 0, fmt.Errorf("%w: a fee of %v %% of the amount", ErrAmount, o.percent)
	case o.percent >= 0:
		return uint64(float64(amountMsat) * o.percent / 100), nil
	}
	return amountMsat/100 + 50_000, nil
}

// Pay pays an invoice, over the cheapest routes to the payee and in parts if need be; parts that fail are tried again over others. When it returns
// without an error the payment is durable and under way; its outcome comes as PaymentSent or PaymentFailed, and GetPayment tells where it stands.
//
// It waits for as long as the context lets it, if need be for a node that does not get on: give it a deadline. An expired context tells nothing of the
// payment, so choose the id (WithPaymentID) and call again with it, which never pays twice; without an id nobody could ask what became of it.
//
// With another error nothing was sent. ErrPaymentIDUsed: this id was used before. ErrNoRoute, *RouteLimitError, ErrBalance, ErrNoChannel: no way was
// found, ErrDeadline: nor was one until the time of WithTimeout was over; and the id is still unused. There is one exception: when the context ends,
// or a part of the node crashes over the call, the payment may have begun, or may begin until that time is over. GetPayment of its id waits until it
// has begun or was refused.
func (n *Node) Pay(ctx context.Context, bolt11 string, opts ...PayOption) (PaymentID, error) {
	o := payWith(opts)
	req, err := invoice.Decode(bolt11, n.cfg.Params, n.env.Clock.Now())
	if err != nil {
		return PaymentID{}, n.fail("pay", err)
	}
	msg := messages.Pay{
		Hash: req.Hash, AmountMsat: req.AmountMsat, Secret: req.Secret, Metadata: req.Metadata,
		MinFinalCLTVDelta: req.MinFinalCLTVDelta, Bolt11: req.Bolt11, Hints: hints(req.RouteHints), MPP: req.MPP,
	}
	copy(msg.Payee[:], req.Destination.SerializeCompressed())
	switch {
	case msg.AmountMsat == 0:
		msg.AmountMsat = o.amountMsat
	case o.amountMsat != 0 && o.amountMsat != msg.AmountMsat:
		return PaymentID{}, n.fail("pay", fmt.Errorf("%w: the invoice asks for %d msat", ErrAmount, msg.AmountMsat))
	}
	if msg.AmountMsat == 0 {
		return PaymentID{}, n.fail("pay", fmt.Errorf("%w: the invoice leaves it to you, use WithAmount", ErrAmount))
	}
	return n.pay(ctx, "pay", &msg, &o)
}

// keysendDelta is the min_final_cltv_expiry_delta for a payee that did not say one: what other implementations use, with room.
const keysendDelta = 40

// Keysend pays a node that made no invoice, if it takes such payments. The preimage of PaymentSent was drawn here, so it proves nothing.
func (n *Node) Keysend(ctx context.Context, payee NodeID, amountMsat uint64, opts ...PayOption) (PaymentID, error) {
	o := payWith(opts)
	if amountMsat == 0 || o.amountMsat != 0 && o.amountMsat != amountMsat {
		return PaymentID{}, n.fail("keysend", ErrAmount)
	}
	var preimage ln.Preimage
	if _, err := rand.Read(preimage[:]); err != nil {
		return PaymentID{}, n.fail("keysend", err)
	}
	msg := messages.Pay{
		Hash: sha256.Sum256(preimage[:]), AmountMsat: amountMsat, Payee: payee, MinFinalCLTVDelta: keysendDelta, Keysend: &preimage,
	}
	return n.pay(ctx, "keysend", &msg, &o)
}

func (n *Node) pay(ctx context.Context, op string, msg *messages.Pay, o *payOptions) (PaymentID, error) {
	var err error
	if msg.MaxFeeMsat, err = o.maxFeeMsat(msg.AmountMsat); err != nil {
		return PaymentID{}, n.fail(op, err)
	}
	msg.MaxParts = o.maxParts
	if o.timeout > 0 {
		msg.Deadline = n.env.Clock.Now().Add(o.timeout)
	}
	if o.id != nil {
		msg.PaymentID = *o.id
	} else if _, err := rand.Read(msg.PaymentID[:]); err != nil {
		return PaymentID{}, n.fail(op, err)
	}
	reply, err := ask[messages.PayReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		msg.ReplyTo = to
		return *msg
	})
	if err == nil {
		err = reply.Err
	}
	return msg.PaymentID, n.fail(op, err)
}

// hints are an invoice's route hints as routes are found by.
func hints(all [][]zpay32.HopHint) [][]route.Hint {
	var out [][]route.Hint
	for _, hops := range all {
		var hint []route.Hint
		for _, h := range hops {
			hop := route.Hint{
				SCID: h.ChannelID, BaseMsat: h.FeeBaseMSat, PropMillionths: h.FeeProportionalMillionths, CLTVDelta: h.CLTVExpiryDelta,
			}
			copy(hop.Node[:], h.NodeID.SerializeCompressed())
			hint = append(hint, hop)
		}
		out = append(out, hint)
	}
	return out
}

// AbandonPayment stops the retries of a payment: no new parts are made, and it fails when the ones that are under way have failed. One of them may
// still arrive, then it is sent. A payment that is PaymentUnknown with a Reason, after a restore, is taken as failed: ask the payee before. When it returns, that is durable. ErrNotFound: no payment has this id; ErrPaymentOver: it has its outcome.
func (n *Node) AbandonPayment(ctx context.Context, id PaymentID) error {
	reply, err := ask[messages.AbandonReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.AbandonPayment{PaymentID: id, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	if errors.Is(err, manager.ErrNoPayment) {
		err = fmt.Errorf("payment %s: %w", id, ErrNotFound)
	}
	return n.fail("abandon payment", err)
}
