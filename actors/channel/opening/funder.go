package opening

import (
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Start offers the channel to the peer.
func (o *Opening) Start() (Effects, error) {
	if o.stage != awaitStart {
		return Effects{}, fmt.Errorf("%w: started twice", ErrUnexpected)
	}
	o.funder = true
	t := o.terms
	ours := o.cfg.params(t.CapacitySat)
	if err := o.cfg.checkFunding(t.CapacitySat, t.PushMsat, t.FeePerKw, ours.ReserveSat); err != nil {
		return Effects{}, err
	}
	point, err := o.signer.PerCommitmentPoint(t.KeyIndex, 0)
	if err != nil {
		return Effects{}, err
	}
	var flags lnwire.FundingFlag
	if t.Announce {
		flags |= lnwire.FFAnnounceChannel
	}
	o.stage = awaitAccept
	return Effects{Send: []lnwire.Message{&lnwire.OpenChannel{
		ChainHash: o.cfg.Chain, PendingChannelID: t.TemporaryID,
		FundingAmount: btcutil.Amount(t.CapacitySat), PushAmount: lnwire.MilliSatoshi(t.PushMsat),
		DustLimit: btcutil.Amount(ours.DustLimitSat), MaxValueInFlight: lnwire.MilliSatoshi(ours.MaxHTLCValueInFlightMsat),
		ChannelReserve: btcutil.Amount(ours.ReserveSat), HtlcMinimum: lnwire.MilliSatoshi(ours.HTLCMinimumMsat),
		FeePerKiloWeight: t.FeePerKw, CsvDelay: ours.ToSelfDelay, MaxAcceptedHTLCs: ours.MaxAcceptedHTLCs,
		FundingKey: o.keys.Funding, RevocationPoint: o.keys.Revocation, PaymentPoint: o.keys.Payment,
		DelayedPaymentPoint: o.keys.DelayedPayment, HtlcPoint: o.keys.HTLC, FirstCommitmentPoint: point,
		ChannelFlags: flags, ChannelType: channelType(),
	}}}, nil
}

func (o *Opening) onAccept(m *lnwire.AcceptChannel) (Effects, error) {
	t := o.terms
	ours := o.cfg.params(t.CapacitySat)
	theirs := facts.Params{
		DustLimitSat: uint64(m.DustLimit), MaxHTLCValueInFlightMsat: uint64(m.MaxValueInFlight), ReserveSat: uint64(m.ChannelReserve),
		HTLCMinimumMsat: uint64(m.HtlcMinimum), ToSelfDelay: m.CsvDelay, MaxAcceptedHTLCs: m.MaxAcceptedHTLCs,
		UpfrontShutdownScript: m.UpfrontShutdownScript,
	}
	keys := commitment.Basepoints{
		Funding: m.FundingKey, Revocation: m.RevocationPoint, Payment: m.PaymentPoint, DelayedPayment: m.DelayedPaymentPoint, HTLC: m.HtlcPoint,
	}
	if err := checkType(m.ChannelType); err != nil {
		return Effects{}, err
	}
	if err := distinct(keys, m.FirstCommitmentPoint, o.keys); err != nil {
		return Effects{}, err
	}
	if err := o.cfg.checkParams(theirs, ours, t.CapacitySat); err != nil {
		return Effects{}, err
	}
	if m.MinAcceptDepth > o.cfg.MaxDepth {
		return Effects{}, rejected("minimum_depth", "%d confirmations are more than %d", m.MinAcceptDepth, o.cfg.MaxDepth)
	}
	// The reserve that the peer asks of us is known now.
	if err := o.cfg.checkFunding(t.CapacitySat, t.PushMsat, t.FeePerKw, theirs.ReserveSat); err != nil {
		return Effects{}, err
	}
	o.bases(keys, ours, theirs, t.CapacitySat)
	o.static.Announce = t.Announce
	o.static.MinDepth = max(m.MinAcceptDepth, 1)
	o.opened = facts.Opened{
		HolderMsat: t.CapacitySat*1000 - t.PushMsat, CounterpartyMsat: t.PushMsat, FeePerKw: t.FeePerKw,
		CounterpartyPoint: compressed(m.FirstCommitmentPoint),
	}
	out, err := o.fundingOutput()
	if err != nil {
		return Effects{}, err
	}
	o.stage = awaitWallet
	return Effects{Fund: out}, nil
}

// Funded continues with the wallet's transaction, whose inputs the wallet has reserved. It is signed but must not leave the node before Create
// is durable (rule 3).
func (o *Opening) Funded(tx *wire.MsgTx, output uint32) (Effects, error) {
	if o.stage != awaitWallet {
		return Effects{}, fmt.Errorf("%w: funded twice", ErrUnexpected)
	}
	op := wire.OutPoint{Hash: tx.TxHash(), Index: output}
	o.settle(op)
	o.static.FundingTx = serialize(tx)
	sig, err := o.sign()
	if err != nil {
		return Effects{}, err
	}
	o.stage = awaitSigned
	return Effects{Send: []lnwire.Message{&lnwire.FundingCreated{
		PendingChannelID: o.terms.TemporaryID, FundingPoint: op, CommitSig: sig,
	}}}, nil
}

func (o *Opening) onSigned(m *lnwire.FundingSigned, tip Tip) (Effects, error) {
	if ln.ChannelID(m.ChanID) != o.static.ID {
		return Effects{}, rejected("channel_id", "funding_signed is for %x", m.ChanID)
	}
	if err := o.verify(m.CommitSig); err != nil {
		return Effects{}, err
	}
	return o.create(tip, nil), nil
}

func (o *Opening) create(tip Tip, reply *lnwire.FundingSigned) Effects {
	o.static.OpenedHeight = tip.Height
	o.opened.ChainHeight, o.opened.ChainHash = tip.Height, tip.Hash
	o.stage = done
	opened := o.opened
	return Effects{Create: &opened, Reply: reply}
}
