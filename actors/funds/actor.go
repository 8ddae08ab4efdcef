package funds

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// batch bounds the blocks read in one turn.
const batch = 64

const (
	retryAfter    = time.Second
	askAgainAfter = 2 * time.Second
	queryTimeout  = 30 * time.Second
)

// What the shell tells itself. The incarnation drops what was meant for a dead one (rule 4).
type (
	more struct{}

	// askAgain is for questions to the manager that it may have crashed over.
	askAgain struct{}

	// plan makes the sweeps, behind all that brings outputs to sweep.
	plan struct{}

	// gotBlocks and gotFees are the answers of sources that are not Local.
	gotBlocks struct {
		incarnation uint64
		steps       []step
		more        bool
		err         error
	}
	gotFees struct {
		incarnation uint64
		answers     []estimate
	}
)

// Producer makes the actor.
func Producer(env *kit.Env, cfg Config) actor.Producer {
	if cfg.Board == nil {
		cfg.Board = new(Board)
	}
	return func() actor.Actor { return &shell{env: env, cfg: cfg} }
}

type shell struct {
	env  *kit.Env
	cfg  Config
	core *core

	incarnation uint64
	armed       bool // a look at the chain is under way, or will be
	changed     bool // the chain changed while it was
	asking      bool // a question for fee rates is under way
	planning    bool // a plan is in the mailbox
	asksAgain   bool // a timer for askAgain runs
	saved       position
	ctx         context.Context
	cancel      context.CancelFunc
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.saveCache()
		if s.cancel != nil {
			s.cancel()
		}
	case messages.ChainStarted:
		s.env.Tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.FundsAddr})
		s.core.resend()
	case messages.ChainTip:
		s.changed = true
		s.arm(ctx)
		s.askFees()
	case more:
		s.follow(ctx)
	case gotBlocks:
		if m.incarnation == s.incarnation {
			s.apply(ctx, m.steps, m.more, m.err)
		}
	case gotFees:
		if m.incarnation == s.incarnation {
			s.asking = false
			s.core.feesLearned(m.answers)
		}
	case messages.WalletSpends:
		s.core.spends(m)
	case messages.BuildClaim:
		s.core.buildClaim(m)
	case messages.ReleaseClaim:
		s.core.releaseClaim(m)
	case messages.SweepOutputs:
		s.core.sweepOutputs(m)
	case messages.SweepDone:
		s.core.sweepDone(m)
	case messages.ManagerReady:
		s.core.ready()
	case messages.ChannelList:
		s.core.channels(m)
	case messages.AskCommitmentFee:
		s.core.askedCommitmentFee(m)
	case askAgain:
		s.asksAgain = false
		s.core.askManager()
	case messages.SendFunds:
		s.core.send(m, s.save)
	case messages.BumpFee:
		s.core.bump(m, s.save)
	case messages.BroadcastReply:
		s.core.broadcastAnswered(m, s.save)
	case plan:
		s.planning = false
		s.core.planSweeps()
	default:
		return
	}
	s.finish(ctx)
}

// finish sends what the core has to say, and shows where it stands.
func (s *shell) finish(ctx actor.Context) {
	if s.core == nil {
		return
	}
	if s.core.sweeps.dirty && !s.planning && s.core.coinsKnown() && s.core.feesKnown() {
		s.planning = true
		ctx.Send(ctx.Self(), plan{})
	}
	if s.core.synced && !s.core.coinsKnown() && !s.asksAgain {
		s.asksAgain = true
		s.env.Clock.After(askAgainAfter, ctx.Self(), askAgain{})
	}
	if s.core.look {
		s.core.look, s.changed = false, true
		s.arm(ctx)
	}
	s.env.Deliver(s.core.flush())
	s.core.show()
}

func (s *shell) start(ctx actor.Context) {
	s.core = newCore(s.cfg, s.env.Log)
	s.incarnation = s.env.NextIncarnation()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.env.Tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.FundsAddr})
	s.env.Tell(messages.ManagerAddr, messages.FundsStarted{Incarnation: s.incarnation})
	s.saved = s.tip()
	s.core.resend()
	s.changed = true
	s.arm(ctx)
	s.askFees()
}

// askFees has the rates asked for anew, unless a slow source is still busy with that.
func (s *shell) askFees() {
	switch {
	case s.cfg.Fees == nil:
		s.core.feesLearned(nil)
	case s.cfg.Fees.Local():
		s.core.feesLearned(ask(s.ctx, s.cfg.Fees))
	case !s.asking:
		s.asking = true
		env, inc, parent, fees := s.env, s.incarnation, s.ctx, s.cfg.Fees
		go func() {
			ctx, cancel := context.WithTimeout(parent, queryTimeout)
			defer cancel()
			answers := ask(ctx, fees)
			if parent.Err() == nil {
				env.Tell(messages.FundsAddr, gotFees{inc, answers})
			}
		}()
	}
}

func (s *shell) arm(ctx actor.Context) {
	if !s.armed {
		s.armed = true
		ctx.Send(ctx.Self(), more{})
	}
}

// follow takes the wallet a number of blocks towards the tip of the best chain.
func (s *shell) follow(ctx actor.Context) {
	s.changed = false
	tip := s.tip()
	if s.cfg.Blocks.Local() {
		steps, more, err := read(s.ctx, s.cfg.Blocks, tip, batch)
		s.apply(ctx, steps, more, err)
		return
	}
	env, inc, parent, blocks := s.env, s.incarnation, s.ctx, s.cfg.Blocks
	go func() {
		ctx, cancel := context.WithTimeout(parent, queryTimeout)
		defer cancel()
		steps, more, err := read(ctx, blocks, tip, batch)
		if parent.Err() == nil {
			env.Tell(messages.FundsAddr, gotBlocks{inc, steps, more, err})
		}
	}()
}

// tip is where the wallet stands.
func (s *shell) tip() position {
	height, hash, ok := s.cfg.Wallet.Tip()
	return position{height: height, hash: hash, known: ok, from: s.cfg.From}
}

// apply feeds what was read to the wallet, and goes on if that was not all.
func (s *shell) apply(ctx actor.Context, steps []step, again bool, err error) {
	for _, x := range steps {
		var failed error
		if x.block == nil {
			failed = s.cfg.Wallet.DisconnectBlock(x.height, x.hash)
			s.core.disconnected(x.height)
		} else if failed = s.cfg.Wallet.ConnectBlock(x.height, x.hash, x.block); failed == nil {
			s.core.connected(x.height, x.block)
		}
		if errors.Is(failed, wallet.ErrReorgTooDeep) {
			s.env.Log.Warn("the chain changed deeper than the wallet remembers; reading it anew from the wallet's birthday")
			s.core.synced = false
			failed = s.cfg.Wallet.Rescan()
		}
		if failed != nil {
			err = errors.Join(err, failed)
			break
		}
	}
	switch {
	case err != nil:
		s.env.Log.Warn("wallet can't follow the chain; trying again", slog.Any("error", err))
		s.env.Clock.After(retryAfter, ctx.Self(), more{})
	case again || s.changed:
		s.saveAfter(saveCatchingUp)
		ctx.Send(ctx.Self(), more{})
	default:
		s.armed = false
		height, _, _ := s.cfg.Wallet.Tip()
		s.core.atTip(height)
		s.saveAfter(saveBlocks)
	}
}

// The wallet is written down after so many blocks, and at an orderly stop. Losing it costs reading the blocks since the last time again.
const (
	saveBlocks     = 6
	saveCatchingUp = 2016
)

func (s *shell) saveAfter(blocks uint32) {
	if tip := s.tip(); tip.known && (!s.saved.known || tip.height < s.saved.height || tip.height >= s.saved.height+blocks) {
		s.saveCache()
	}
}

func (s *shell) saveCache() {
	if tip := s.tip(); !tip.known || tip == s.saved {
		return
	}
	if err := s.save(); err != nil {
		s.env.Log.Warn("the wallet could not be written down; the next start reads more blocks", slog.Any("error", err))
	}
}

// save makes the wallet durable.
func (s *shell) save() error {
	if s.cfg.Save == nil {
		return nil
	}
	tip := s.tip()
	raw, err := s.cfg.Wallet.Snapshot()
	if err == nil {
		err = s.cfg.Save(raw)
	}
	if err == nil {
		s.saved = tip
	}
	return err
}

// Config is what the actor is made from.
type Config struct {
	Wallet   wallet.Wallet
	Blocks   Blocks
	Fees     Fees   // nil: no estimates
	Fallback uint32 // fee rate in satoshis per 1000 weight units for when there is no estimate; 0: none
	From     uint32 // the first block that can concern the wallet

	Signer   chankeys.Signer         // of sweeps; nil: nothing is swept
	Classify func(err error) Refusal // what a broadcast's error means; nil: nothing final
	Save     func(raw []byte) error  // makes a wallet's Snapshot durable; nil: nothing is
	Board    *Board                  // nil: one of its own

	// Estimates tells whether what Fees says is an estimate of now, by which commitment transactions may go; nil: channels are told of no rates.
	Estimates        func() bool
	MaxCommitmentFee uint32 // at most; 2,500 if zero

	// AwaitMonitors: claims get no coins before the manager says that all monitors have reported, and with that, the claims that hold some.
	AwaitMonitors bool
}

// Blocks is what the wallet needs of a chain source.
type Blocks interface {
	// At returns the best chain's block at a height, or ok false above the tip.
	At(ctx context.Context, height uint32) (hash chainhash.Hash, block func() (*wire.MsgBlock, error), ok bool, err error)

	// Local reports that the answer comes from memory, so that the question may be asked within a mailbox turn.
	Local() bool
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.incarnation }
