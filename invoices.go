package lnactor

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// InvoiceParams says what an invoice asks for.
type InvoiceParams struct {
	AmountMsat uint64 // 0: the payer chooses

	// Description is what the payer sees. DescriptionHash stands for one that is too long, and that the payer got otherwise; only one of both.
	Description     string
	DescriptionHash *[32]byte

	Expiry            time.Duration // 0: one hour
	MinFinalCLTVDelta uint16        // blocks that a payment has left when it comes; 0: 42. It can be held until 24 are left

	// Hold asks about a payment (PaymentClaimable, ClaimPayment, RefusePayment) instead of claiming it at once, whatever Config.ManualClaim says.
	Hold bool

	// Hash is the payment hash of an invoice whose preimage the node does not know; it implies Hold. Nil: the node makes a preimage. See
	// ClaimPaymentWith.
	Hash *Hash

	// Private names ways to the node over channels that are not announced, although it has some that are. A node that has none always names them.
	Private bool
}

// Invoice is a request for a payment to this node.
type Invoice struct {
	Bolt11    string
	Hash      Hash
	ExpiresAt time.Time
	Hints     int // ways to this node over channels that are not announced
}

// graphPatience is how long an invoice waits for what the graph knows of our channels.
const graphPatience = 5 * time.Second

// CreateInvoice makes an invoice (BOLT 11) that may be paid in parts. Nothing has to be stored for it: its secret says what was asked, and the preimage
// derives from the seed, so an invoice can be paid although every record of the node was lost.
func (n *Node) CreateInvoice(ctx context.Context, p InvoiceParams) (Invoice, error) {
	params := invoice.Params{
		AmountMsat: p.AmountMsat, Description: p.Description, DescriptionHash: p.DescriptionHash, Expiry: p.Expiry,
		MinFinalCLTVDelta: p.MinFinalCLTVDelta, MPP: true, Hold: p.Hold, Hash: p.Hash,
		Now: n.env.Clock.Now(), Signer: n.invoiceSigner, Chain: n.cfg.Params,
	}
	var err error
	if params.RouteHints, err = n.routeHints(ctx, p); err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	if _, err := n.cfg.Rand.Read(params.IV[:]); err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	inv, err := invoice.New(n.invoices, params)
	if err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	return Invoice{Bolt11: inv.Bolt11, Hash: inv.Hash, ExpiresAt: inv.ExpiresAt, Hints: len(params.RouteHints)}, nil
}

// routeHints asks what is known of our channels. Where the graph does not answer, an invoice that was not asked to name them is made without.
func (n *Node) routeHints(ctx context.Context, p InvoiceParams) ([][]zpay32.HopHint, error) {
	list, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any { return messages.ListChannels{ReplyTo: to} })
	if err != nil || !wantsHints(list.Channels, p.Private) {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, graphPatience)
	defer cancel()
	policies, err := askAgain[messages.PolicyList](limit, n, messages.GraphAddr, func(to messages.Addr) any { return messages.ListPolicies{ReplyTo: to} })
	switch {
	case err == nil:
		return chooseHints(list.Channels, policies.Channels, p.AmountMsat), nil
	case p.Private || ctx.Err() != nil:
		return nil, err
	}
	return nil, nil
}

// ClaimPayment claims a payment that PaymentClaimable announced. When it returns, the decision is durable.
func (n *Node) ClaimPayment(ctx context.Context, hash Hash) error {
	return n.decide(ctx, messages.ClaimHeld{Hash: hash, Claim: true})
}

// ClaimPaymentWith is ClaimPayment for an invoice whose hash was given to the node: it brings the preimage.
func (n *Node) ClaimPaymentWith(ctx context.Context, preimage Preimage) error {
	return n.decide(ctx, messages.ClaimHeld{Hash: ln.Hash(sha256.Sum256(preimage[:])), Claim: true, Preimage: &preimage})
}

// RefusePayment fails a payment that PaymentClaimable announced: the payer has the money back.
func (n *Node) RefusePayment(ctx context.Context, hash Hash) error {
	return n.decide(ctx, messages.ClaimHeld{Hash: hash})
}

func (n *Node) decide(ctx context.Context, msg messages.ClaimHeld) error {
	reply, err := ask[messages.ClaimReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		msg.ReplyTo = to
		return msg
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("decide about payment", err)
}
