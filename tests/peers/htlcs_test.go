package peers

import (
	"crypto/sha256"

	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// outHTLC is a payment of ours that lnd holds.
type outHTLC struct {
	id       lnactor.PaymentID
	preimage lnactor.Preimage
	hash     lnactor.Hash
	msat     uint64
}

// weOffer pays hold invoices of lnd's and returns when lnd holds all of them.
func (r *rig) weOffer(amounts ...uint64) (list []outHTLC) {
	r.t.Helper()
	for _, msat := range amounts {
		h := outHTLC{preimage: ln.Preimage(randomBytes(r.rng, 32)), msat: msat}
		h.hash = sha256.Sum256(h.preimage[:])
		bolt11, err := r.lnd.holdInvoice(r.ctx, h.preimage, msat)
		must(r.t, err)
		h.id, err = r.us.Pay(r.ctx, bolt11)
		must(r.t, err)
		list = append(list, h)
	}
	for _, h := range list {
		await(r.t, r.ctx, "lnd to hold our payment", func() bool {
			inv, err := r.lnd.lookup(r.ctx, h.hash[:])
			return err == nil && inv.State == "ACCEPTED"
		})
	}
	return list
}

// inHTLC is a payment of lnd's that we hold.
type inHTLC struct {
	hash    lnactor.Hash
	msat    uint64
	outcome <-chan lndPayment
}

// lndOffers has lnd pay invoices of ours and returns when we hold all of them; the node must have been set to ask.
func (r *rig) lndOffers(amounts ...uint64) (list []inHTLC) {
	r.t.Helper()
	for _, msat := range amounts {
		inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
		must(r.t, err)
		outcome := make(chan lndPayment, 1)
		go func() {
			p, _ := r.lnd.pay(r.ctx, inv.Bolt11, nil) // nothing if lnd is killed meanwhile
			outcome <- p
		}()
		list = append(list, inHTLC{hash: inv.Hash, msat: msat, outcome: outcome})
	}
	for _, h := range list {
		awaitEvent(r.t, r.ctx, r.us, "PaymentClaimable", func(e lnactor.PaymentClaimable) bool { return e.Hash == h.hash && e.AmountMsat == h.msat })
	}
	return list
}

func satPerKw(v uint32) chainfee.SatPerKWeight { return chainfee.SatPerKWeight(v) }
