package channel

import (
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
)

// verify is what the peer's channel_reestablish means for a channel that was restored from a copy of unknown age. Numbers that fit end the doubt,
// durably and before anything is sent that signs or revokes: all of resume goes behind that record. Numbers that do not fit mean that something
// happened after the copy was made, or that the peer has lost data or lies. None of these is a reason to broadcast what may be revoked: the peer is
// asked to close, and asked again on the next connection. done says that there is nothing more to do; proof that we are behind is handled as always.
func (c *Channel) verify(result syncResult) (done bool, err error) {
	switch result.(type) {
	case inSync:
		return false, c.apply(facts.Verified{})
	case provenBehind:
		return false, nil
	}
	c.say(&lnwire.Error{ChanID: c.wireID(), Data: lnwire.ErrorData("restored from a copy that your numbers do not fit: please close the channel")})
	c.doubt()
	return true, nil
}

// doubt takes the place of closing, as long as the channel is not verified: nothing more is said of it on this connection.
func (c *Channel) doubt() {
	c.session.link = linkMute
	c.refuseQueue(facts.ErrUnverified)
}
