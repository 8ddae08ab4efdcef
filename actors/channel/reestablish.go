package channel

import (
	"fmt"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// sayReestablish sends channel_reestablish, the first message about a channel on a connection. It goes behind all that was recorded, so that it
// never tells of what is not durable.
func (c *Channel) sayReestablish() error {
	f := c.facts
	point, err := c.signer.PerCommitmentPoint(f.KeyIndex, f.HolderNumber)
	if err != nil {
		return err
	}
	var last [32]byte
	if f.CounterpartyNumber > 0 {
		if last, err = f.Secret(f.CounterpartyNumber - 1); err != nil {
			return err
		}
	}
	c.say(&lnwire.ChannelReestablish{
		ChanID:                    c.wireID(),
		NextLocalCommitHeight:     f.HolderNumber + 1,
		RemoteCommitTailHeight:    f.CounterpartyNumber,
		LastRemoteCommitSecret:    last,
		LocalUnrevokedCommitPoint: point,
	})
	return nil
}

// closedMutually tells whether the channel ended by the closing transaction that both signed. A peer that has not seen it in the chain yet will; an
// error would make it close alone (BOLT 1), against the transaction that it signed.
func (c *Channel) closedMutually() bool {
	f := c.facts
	if c.failed || f.ForceClose != nil || f.ProvenBehind {
		return false
	}
	return f.MutualClose != nil || f.Spent != nil && f.Spent.Spend == facts.SpendMutualClose
}

// reestablish handles the peer's channel_reestablish.
func (c *Channel) reestablish(m *lnwire.ChannelReestablish) error {
	if c.session.link == linkMute {
		return nil
	}
	if c.session.link != linkSyncing {
		return warn("channel_reestablish twice on a connection")
	}
	if c.over() {
		// Ours first: a peer that lost its data learns from it that it must not broadcast.
		c.session.link = linkMute
		if err := c.sayReestablish(); err != nil {
			return err
		}
		if !c.closedMutually() {
			c.sayError("the channel is closed")
		}
		return nil
	}
	correct, err := c.secretCorrect(m)
	if err != nil {
		return err
	}
	f := c.facts
	result := checkSync(position{
		holder: f.HolderNumber, counterparty: f.CounterpartyNumber, unrevoked: f.Unrevoked,
		commitmentAfterRAA: f.CommitmentAfterRAA, closingReceived: f.MutualClose != nil,
	}, claim{nextCommitment: m.NextLocalCommitHeight, nextRevocation: m.RemoteCommitTailHeight, secretCorrect: correct})

	if f.Unverified {
		if done, err := c.verify(result); done || err != nil {
			return err
		}
	}
	switch r := result.(type) {
	case inSync:
		return c.resume(r)
	case provenBehind:
		return c.provenBehind()
	case peerLate:
		return broken("next_revocation_number is %d, but commitment %d was revoked: you have lost data", r.nextRevocation, r.want-1)
	case wrongSecret:
		return broken("wrong your_last_per_commitment_secret for next_revocation_number %d", m.RemoteCommitTailHeight)
	case wrongCommitment:
		return broken("next_commitment_number is %d, the last one signed is %d", r.nextCommitment, r.sent)
	}
	return fmt.Errorf("unknown result %T of checkSync", result)
}

// secretCorrect checks your_last_per_commitment_secret: the secret of commitment next_revocation_number-1, zeroes where there is none.
func (c *Channel) secretCorrect(m *lnwire.ChannelReestablish) (bool, error) {
	if m.RemoteCommitTailHeight == 0 {
		return m.LastRemoteCommitSecret == [32]byte{}, nil
	}
	if m.RemoteCommitTailHeight-1 > commitment.MaxNumber {
		return false, nil
	}
	return c.signer.CheckSecret(c.facts.KeyIndex, m.RemoteCommitTailHeight-1, m.LastRemoteCommitSecret)
}

// provenBehind records that our facts are old, and only then asks the peer to close (rule 19). Nothing is broadcast, now or ever (rule 18).
func (c *Channel) provenBehind() error {
	msg := &lnwire.Error{ChanID: c.wireID(), Data: lnwire.ErrorData("we have lost data: please close the channel with your newest commitment")}
	if err := c.apply(facts.ProvenBehind{}, c.toPeer(msg)); err != nil {
		return err
	}
	c.session.link = linkMute
	c.refuseQueue(ErrClosing)
	return nil
}

// resume sends again what the peer missed, then what was decided but never committed, and the channel goes on.
func (c *Channel) resume(r inSync) error {
	c.session.link = linkUp
	if r.ready && c.facts.HolderReady {
		if err := c.sayReady(); err != nil {
			return err
		}
	}
	if r.revocation && r.revocationFirst {
		if err := c.sayRevocation(); err != nil {
			return err
		}
	}
	if r.commitment {
		if err := c.sayCommitment(); err != nil {
			return err
		}
	}
	if r.revocation && !r.revocationFirst {
		if err := c.sayRevocation(); err != nil {
			return err
		}
	}
	if c.facts.HolderShutdown != nil {
		c.sayShutdown()
	}
	c.proposeDecided()
	c.arm()
	return c.advanceClosing()
}

// sayRevocation sends the last revoke_and_ack, anew or again. What it revokes was replaced durably: it goes behind that record (rule 6).
func (c *Channel) sayRevocation() error {
	msg, err := c.revocation(c.facts.HolderNumber)
	if err != nil {
		return err
	}
	c.repeat(msg)
	return nil
}

// revocation makes the revoke_and_ack that answers the commitment_signed for the holder's commitment number.
func (c *Channel) revocation(number uint64) (*lnwire.RevokeAndAck, error) {
	secret, err := c.signer.ReleaseSecret(c.facts.KeyIndex, number-1)
	if err != nil {
		return nil, err
	}
	next, err := c.holderPoint(number + 1)
	if err != nil {
		return nil, err
	}
	return &lnwire.RevokeAndAck{ChanID: c.wireID(), Revocation: secret, NextRevocationKey: next}, nil
}

// sayCommitment sends the commitment_signed that is not acknowledged again, with its updates. All of it follows from the facts, and signatures
// are deterministic, so it is the same, byte for byte.
func (c *Channel) sayCommitment() error {
	var removes []*facts.HTLC
	for _, h := range facts.Sorted(c.facts.Inbound) {
		if h.State == facts.SentRemoveCommit {
			removes = append(removes, h)
		}
	}
	var adds []*facts.HTLC
	for _, h := range facts.Sorted(c.facts.Outbound) {
		if h.State == facts.SentAddCommit {
			adds = append(adds, h)
		}
	}
	msgs := make([]lnwire.Message, 0, len(removes)+len(adds)+2)
	for _, h := range removes {
		msgs = append(msgs, c.removal(h.ID, h.Resolution))
	}
	for _, u := range c.facts.FeeUpdates {
		if u.State == facts.SentAddCommit {
			msgs = append(msgs, &lnwire.UpdateFee{ChanID: c.wireID(), FeePerKw: u.FeePerKw})
		}
	}
	for _, h := range adds {
		msgs = append(msgs, c.addition(h))
	}
	sig, err := c.signNext(c.facts)
	if err != nil {
		return err
	}
	c.repeat(append(msgs, sig)...)
	return nil
}
