package opening

import (
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Check tells whether the terms of an open_channel are acceptable: a RejectedError, or nil. It looks at everything but the keys, and needs none: a
// peer can have as many bad terms refused as it likes, at no cost that lasts.
func (c Config) Check(m *lnwire.OpenChannel) error {
	if m.ChainHash != c.Chain {
		return rejected("chain_hash", "%s is not our chain", m.ChainHash)
	}
	if err := checkType(m.ChannelType); err != nil {
		return err
	}
	capacity := uint64(m.FundingAmount)
	ours := c.params(capacity)
	// The funder keeps the reserve that we ask for.
	if err := c.checkFunding(capacity, uint64(m.PushAmount), m.FeePerKiloWeight, ours.ReserveSat); err != nil {
		return err
	}
	return c.checkParams(offered(m), ours, capacity)
}

// offered are the terms that the funder announces.
func offered(m *lnwire.OpenChannel) facts.Params {
	return facts.Params{
		DustLimitSat: uint64(m.DustLimit), MaxHTLCValueInFlightMsat: uint64(m.MaxValueInFlight), ReserveSat: uint64(m.ChannelReserve),
		HTLCMinimumMsat: uint64(m.HtlcMinimum), ToSelfDelay: m.CsvDelay, MaxAcceptedHTLCs: m.MaxAcceptedHTLCs,
		UpfrontShutdownScript: m.UpfrontShutdownScript,
	}
}

func (o *Opening) onOpen(m *lnwire.OpenChannel) (Effects, error) {
	capacity := uint64(m.FundingAmount)
	ours := o.cfg.params(capacity)
	theirs := offered(m)
	keys := commitment.Basepoints{
		Funding: m.FundingKey, Revocation: m.RevocationPoint, Payment: m.PaymentPoint, DelayedPayment: m.DelayedPaymentPoint, HTLC: m.HtlcPoint,
	}
	if err := o.cfg.Check(m); err != nil {
		return Effects{}, err
	}
	if err := distinct(keys, m.FirstCommitmentPoint, o.keys); err != nil {
		return Effects{}, err
	}
	point, err := o.signer.PerCommitmentPoint(o.terms.KeyIndex, 0)
	if err != nil {
		return Effects{}, err
	}
	o.bases(keys, ours, theirs, capacity)
	o.static.Announce = m.ChannelFlags&lnwire.FFAnnounceChannel != 0
	o.static.MinDepth = max(o.cfg.MinDepth, 1)
	o.opened = facts.Opened{
		HolderMsat: uint64(m.PushAmount), CounterpartyMsat: capacity*1000 - uint64(m.PushAmount), FeePerKw: m.FeePerKiloWeight,
		CounterpartyPoint: compressed(m.FirstCommitmentPoint),
	}
	o.stage = awaitCreated
	return Effects{Send: []lnwire.Message{&lnwire.AcceptChannel{
		PendingChannelID: o.terms.TemporaryID,
		DustLimit:        btcutil.Amount(ours.DustLimitSat), MaxValueInFlight: lnwire.MilliSatoshi(ours.MaxHTLCValueInFlightMsat),
		ChannelReserve: btcutil.Amount(ours.ReserveSat), HtlcMinimum: lnwire.MilliSatoshi(ours.HTLCMinimumMsat),
		MinAcceptDepth: o.static.MinDepth, CsvDelay: ours.ToSelfDelay, MaxAcceptedHTLCs: ours.MaxAcceptedHTLCs,
		FundingKey: o.keys.Funding, RevocationPoint: o.keys.Revocation, PaymentPoint: o.keys.Payment,
		DelayedPaymentPoint: o.keys.DelayedPayment, HtlcPoint: o.keys.HTLC, FirstCommitmentPoint: point,
		ChannelType: channelType(),
	}}}, nil
}

func (o *Opening) onCreated(m *lnwire.FundingCreated, tip Tip) (Effects, error) {
	// The peer may name any outpoint, and with it the channel's id. No transaction has these, and the zero id means no channel.
	if m.FundingPoint.Hash == (chainhash.Hash{}) || ln.NewChannelID(m.FundingPoint) == (ln.ChannelID{}) {
		return Effects{}, rejected("funding_txid", "%s is no transaction", m.FundingPoint)
	}
	o.settle(m.FundingPoint)
	if err := o.verify(m.CommitSig); err != nil {
		return Effects{}, err
	}
	sig, err := o.sign()
	if err != nil {
		return Effects{}, err
	}
	reply := &lnwire.FundingSigned{ChanID: lnwire.ChannelID(o.static.ID), CommitSig: sig}
	return o.create(tip, reply), nil
}
