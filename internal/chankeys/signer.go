package chankeys

import (
	"errors"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

var (
	// ErrWrongChannel means that the channel's basepoints are not those of the
	// channel key index: a signature would be worthless or, worse, for another
	// channel.
	ErrWrongChannel = errors.New("chankeys: channel does not belong to this channel key index")

	// ErrWrongOwner means that a commitment of the other side was given: the
	// holder's own where the counterparty's is to be signed, or the reverse.
	ErrWrongOwner = errors.New("chankeys: commitment is owned by the wrong side")

	// ErrNumber means that a commitment number is beyond the last one of a
	// channel.
	ErrNumber = errors.New("chankeys: commitment number out of range")
)

// Signer makes the signatures of a channel and knows its secrets. index is the
// channel key index. Errors are typed as above, or come from the key source.
type Signer interface {
	// Basepoints are the public keys for open_channel and accept_channel.
	Basepoints(index uint32) (commitment.Basepoints, error)

	// PerCommitmentPoint of holder commitment n.
	PerCommitmentPoint(index uint32, n uint64) (*btcec.PublicKey, error)

	// ReleaseSecret gives the per-commitment secret of holder commitment n,
	// which revokes it. Rule 6 comes first: the next holder commitment with all
	// its signatures is durable. The secret of an earlier commitment may be
	// asked for again, to repeat revoke_and_ack or for channel_reestablish.
	ReleaseSecret(index uint32, n uint64) ([32]byte, error)

	// CheckSecret tells whether secret is the one of holder
	// commitment n: what a peer returns in channel_reestablish as
	// your_last_per_commitment_secret. It reveals nothing.
	CheckSecret(index uint32, n uint64, secret [32]byte) (bool, error)

	// SignCounterparty signs a commitment that the counterparty owns: its
	// transaction and, in the order of tx.HTLCs, their second stage. That is
	// the content of commitment_signed.
	SignCounterparty(index uint32, s *commitment.Static, tx *commitment.Tx) (lnwire.Sig, []lnwire.Sig, error)

	// SignHolder signs the holder's own commitment transaction, which makes it
	// ready to broadcast: rule 18 comes first.
	SignHolder(index uint32, s *commitment.Static, tx *commitment.Tx) (lnwire.Sig, error)

	// SignHolderHTLC signs the second stage of HTLC i of the holder's own
	// commitment: spend, which carries it, or the HTLC transaction itself if
	// spend is nil.
	SignHolderHTLC(index uint32, s *commitment.Static, tx *commitment.Tx, i int, spend *wire.MsgTx) (lnwire.Sig, error)

	// SignSpend makes the witness of an input that spends an output of a
	// commitment transaction or of a second stage with the holder's keys alone.
	// tx is final but for its witnesses. ErrSpend for what makes no sense.
	SignSpend(index uint32, s *Spend, tx *wire.MsgTx, in int) (wire.TxWitness, error)

	// SignAnnouncement signs the digest of a channel_announcement with the
	// funding key (BOLT 7). It is no hash of a transaction: those are made of
	// other data, so that this signature spends nothing.
	SignAnnouncement(index uint32, digest [32]byte) (lnwire.Sig, error)

	// SignMutualClose signs a closing transaction.
	SignMutualClose(index uint32, s *commitment.Static, tx *commitment.CloseTx) (lnwire.Sig, error)

	// Forget says that the index is not needed any more: its channel is archived,
	// or was never made. Using it again is no error.
	Forget(index uint32)
}
