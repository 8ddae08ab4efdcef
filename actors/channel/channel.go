package channel

import (
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Sign is what a Channel sends to itself: sign the counterparty's next commitment, if there is reason to. It means nothing to anyone else and
// does no harm when it is repeated or comes from a dead incarnation.
type Sign struct{}

// Channel is the state machine of one channel, from one load of its facts to the next. It is not for use by several goroutines.
type Channel struct {
	id          ln.ChannelID
	incarnation uint64
	cfg         Config
	signer      chankeys.Signer

	facts    *facts.Channel // nil until loaded; the working copy, ahead of what is durable by what is in flight
	updateID uint64         // of the last update that was sent
	failed   bool           // the peer broke the protocol: nothing is signed any more, the monitor closes

	fence  uint64
	fenced bool // a fence is current

	session session
	queue   []messages.AddHTLC // in no commitment yet, not said to the peer
	fee     uint32             // wanted by UpdateFee, 0 if none
	market  uint32             // what estimates say that the fee should be, 0 if nothing
	armed   bool               // a Sign is under way
	closing closing
	usable  bool    // as the manager was told
	carries bool    // HTLCs can be exchanged now
	told    *gossip // as the graph was told, nil: nothing yet
	placed  bool    // Peers was told that the peer has a channel
	ahead   ahead

	out []messages.Delivery
}

// New makes the channel of one incarnation. It does nothing before Start.
func New(id ln.ChannelID, incarnation uint64, signer chankeys.Signer, cfg Config) *Channel {
	return &Channel{id: id, incarnation: incarnation, signer: signer, cfg: cfg.withDefaults()}
}

// Start returns what to deliver first.
func (c *Channel) Start() []messages.Delivery {
	c.tell(messages.MonitorAddr(c.id), messages.ChannelLoad{Channel: c.id, Incarnation: c.incarnation})
	return c.flush()
}

// Step takes one message in and returns what to deliver. Messages that are none of a channel's business are ignored. See the package comment
// for what an error means.
func (c *Channel) Step(in any) ([]messages.Delivery, error) {
	if err := c.step(in); err != nil {
		c.out = nil
		return nil, fmt.Errorf("channel %s: %T: %w", c.id, in, err)
	}
	// Whether both are ready is the monitor's to tell, with ChannelReady: a link that were told after it would make the first payment fail.
	usable := c.facts != nil && c.up() && c.facts.HolderShutdown == nil && c.facts.CounterpartyShutdown == nil
	if usable != c.usable {
		c.usable = usable
		c.tellLink()
	}
	if carries := usable && c.facts.Open(); carries != c.carries {
		c.carries = carries
		c.followFee()
	}
	c.tellGraph()
	c.tellPeers()
	return c.flush(), nil
}

func (c *Channel) tellLink() {
	c.tell(messages.ManagerAddr, messages.ChannelLink{Channel: c.id, Up: c.usable})
}

// tellPeers has a place kept for the peer, once in an incarnation. A channel that the peer opened and did not fund costs nothing, and keeps none.
func (c *Channel) tellPeers() {
	if !c.placed && c.facts != nil && (c.facts.Tx.HolderIsFunder || c.facts.Funding != nil) {
		c.placed = true
		c.tell(messages.PeersAddr, messages.ChannelPeer{Channel: c.id, Peer: c.facts.Peer})
	}
}

func (c *Channel) flush() []messages.Delivery {
	out := c.out
	c.out = nil
	return out
}

func (c *Channel) step(in any) error {
	if c.facts == nil {
		return c.stepLoading(in)
	}
	switch m := in.(type) {
	case messages.PeerUp:
		return c.peerUp(m)
	case messages.PeerDown:
		return c.peerDown(m)
	case messages.PeerMsg:
		return c.peerMsg(m)
	case messages.PeersReattach:
		if m.Peer == c.facts.Peer {
			c.attach()
		}
	case messages.AddHTLC:
		c.addHTLC(m)
	case messages.RecallHTLC:
		c.recall(m)
	case Unanswered:
		c.unanswered(m)
	case messages.HTLCDecided:
		return c.decided(m)
	case messages.UpdateFee:
		c.wantFee(m.FeePerKw)
	case messages.CommitmentFee:
		c.market = m.FeePerKw
		c.followFee()
	case messages.CloseChannel:
		return c.closeChannel(m)
	case messages.MonitorFact:
		return c.monitorFact(m.Update)
	case messages.ChannelFence:
		c.setFence(m.Fence)
	case messages.GraphStarted:
		c.told = nil
	case messages.PeersStarted:
		c.placed = false
	case Sign:
		c.armed = false
		return c.sign()
	}
	return nil
}

// stepLoading handles what comes before the facts. An add is refused without an answer, as no fence is current; all else comes again: the peer
// and the monitor tell what matters in answer to our attaching and loading.
func (c *Channel) stepLoading(in any) error {
	switch m := in.(type) {
	case messages.ChannelFence:
		c.fence, c.fenced = m.Fence, true
	case messages.CloseChannel:
		c.tellClose(m.ReplyTo, ErrPeerNotConnected)
	case messages.ChannelLoaded:
		if m.Incarnation != c.incarnation {
			return nil // for a dead incarnation (rule 4 of package actors)
		}
		if m.Facts == nil || m.Facts.Static == nil {
			return errors.New("loaded without facts")
		}
		c.facts, c.updateID = m.Facts, m.UpdateID
		c.attach()
		if c.fenced {
			c.tellFenced()
		}
		if c.cfg.FollowFees && c.facts.Tx.HolderIsFunder && !c.facts.Ended() {
			c.tell(messages.FundsAddr, messages.AskCommitmentFee{Channel: c.id})
		}
	}
	return nil
}

func (c *Channel) attach() {
	c.tell(messages.PeerAddr(c.facts.Peer), messages.PeerAttach{
		ID: c.id, Incarnation: c.incarnation, To: messages.ChannelAddr(c.id),
	})
}

// setFence drops the adds that are in no update, without an answer: the report that follows lacks them, and so says what became of them. All
// updates that took adds in are before ChannelFenced in the monitor's mailbox.
func (c *Channel) setFence(fence uint64) {
	c.queue = nil
	c.fence, c.fenced = fence, true
	c.tellFenced()
}

func (c *Channel) tellFenced() {
	c.tell(messages.MonitorAddr(c.id), messages.ChannelFenced{Incarnation: c.incarnation, Fence: c.fence})
	c.tellLink() // a new incarnation of the manager does not know
}

// tell sends at once, behind nothing that has to be durable.
func (c *Channel) tell(to messages.Addr, msg any) {
	if to != "" {
		c.out = append(c.out, messages.Delivery{To: to, Msg: msg})
	}
}

// record hands an update that was applied to the working copy to the monitor, with what may leave only once it is durable.
func (c *Channel) record(u facts.Update, then ...messages.Delivery) {
	c.updateID++
	c.tell(messages.MonitorAddr(c.id), messages.MonitorUpdate{
		Channel: c.id, Incarnation: c.incarnation, UpdateID: c.updateID, Update: u, Then: then,
	})
}

// apply changes the working copy and records the update.
func (c *Channel) apply(u facts.Update, then ...messages.Delivery) error {
	if _, err := c.facts.Apply(u); err != nil {
		return err
	}
	c.record(u, then...)
	return nil
}

// say sends to the peer what commits to nothing new, in its place behind all that was recorded before.
func (c *Channel) say(msgs ...lnwire.Message) { c.behind(c.toPeer(msgs...)) }

// repeat sends a signature or a revocation again. The monitor knows better whether it may still be sent (rule 18).
func (c *Channel) repeat(msgs ...lnwire.Message) {
	c.tell(messages.MonitorAddr(c.id), messages.MonitorUpdate{
		Channel: c.id, Incarnation: c.incarnation, Then: []messages.Delivery{c.toPeer(msgs...)}, Commits: true,
	})
}

// behind delivers in order behind all that was recorded before.
func (c *Channel) behind(then ...messages.Delivery) {
	c.tell(messages.MonitorAddr(c.id), messages.MonitorUpdate{Channel: c.id, Incarnation: c.incarnation, Then: then})
}

func (c *Channel) toPeer(msgs ...lnwire.Message) messages.Delivery {
	return messages.Delivery{
		To:  messages.PeerAddr(c.facts.Peer),
		Msg: messages.PeerSend{Session: c.session.id, Msgs: msgs},
	}
}

// arm asks for a commitment behind all that is in the mailbox now.
func (c *Channel) arm() {
	if !c.armed {
		c.armed = true
		c.tell(messages.ChannelAddr(c.id), Sign{})
	}
}

func (c *Channel) wireID() lnwire.ChannelID { return lnwire.ChannelID(c.id) }
