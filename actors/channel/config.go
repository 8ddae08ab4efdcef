package channel

import (
	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// ScriptSource gives the script to which a channel pays our money when the peer asks for a close and none was announced upfront. The answer
// is durable before it is used (rule 16); after an error it is asked again later.
type ScriptSource func(ln.ChannelID) ([]byte, error)

// Config holds the limits of a channel. The zero value means the defaults.
type Config struct {
	MaxQueued        int          // adds that wait for a commitment (default 966)
	Policy           facts.Policy // the node's, for channels that have none of their own: its limits are kept here
	MinFeePerKw      uint32       // of an update_fee (default 253, what every node relays)
	MaxFeePerKw      uint32       // of an update_fee (default 250,000)
	FollowFees       bool         // as funder, go by messages.CommitmentFee
	MaxClosingFactor uint32       // the most we pay as funder for a close, as a multiple of the fee that we aim at (default 3)

	Gossip bool // there is an actor at messages.GraphAddr, which is told of the channel

	Script ScriptSource // may be nil: then a close that the peer starts waits until CloseChannel brings a script

	Keys KeySource // nil: commitment.DeriveKeys
}

// KeySource derives the keys of commitments, as commitment.DeriveKeys does. Simulations of many copies of the same channels keep them.
type KeySource func(s *commitment.Static, ownerIsHolder bool, point *btcec.PublicKey) (*commitment.Keys, error)

func (c Config) withDefaults() Config {
	if c.Keys == nil {
		c.Keys = commitment.DeriveKeys
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = 966
	}
	c.Policy = c.Policy.WithDefaults()
	if c.MinFeePerKw == 0 {
		c.MinFeePerKw = 253
	}
	if c.MaxFeePerKw == 0 {
		c.MaxFeePerKw = 250_000
	}
	if c.MaxClosingFactor == 0 {
		c.MaxClosingFactor = 3
	}
	return c
}
