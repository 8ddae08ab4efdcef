package lnactor

import (
	"context"
	"crypto/sha256"
	"slices"
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

	// Unreachable: it names no way to the node, and the node has no channel that is announced. Only a peer can pay it.
	Unreachable bool
}

// graphPatience is how long an invoice waits for what the graph knows of our channels, and for the peer of one of them to say what it asks for.
// policyLook is how often that is looked at.
const (
	graphPatience = 5 * time.Second
	policyLook    = 20 * time.Millisecond
)

// CreateInvoice makes an invoice (BOLT 11) that may be paid in parts. Nothing has to be stored for it: its secret says what was asked, and the preimage
// derives from the seed, so an invoice can be paid although every record of the node was lost. A node whose channels are all unannounced names them in
// it; where none of their peers has said yet what it asks for, as right after a start, that is waited for, a few seconds at most: Invoice.Hints tells.
func (n *Node) CreateInvoice(ctx context.Context, p InvoiceParams) (Invoice, error) {
	params := invoice.Params{
		AmountMsat: p.AmountMsat, Description: p.Description, DescriptionHash: p.DescriptionHash, Expiry: p.Expiry,
		MinFinalCLTVDelta: p.MinFinalCLTVDelta, MPP: true, Hold: p.Hold, Hash: p.Hash,
		Now: n.env.Clock.Now(), Signer: n.invoiceSigner, Chain: n.cfg.Params,
	}
	var err error
	var unreachable bool
	if params.RouteHints, unreachable, err = n.routeHints(ctx, p); err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	if _, err := n.cfg.Rand.Read(params.IV[:]); err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	inv, err := invoice.New(n.invoices, params)
	if err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	return Invoice{Bolt11: inv.Bolt11, Hash: inv.Hash, ExpiresAt: inv.ExpiresAt, Hints: len(params.RouteHints), Unreachable: unreachable}, nil
}

// routeHints are ways to this node that payers have to be told of. unreachable: there are none, and no
// channel that everybody knows.
func (n *Node) routeHints(ctx context.Context, p InvoiceParams) (hints [][]zpay32.HopHint, unreachable bool, err error) {
	list, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any { return messages.ListChannels{ReplyTo: to} })
	if err != nil {
		return nil, false, err
	}
	if wantsHints(list.Channels, p.Private) {
		hints, err = n.chosenHints(ctx, list.Channels, p)
	}
	public := slices.ContainsFunc(list.Channels, func(c messages.ChannelSummary) bool { return c.Announce && c.Phase == messages.PhaseOpen })
	return hints, len(hints) == 0 && !public, err
}

// chosenHints asks what is known of our channels, until one can be named or none has to be waited for. Where the graph does not answer, an invoice that was
// not asked to name them is made without.
func (n *Node) chosenHints(ctx context.Context, channels []messages.ChannelSummary, p InvoiceParams) ([][]zpay32.HopHint, error) {
	limit, cancel := context.WithTimeout(ctx, graphPatience)
	defer cancel()
	for answered := false; ; answered = true {
		policies, err := askAgain[messages.PolicyList](limit, n, messages.GraphAddr, func(to messages.Addr) any { return messages.ListPolicies{ReplyTo: to} })
		switch {
		case err != nil && (ctx.Err() != nil || p.Private && !answered):
			return nil, err
		case err != nil:
			return nil, nil
		}
		hints := chooseHints(channels, policies.Channels, p.AmountMsat)
		if len(hints) > 0 || !awaitsPolicy(channels, policies.Channels) {
			return hints, nil
		}
		select {
		case <-limit.Done():
			return nil, ctx.Err()
		case <-time.After(policyLook):
		}
	}
}

// ClaimPayment claims a payment that PaymentClaimable announced. When it returns, the decision is durable. It waits for as long as the context lets it:
// give it a deadline. An expired one tells nothing: GetReceived says what was decided, and a second call does no harm (ErrNotHeld: it is decided).
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
