package opening

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// Config is what this node asks of a channel and accepts in one.
type Config struct {
	Chain            chainhash.Hash // genesis hash of the chain
	MinCapacitySat   uint64
	MaxCapacitySat   uint64
	DustLimitSat     uint64
	HTLCMinimumMsat  uint64
	ToSelfDelay      uint16 // blocks that we ask of the counterparty
	MaxToSelfDelay   uint16 // blocks that we accept for ourselves
	MaxAcceptedHTLCs uint16
	MinDepth         uint32 // confirmations that we ask for as fundee
	MaxDepth         uint32 // confirmations that we accept to wait for as funder
	MinFeePerKw      uint32
	MaxFeePerKw      uint32
}

// DefaultConfig has the values for a chain, with limits that suit mainnet.
func DefaultConfig(chain chainhash.Hash) Config {
	return Config{
		Chain: chain, MinCapacitySat: 20_000, MaxCapacitySat: 10 * btcutil.SatoshiPerBitcoin,
		DustLimitSat: 354, HTLCMinimumMsat: 1, ToSelfDelay: 144, MaxToSelfDelay: 2016, MaxAcceptedHTLCs: 483,
		MinDepth: 3, MaxDepth: 144, MinFeePerKw: 253, MaxFeePerKw: 100_000,
	}
}

// ErrRejected is the root of every refusal of a channel's terms.
var ErrRejected = errors.New("channel terms are not acceptable")

// RejectedError says which term was refused.
type RejectedError struct {
	Field string // as in BOLT 2
	Why   string
}

func (e *RejectedError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrRejected, e.Field, e.Why) }

// Unwrap returns ErrRejected.
func (e *RejectedError) Unwrap() error { return ErrRejected }

func rejected(field, format string, args ...any) error {
	return &RejectedError{Field: field, Why: fmt.Sprintf(format, args...)}
}

// params are the terms that we announce for a channel of this capacity.
func (c Config) params(capacitySat uint64) facts.Params {
	return facts.Params{
		DustLimitSat:             c.DustLimitSat,
		MaxHTLCValueInFlightMsat: capacitySat * 1000,
		ReserveSat:               max(capacitySat/100, c.DustLimitSat),
		HTLCMinimumMsat:          c.HTLCMinimumMsat,
		ToSelfDelay:              c.ToSelfDelay,
		MaxAcceptedHTLCs:         c.MaxAcceptedHTLCs,
	}
}

// checkParams are the rules for what the other side announces, the same for open_channel and accept_channel.
func (c Config) checkParams(theirs, ours facts.Params, capacitySat uint64) error {
	switch {
	case theirs.DustLimitSat < 354:
		return rejected("dust_limit_satoshis", "%d is below 354", theirs.DustLimitSat)
	case theirs.DustLimitSat > 5_000:
		return rejected("dust_limit_satoshis", "%d would burn more than 5000 an output", theirs.DustLimitSat)
	case theirs.ReserveSat > capacitySat/5:
		return rejected("channel_reserve_satoshis", "%d is more than a fifth of the capacity", theirs.ReserveSat)
	case theirs.ReserveSat < ours.DustLimitSat:
		return rejected("channel_reserve_satoshis", "%d is below our dust limit %d", theirs.ReserveSat, ours.DustLimitSat)
	case ours.ReserveSat < theirs.DustLimitSat:
		return rejected("dust_limit_satoshis", "%d is above the reserve %d that we ask for", theirs.DustLimitSat, ours.ReserveSat)
	case theirs.ToSelfDelay > c.MaxToSelfDelay:
		return rejected("to_self_delay", "%d blocks are more than %d", theirs.ToSelfDelay, c.MaxToSelfDelay)
	case theirs.MaxAcceptedHTLCs == 0 || theirs.MaxAcceptedHTLCs > 483:
		return rejected("max_accepted_htlcs", "%d is not in 1..483", theirs.MaxAcceptedHTLCs)
	case theirs.HTLCMinimumMsat > capacitySat*10: // 1 % of the capacity, in msat
		return rejected("htlc_minimum_msat", "%d is more than a hundredth of the capacity", theirs.HTLCMinimumMsat)
	case theirs.MaxHTLCValueInFlightMsat < capacitySat*10:
		return rejected("max_htlc_value_in_flight_msat", "%d is less than a hundredth of the capacity", theirs.MaxHTLCValueInFlightMsat)
	}
	return nil
}

// checkFunding are the rules for amounts: the funder pays fee and anchors of the first commitments out of its balance and keeps its reserve.
func (c Config) checkFunding(capacitySat, pushMsat uint64, feePerKw uint32, reserveSat uint64) error {
	switch {
	case capacitySat < c.MinCapacitySat || capacitySat > c.MaxCapacitySat:
		return rejected("funding_satoshis", "%d is not in %d..%d", capacitySat, c.MinCapacitySat, c.MaxCapacitySat)
	case pushMsat > capacitySat*1000:
		return rejected("push_msat", "%d is more than the capacity", pushMsat)
	case feePerKw < c.MinFeePerKw || feePerKw > c.MaxFeePerKw:
		return rejected("feerate_per_kw", "%d is not in %d..%d", feePerKw, c.MinFeePerKw, c.MaxFeePerKw)
	}
	cost := uint64(commitment.CommitFee(satPerKw(feePerKw), 0)+commitment.AnchorsAmount) + reserveSat
	if capacitySat-pushMsat/1000 < cost {
		return rejected("push_msat", "the funder keeps too little for fee, anchors and reserve (%d sat)", cost)
	}
	return nil
}

// channelType is the only one that we speak.
func channelType() *lnwire.ChannelType {
	t := lnwire.ChannelType(*lnwire.NewRawFeatureVector(lnwire.StaticRemoteKeyRequired, lnwire.AnchorsZeroFeeHtlcTxRequired))
	return &t
}

func checkType(t *lnwire.ChannelType) error {
	if t == nil {
		return rejected("channel_type", "missing; this node opens anchors_zero_fee_htlc channels only")
	}
	got, want := lnwire.RawFeatureVector(*t), lnwire.RawFeatureVector(*channelType())
	// scid_alias and zero_conf variants have more bits and other rules.
	if !got.Equals(&want) {
		return rejected("channel_type", "only static_remotekey with anchors_zero_fee_htlc is supported")
	}
	return nil
}
