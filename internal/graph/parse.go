package graph

import (
	"bytes"
	"fmt"
	"net"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Sizes beyond which a message is not kept. Real ones are below 500, 200 and 1,000 bytes.
const (
	MaxChannelBytes = 2048
	MaxUpdateBytes  = 512
	MaxNodeBytes    = 4096
)

// ChannelMsg is a channel_announcement that is well-formed.
type ChannelMsg struct {
	SCID        uint64
	Nodes       [2]ln.NodeID
	BitcoinKeys [2][33]byte
	Unroutable  bool // it requires a feature that we do not know
	Raw         []byte
	sigs        [4]lnwire.Sig // of node 1 and 2, of bitcoin key 1 and 2
}

// ParseChannel checks what can be seen of the message alone.
func ParseChannel(a *lnwire.ChannelAnnouncement1, chain chainhash.Hash) (*ChannelMsg, error) {
	if a.ChainHash != chain {
		return nil, ErrChain
	}
	if a.Features == nil {
		return nil, fmt.Errorf("%w: channel_announcement without features", ErrMalformed)
	}
	if bytes.Compare(a.NodeID1[:], a.NodeID2[:]) >= 0 {
		return nil, fmt.Errorf("%w: node ids out of order", ErrMalformed)
	}
	if Height(a.ShortChannelID.ToUint64()) == 0 {
		return nil, fmt.Errorf("%w: channel in block 0", ErrMalformed)
	}
	raw, err := encode(a, MaxChannelBytes)
	if err != nil {
		return nil, err
	}
	return &ChannelMsg{
		SCID: a.ShortChannelID.ToUint64(), Nodes: [2]ln.NodeID{a.NodeID1, a.NodeID2},
		BitcoinKeys: [2][33]byte{a.BitcoinKey1, a.BitcoinKey2}, Unroutable: requiresAny(a.Features), Raw: raw,
		sigs: [4]lnwire.Sig{a.NodeSig1, a.NodeSig2, a.BitcoinSig1, a.BitcoinSig2},
	}, nil
}

// requiresAny tells whether an even bit is set: there are no features of channels that we know.
func requiresAny(v *lnwire.RawFeatureVector) bool {
	for bit := lnwire.FeatureBit(0); int(bit) < 8*v.SerializeSize(); bit += 2 {
		if v.IsSet(bit) {
			return true
		}
	}
	return false
}

// Verify checks the four signatures.
func (m *ChannelMsg) Verify() error {
	digest := Digest(m.Raw)
	keys := [4][33]byte{m.Nodes[0], m.Nodes[1], m.BitcoinKeys[0], m.BitcoinKeys[1]}
	for i, key := range keys {
		if err := VerifyDigest(key, digest, m.sigs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Sign is the digest that the four signatures of an announcement which has none yet are made over.
func Sign(a *lnwire.ChannelAnnouncement1) ([32]byte, error) {
	data, err := a.DataToSign()
	return chainhash.DoubleHashH(data), err
}

// UpdateMsg is a channel_update that is well-formed.
type UpdateMsg struct {
	SCID   uint64
	Dir    int // index of the node that it is from
	Policy Policy
	sig    lnwire.Sig
}

// ParseUpdate checks what can be seen of the message alone.
func ParseUpdate(u *lnwire.ChannelUpdate1, chain chainhash.Hash) (*UpdateMsg, error) {
	switch {
	case u.ChainHash != chain:
		return nil, ErrChain
	case !u.MessageFlags.HasMaxHtlc():
		return nil, fmt.Errorf("%w: channel_update without htlc_maximum_msat", ErrMalformed)
	case u.HtlcMaximumMsat < u.HtlcMinimumMsat:
		return nil, fmt.Errorf("%w: htlc_maximum_msat below htlc_minimum_msat", ErrMalformed)
	case u.Timestamp == 0:
		return nil, fmt.Errorf("%w: timestamp is zero", ErrMalformed)
	}
	raw, err := encode(u, MaxUpdateBytes)
	if err != nil {
		return nil, err
	}
	m := &UpdateMsg{SCID: u.ShortChannelID.ToUint64(), sig: u.Signature, Policy: Policy{
		Timestamp: u.Timestamp, Disabled: u.IsDisabled(), CLTVDelta: u.TimeLockDelta,
		MinMsat: uint64(u.HtlcMinimumMsat), MaxMsat: uint64(u.HtlcMaximumMsat), BaseMsat: u.BaseFee, PropMillionths: u.FeeRate, Raw: raw,
	}}
	if !u.IsNode1() {
		m.Dir = 1
	}
	return m, nil
}

// Verify checks the signature of the node that the update is from.
func (m *UpdateMsg) Verify(node ln.NodeID) error {
	return VerifyDigest(node, Digest(m.Policy.Raw), m.sig)
}

// NodeMsg is a node_announcement that is well-formed.
type NodeMsg struct {
	ID   ln.NodeID
	Info NodeInfo
	sig  lnwire.Sig
}

// ParseNode checks what can be seen of the message alone.
func ParseNode(n *lnwire.NodeAnnouncement1) (*NodeMsg, error) {
	if n.Features == nil || n.Timestamp == 0 {
		return nil, fmt.Errorf("%w: node_announcement without features or timestamp", ErrMalformed)
	}
	raw, err := encode(n, MaxNodeBytes)
	if err != nil {
		return nil, err
	}
	return &NodeMsg{ID: n.NodeID, sig: n.Signature, Info: NodeInfo{
		Timestamp: n.Timestamp, Alias: printable(n.Alias), Color: [3]byte{n.RGBColor.R, n.RGBColor.G, n.RGBColor.B},
		Addresses: addresses(n.Addresses), Raw: raw,
	}}, nil
}

// Verify checks the node's signature.
func (m *NodeMsg) Verify() error { return VerifyDigest(m.ID, Digest(m.Info.Raw), m.sig) }

func addresses(all []net.Addr) []string {
	const most = 16
	var out []string
	for _, a := range all[:min(len(all), most)] {
		if a == nil {
			continue
		}
		if s := a.String(); len(s) <= 300 {
			out = append(out, s)
		}
	}
	return out
}

// printable is the alias of a stranger, made fit for a screen.
func printable(alias lnwire.NodeAlias) string {
	clean := bytes.TrimRight(alias[:], "\x00")
	out := make([]byte, len(clean))
	for i, c := range clean {
		if c < 32 || c > 126 {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}

// Signed parts of messages begin behind their signatures (BOLT 7).
const (
	sigBytes  = 64
	kindBytes = 2
)

// Digest is what the signatures of a gossip message are made over, from its wire form.
func Digest(raw []byte) [32]byte {
	skip := kindBytes + sigBytes
	if len(raw) > 1 && lnwire.MessageType(uint16(raw[0])<<8|uint16(raw[1])) == lnwire.MsgChannelAnnouncement {
		skip = kindBytes + 4*sigBytes
	}
	return chainhash.DoubleHashH(raw[min(skip, len(raw)):])
}

// VerifyDigest checks one ECDSA signature.
func VerifyDigest(key [33]byte, digest [32]byte, sig lnwire.Sig) error {
	public, err := btcec.ParsePubKey(key[:])
	if err != nil {
		return fmt.Errorf("%w: bad public key", ErrMalformed)
	}
	parsed, err := sig.ToSignature()
	if err != nil {
		return ErrSignature
	}
	s, ok := parsed.(*ecdsa.Signature)
	if !ok || !s.Verify(digest[:], public) {
		return ErrSignature
	}
	return nil
}

// FundingScript is what the funding output of a channel with these keys pays to (BOLT 3).
func FundingScript(keys [2][33]byte) ([]byte, error) {
	for _, key := range keys {
		if _, err := btcec.ParsePubKey(key[:]); err != nil {
			return nil, fmt.Errorf("%w: bad public key", ErrMalformed)
		}
	}
	script, err := input.GenMultiSigScript(keys[0][:], keys[1][:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return input.WitnessScriptHash(script)
}

func encode(m lnwire.Message, most int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := lnwire.WriteMessage(&b, m, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if b.Len() > most {
		return nil, ErrTooLarge
	}
	return bytes.Clone(b.Bytes()), nil
}

// Height is the block that a short channel id names.
func Height(scid uint64) uint32 { return uint32(scid >> 40) }

// TxIndex is the transaction of that block.
func TxIndex(scid uint64) uint32 { return uint32(scid>>16) & 0xffffff }

// Output is the output of that transaction.
func Output(scid uint64) uint32 { return uint32(scid & 0xffff) }
