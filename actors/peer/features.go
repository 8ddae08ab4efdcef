package peer

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/tlv"
)

// offered are the features of our init, required ones even (BOLT 9). Channels of this node are static_remotekey with anchors, opened by
// channel_type, so peers without these are of no use to it; anchors are optional only because a peer may still have other uses for us.
var offered = []lnwire.FeatureBit{
	lnwire.DataLossProtectRequired,
	lnwire.TLVOnionPayloadRequired,
	lnwire.StaticRemoteKeyRequired,
	lnwire.PaymentAddrRequired,
	lnwire.ExplicitChannelTypeRequired,
	lnwire.AnchorsZeroFeeHtlcTxOptional,
	lnwire.ShutdownAnySegwitOptional,
	lnwire.ScidAliasOptional,
}

// typeNetworks is the TLV of init that lists the chains a node is interested in.
const typeNetworks tlv.Type = 1

func features(gossip bool) *lnwire.RawFeatureVector {
	v := lnwire.NewRawFeatureVector(offered...)
	if gossip {
		v.Set(lnwire.GossipQueriesOptional)
	}
	return v
}

// Features are those of a node that speaks of itself in node_announcement.
func Features() *lnwire.RawFeatureVector { return features(true) }

// offers tells whether a peer has a feature, given as its optional bit.
func offers(m *lnwire.Init, optional lnwire.FeatureBit) bool {
	for _, v := range []*lnwire.RawFeatureVector{m.GlobalFeatures, m.Features} {
		if v != nil && (v.IsSet(optional) || v.IsSet(optional-1)) {
			return true
		}
	}
	return false
}

// newInit is our init message.
func newInit(chain chainhash.Hash, gossip bool) *lnwire.Init {
	m := lnwire.NewInitMessage(lnwire.NewRawFeatureVector(), features(gossip))
	m.ExtraData = append([]byte{byte(typeNetworks), chainhash.HashSize}, chain[:]...)
	return m
}

// checkInit tells whether we can talk to a peer.
func checkInit(m *lnwire.Init, chain chainhash.Hash) error {
	theirs := lnwire.NewRawFeatureVector()
	for _, v := range []*lnwire.RawFeatureVector{m.GlobalFeatures, m.Features} {
		if v == nil {
			continue
		}
		for bit := lnwire.FeatureBit(0); bit < bits(v); bit++ {
			if v.IsSet(bit) {
				theirs.Set(bit)
			}
		}
	}
	ours := features(true)
	for bit := lnwire.FeatureBit(0); bit < max(bits(theirs), bits(ours)); bit += 2 {
		known := ours.IsSet(bit) || ours.IsSet(bit+1)
		switch {
		case theirs.IsSet(bit) && !known:
			return fmt.Errorf("%w: it requires feature bit %d, which this node does not know", ErrUnsupported, bit)
		case ours.IsSet(bit) && !theirs.IsSet(bit) && !theirs.IsSet(bit+1):
			return fmt.Errorf("%w: it lacks feature bit %d, which this node requires", ErrUnsupported, bit)
		}
	}
	for t := range m.CustomRecords {
		if t%2 == 0 {
			return errEvenTLV
		}
	}
	return checkNetworks(m.ExtraData, chain)
}

// bits is where a vector ends: all bits from there on are unset.
func bits(v *lnwire.RawFeatureVector) lnwire.FeatureBit {
	return lnwire.FeatureBit(8 * min(v.SerializeSize(), maxFeatures))
}

var errEvenTLV = fmt.Errorf("%w: its init has a TLV of an even type that this node does not know", ErrUnsupported)

func checkNetworks(extra []byte, chain chainhash.Hash) error {
	stream, err := tlv.NewStream()
	if err != nil {
		return err
	}
	types, err := stream.DecodeWithParsedTypesP2P(bytes.NewReader(extra))
	if err != nil {
		return fmt.Errorf("%w: its init has no valid TLV stream", ErrMisbehaved)
	}
	for t := range types {
		if t%2 == 0 {
			return errEvenTLV
		}
	}
	networks, ok := types[typeNetworks]
	if !ok || len(networks) == 0 {
		return nil
	}
	if len(networks)%chainhash.HashSize != 0 {
		return fmt.Errorf("%w: its list of chains is malformed", ErrMisbehaved)
	}
	for ; len(networks) > 0; networks = networks[chainhash.HashSize:] {
		if chainhash.Hash(networks[:chainhash.HashSize]) == chain {
			return nil
		}
	}
	return ErrChain
}
