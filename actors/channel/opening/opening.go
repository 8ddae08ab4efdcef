package opening

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Terms is what is known of the channel before the first message.
type Terms struct {
	TemporaryID ln.ChannelID
	Peer        ln.NodeID
	KeyIndex    uint32 // durable (rule 1)

	// Of the funder only.
	CapacitySat uint64
	PushMsat    uint64
	FeePerKw    uint32
	Announce    bool
}

// Tip is the best block when the channel is made.
type Tip struct {
	Height uint32
	Hash   chainhash.Hash
}

// Effects is what a step asks for. At most one of Fund and Create is set; Send goes out at once, for nothing here commits to anything until
// Create.
type Effects struct {
	Send []lnwire.Message
	Fund *wire.TxOut // the funder's wallet makes a transaction with this output and calls Funded

	Create *facts.Opened         // make the channel durable, and only then:
	Reply  *lnwire.FundingSigned // fundee: send this (rule 2)
	// funder: broadcast Create.Static.FundingTx (rule 3)
}

// Errors beside RejectedError.
var (
	ErrUnexpected = errors.New("unexpected message while a channel is opened")
	ErrBadPeer    = errors.New("the peer failed to open the channel")
)

type stage uint8

const (
	awaitStart stage = iota
	awaitAccept
	awaitWallet
	awaitCreated
	awaitSigned
	done
)

// Opening is the state of one negotiation.
type Opening struct {
	cfg    Config
	signer chankeys.Signer
	terms  Terms
	alias  func(ln.ChannelID) uint64

	stage  stage
	funder bool
	keys   commitment.Basepoints
	static facts.Static
	opened facts.Opened
}

// New prepares a negotiation. alias gives a channel its short_channel_id alias.
func New(cfg Config, signer chankeys.Signer, terms Terms, alias func(ln.ChannelID) uint64) (*Opening, error) {
	keys, err := signer.Basepoints(terms.KeyIndex)
	if err != nil {
		return nil, fmt.Errorf("channel keys %d: %w", terms.KeyIndex, err)
	}
	return &Opening{cfg: cfg, signer: signer, terms: terms, alias: alias, keys: keys}, nil
}

// Funder tells whether we fund the channel; false before the first step.
func (o *Opening) Funder() bool { return o.funder }

// ChannelID is the id once the funding outpoint is known.
func (o *Opening) ChannelID() ln.ChannelID { return o.static.ID }

// Handle takes a message of the peer.
func (o *Opening) Handle(msg lnwire.Message, tip Tip) (Effects, error) {
	switch m := msg.(type) {
	case *lnwire.OpenChannel:
		if o.stage == awaitStart {
			return o.onOpen(m)
		}
	case *lnwire.AcceptChannel:
		if o.stage == awaitAccept {
			return o.onAccept(m)
		}
	case *lnwire.FundingCreated:
		if o.stage == awaitCreated {
			return o.onCreated(m, tip)
		}
	case *lnwire.FundingSigned:
		if o.stage == awaitSigned {
			return o.onSigned(m, tip)
		}
	case *lnwire.Error:
		return Effects{}, fmt.Errorf("%w: it says %q", ErrBadPeer, m.Error())
	}
	return Effects{}, fmt.Errorf("%w: %s", ErrUnexpected, msg.MsgType())
}

// bases puts the static parameters of both sides together, as soon as both are known.
func (o *Opening) bases(theirs commitment.Basepoints, ours, their facts.Params, capacitySat uint64) {
	o.static = facts.Static{
		TemporaryID: o.terms.TemporaryID, Peer: o.terms.Peer, KeyIndex: o.terms.KeyIndex,
		Holder: ours, Counterparty: their,
		Tx: commitment.Static{
			Capacity: btcutil.Amount(capacitySat), HolderIsFunder: o.funder,
			Holder: o.keys, Counterparty: theirs,
			HolderDustLimit:         btcutil.Amount(ours.DustLimitSat),
			CounterpartyDustLimit:   btcutil.Amount(their.DustLimitSat),
			HolderToSelfDelay:       their.ToSelfDelay,
			CounterpartyToSelfDelay: ours.ToSelfDelay,
		},
	}
}

// settle fixes the funding outpoint, and with it the channel.
func (o *Opening) settle(op wire.OutPoint) {
	o.static.Tx.Funding = op
	o.static.ID = ln.NewChannelID(op)
	o.static.Alias = o.alias(o.static.ID)
	o.opened.Static = &o.static
}

// sign signs the counterparty's commitment 0.
func (o *Opening) sign() (lnwire.Sig, error) {
	tx, err := o.build(facts.Counterparty)
	if err != nil {
		return lnwire.Sig{}, err
	}
	sig, _, err := o.signer.SignCounterparty(o.terms.KeyIndex, &o.static.Tx, tx)
	return sig, err
}

// verify checks the counterparty's signature on the holder's commitment 0.
func (o *Opening) verify(sig lnwire.Sig) error {
	tx, err := o.build(facts.Holder)
	if err != nil {
		return err
	}
	if err := tx.Verify(sig, nil); err != nil {
		return fmt.Errorf("%w: %w", ErrBadPeer, err)
	}
	o.opened.HolderSig = sig
	return nil
}

func (o *Opening) build(w facts.Which) (*commitment.Tx, error) {
	point, err := o.signer.PerCommitmentPoint(o.terms.KeyIndex, 0)
	if err != nil {
		return nil, err
	}
	view, err := facts.New(o.opened).View(w, point)
	if err != nil {
		return nil, err
	}
	return commitment.Build(&o.static.Tx, view)
}

func (o *Opening) fundingOutput() (*wire.TxOut, error) {
	_, script, err := commitment.FundingScript(o.static.Tx.Holder.Funding, o.static.Tx.Counterparty.Funding)
	if err != nil {
		return nil, err
	}
	return wire.NewTxOut(int64(o.static.Tx.Capacity), script), nil
}

// distinct refuses a peer that repeats one key in several places, or ours.
func distinct(keys commitment.Basepoints, first *btcec.PublicKey, ours commitment.Basepoints) error {
	seen := map[string]string{string(ours.Funding.SerializeCompressed()): "our funding key"}
	for _, k := range []struct {
		name string
		key  *btcec.PublicKey
	}{{"funding_pubkey", keys.Funding}, {"first_per_commitment_point", first}} {
		if k.key == nil {
			return rejected(k.name, "missing")
		}
		raw := string(k.key.SerializeCompressed())
		if other, ok := seen[raw]; ok {
			return rejected(k.name, "the same as %s", other)
		}
		seen[raw] = k.name
	}
	return nil
}

func compressed(k *btcec.PublicKey) (out [33]byte) {
	copy(out[:], k.SerializeCompressed())
	return out
}

func satPerKw(v uint32) chainfee.SatPerKWeight { return chainfee.SatPerKWeight(v) }

func serialize(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	if err := tx.Serialize(&b); err != nil {
		panic(fmt.Sprintf("opening: a buffer refused to grow: %v", err))
	}
	return b.Bytes()
}

func newReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }
