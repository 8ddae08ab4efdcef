package opening

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// patience is how long a negotiation may take; the funder's coins are reserved meanwhile.
const patience = 10 * time.Minute

// Errors that end a negotiation from outside.
var (
	ErrPeerGone = errors.New("the peer disconnected while the channel was opened; open it again")
	ErrTimeout  = errors.New("the peer did not answer in time; open the channel again")
	ErrCrashed  = errors.New("the negotiation crashed; nothing was opened, open the channel again")

	// ErrOutpointTaken: a channel with this funding outpoint exists.
	ErrOutpointTaken = errors.New("another channel was made with this funding outpoint; nothing was opened, open the channel again")
)

// Funder is the part of the wallet that a negotiation needs.
type Funder interface {
	// FundTx returns a signed transaction with the output at the index, and reserves its inputs under the lock.
	FundTx(out *wire.TxOut, feePerKw uint32, lock ln.ChannelID) (tx *wire.MsgTx, index uint32, err error)
	// Release ends a reservation whose transaction never left.
	Release(lock ln.ChannelID)
}

// Deps is what an opening gets from its node.
type Deps struct {
	Env    *kit.Env
	Config Config
	Signer chankeys.Signer
	Wallet Funder
	Alias  func(ln.ChannelID) uint64
	Tip    func() Tip
}

// Producer makes the actor of one negotiation. request is the messages.OpenChannel or messages.AcceptChannel that starts it.
func Producer(d Deps, request any) actor.Producer {
	l := &life{}
	return func() actor.Actor {
		s := &shell{deps: d, life: l, again: l.started}
		l.started = true
		switch r := request.(type) {
		case messages.OpenChannel:
			s.funding = &r
			s.terms = Terms{
				TemporaryID: r.TemporaryID, Peer: r.Peer, KeyIndex: r.KeyIndex, CapacitySat: r.CapacitySat, PushMsat: r.PushMsat,
				FeePerKw: r.FeePerKw, Announce: r.Announce,
			}
		case messages.AcceptChannel:
			s.terms = Terms{TemporaryID: r.TemporaryID, Peer: r.Peer, KeyIndex: r.KeyIndex}
		}
		return s
	}
}

// life is what outlives an instance.
type life struct {
	started bool
	created bool // the channel was handed over: it is no longer the opening's to give up
}

type expired struct{}

type shell struct {
	deps    Deps
	terms   Terms
	funding *messages.OpenChannel // nil at the fundee
	life    *life
	again   bool // an earlier incarnation crashed

	core     *Opening
	inc      uint64
	session  uint64
	reserved bool
	ended    bool
	cancel   func()
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping:
		if s.cancel != nil {
			s.cancel()
		}
		s.over(ErrCrashed) // unless it ended by itself: Monitors ends, and with it what only this actor knows
	case messages.PeerUp:
		s.up(ctx, m)
	case messages.PeerDown:
		if m.Session == s.session {
			s.fail(ctx, ErrPeerGone)
		}
	case messages.PeerMsg:
		if s.funding == nil && s.session == 0 {
			s.session = m.Session // open_channel, which made us
		}
		if m.Session == s.session && !s.ended && s.core != nil {
			eff, err := s.core.Handle(m.Msg, s.deps.Tip())
			s.do(ctx, eff, err)
		}
	case expired:
		s.fail(ctx, ErrTimeout)
	}
}

func (s *shell) start(ctx actor.Context) {
	s.inc = s.deps.Env.NextIncarnation()
	if s.life.created {
		s.end()
		ctx.Stop(ctx.Self())
		return
	}
	core, err := New(s.deps.Config, s.deps.Signer, s.terms, s.deps.Alias)
	if s.again {
		// The crashed incarnation may have reserved coins.
		s.reserved = s.funding != nil
		err = ErrCrashed
	}
	if err != nil {
		s.fail(ctx, err)
		return
	}
	s.core = core
	s.cancel = s.deps.Env.Clock.After(patience, ctx.Self(), expired{})
	s.attach(s.terms.TemporaryID, messages.OpeningAddr(s.terms.TemporaryID))
}

func (s *shell) attach(id ln.ChannelID, to messages.Addr) {
	s.deps.Env.Tell(messages.PeerAddr(s.terms.Peer), messages.PeerAttach{ID: id, Incarnation: s.inc, To: to, Opening: true})
}

func (s *shell) up(ctx actor.Context, m messages.PeerUp) {
	if s.ended || s.session != 0 {
		return // attaching a second id is answered too
	}
	s.session = m.Session
	if s.funding != nil {
		eff, err := s.core.Start()
		s.do(ctx, eff, err)
	}
}

// do carries out what the core asks for.
func (s *shell) do(ctx actor.Context, eff Effects, err error) {
	if err != nil {
		s.fail(ctx, err)
		return
	}
	if eff.Create != nil {
		s.create(ctx, eff)
		return
	}
	s.send(eff.Send...)
	if eff.Fund == nil {
		return
	}
	tx, index, err := s.deps.Wallet.FundTx(eff.Fund, s.funding.FundingFeePerKw, s.terms.TemporaryID)
	if err != nil {
		s.fail(ctx, fmt.Errorf("fund the channel: %w", err))
		return
	}
	s.reserved = true
	eff, err = s.core.Funded(tx, index)
	if err == nil {
		// funding_signed comes under the real id.
		s.attach(s.core.ChannelID(), messages.OpeningAddr(s.terms.TemporaryID))
	}
	s.do(ctx, eff, err)
}

// create hands the channel over: what follows is sent by the persister once the channel is durable (rules 2, 3).
func (s *shell) create(ctx actor.Context, eff Effects) {
	st := eff.Create.Static
	s.attach(st.ID, "") // messages for the channel wait until it attaches itself
	var then []messages.Delivery
	peer := messages.PeerAddr(s.terms.Peer)
	if eff.Reply != nil {
		then = append(then, messages.Delivery{To: peer, Msg: messages.PeerSend{Session: s.session, Msgs: []lnwire.Message{eff.Reply}}})
	}
	if s.funding != nil {
		var tx wire.MsgTx
		if err := tx.Deserialize(newReader(st.FundingTx)); err != nil {
			s.fail(ctx, fmt.Errorf("funding transaction: %w", err))
			return
		}
		then = append(then,
			messages.Delivery{To: messages.FundsAddr, Msg: messages.WalletSpends{Channel: st.ID, Tx: &tx, Release: s.terms.TemporaryID}},
			messages.Delivery{To: messages.ChainWatchAddr, Msg: messages.Broadcast{
				Tx: &tx, Label: "funding", Channel: st.ID,
				Then: []messages.Delivery{{To: s.funding.ReplyTo, Msg: messages.OpenReply{
					Channel: st.ID, FundingTxid: st.Tx.Funding.Hash, FundingIndex: st.Tx.Funding.Index,
				}}},
			}})
	}
	s.deps.Env.Tell(messages.MonitorsAddr, messages.CreateChannel{Opened: *eff.Create, Then: then, Else: s.notCreated(st.ID)})
	s.reserved, s.life.created = false, true
	s.end()
	ctx.Stop(ctx.Self())
}

// notCreated is what follows if the channel can't be handed over.
func (s *shell) notCreated(id ln.ChannelID) []messages.Delivery {
	peer := messages.PeerAddr(s.terms.Peer)
	out := []messages.Delivery{
		{To: peer, Msg: messages.PeerDetach{ID: id, Incarnation: s.inc}},
		{To: peer, Msg: messages.PeerSend{Session: s.session, Msgs: []lnwire.Message{
			&lnwire.Error{ChanID: lnwire.ChannelID(s.terms.TemporaryID), Data: lnwire.ErrorData(reason(ErrOutpointTaken))},
		}}},
	}
	if s.funding != nil && s.funding.ReplyTo != "" {
		out = append(out, messages.Delivery{To: s.funding.ReplyTo, Msg: messages.OpenReply{Err: ErrOutpointTaken}})
	}
	return out
}

func (s *shell) send(msgs ...lnwire.Message) {
	if len(msgs) > 0 {
		s.deps.Env.Tell(messages.PeerAddr(s.terms.Peer), messages.PeerSend{Session: s.session, Msgs: msgs})
	}
}

// fail ends the negotiation; nothing of it remains but the key index.
func (s *shell) fail(ctx actor.Context, err error) {
	if !s.ended {
		s.over(err)
		ctx.Stop(ctx.Self())
	}
}

// over lets go of everything, once.
func (s *shell) over(err error) {
	if s.ended {
		return
	}
	s.deps.Env.Log.Warn("channel not opened", slog.String("temporary_id", s.terms.TemporaryID.String()),
		slog.String("peer", s.terms.Peer.String()), slog.Any("error", err))
	if s.session != 0 && !errors.Is(err, ErrPeerGone) && !errors.Is(err, ErrBadPeer) {
		s.send(&lnwire.Error{ChanID: lnwire.ChannelID(s.terms.TemporaryID), Data: lnwire.ErrorData(reason(err))})
	}
	if s.reserved {
		s.deps.Wallet.Release(s.terms.TemporaryID)
	}
	if s.funding != nil && s.funding.ReplyTo != "" {
		s.deps.Env.Tell(s.funding.ReplyTo, messages.OpenReply{Err: err})
	}
	if s.core != nil && s.core.ChannelID() != (ln.ChannelID{}) {
		s.detach(s.core.ChannelID())
	}
	s.deps.Signer.Forget(s.terms.KeyIndex)
	s.end()
}

// reason is what the peer may know of an error.
func reason(err error) string {
	var r *RejectedError
	if errors.As(err, &r) {
		return r.Error()
	}
	return "channel not opened"
}

func (s *shell) detach(id ln.ChannelID) {
	s.deps.Env.Tell(messages.PeerAddr(s.terms.Peer), messages.PeerDetach{ID: id, Incarnation: s.inc})
}

func (s *shell) end() {
	s.ended = true
	s.detach(s.terms.TemporaryID)
	s.deps.Env.Tell(messages.ManagerAddr, messages.OpeningEnded{Peer: s.terms.Peer, TemporaryID: s.terms.TemporaryID})
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.inc }
