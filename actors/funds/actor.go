package funds

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// Blocks is what the wallet needs of a chain source.
type Blocks interface {
	// At returns the best chain's block at a height, or ok false above the tip.
	At(ctx context.Context, height uint32) (hash chainhash.Hash, block func() (*wire.MsgBlock, error), ok bool, err error)
}

// batch bounds the blocks read in one turn.
const batch = 64

const (
	retryAfter   = time.Second
	queryTimeout = 30 * time.Second
)

type more struct{}

// Producer makes the actor. from is the first block that can concern the wallet.
func Producer(env *kit.Env, w wallet.Wallet, blocks Blocks, from uint32) actor.Producer {
	return func() actor.Actor { return &shell{env: env, wallet: w, blocks: blocks, from: from} }
}

type shell struct {
	env    *kit.Env
	wallet wallet.Wallet
	blocks Blocks
	from   uint32
	armed  bool
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.env.Tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.FundsAddr})
		s.arm(ctx)
	case messages.ChainStarted:
		s.env.Tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.FundsAddr})
	case messages.ChainTip:
		s.arm(ctx)
	case more:
		s.armed = false
		s.follow(ctx)
	case messages.WalletSpends:
		s.spends(m)
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
	call, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	for range batch {
		again, err := s.step(call)
		if err != nil {
			s.env.Log.Warn("wallet can't follow the chain; trying again", slog.Any("error", err))
			s.env.Clock.After(retryAfter, ctx.Self(), more{})
			return
		}
		if !again {
			return
		}
	}
	s.arm(ctx)
}

func (s *shell) step(ctx context.Context) (again bool, err error) {
	height, hash, ok := s.wallet.Tip()
	if ok {
		best, _, there, err := s.blocks.At(ctx, height)
		if err != nil {
			return false, err
		}
		if !there || best != hash {
			return true, s.wallet.DisconnectBlock(height, hash)
		}
	}
	next := s.from
	if ok {
		next = height + 1
	}
	best, read, there, err := s.blocks.At(ctx, next)
	if err != nil || !there {
		return false, err
	}
	block, err := read()
	if err != nil {
		return false, err
	}
	return true, s.wallet.ConnectBlock(next, best, block)
}

// spends takes the inputs out of the wallet's hands before the opening's own reservation ends, so that nothing can take them in between.
func (s *shell) spends(m messages.WalletSpends) {
	if err := s.wallet.AddUnconfirmed(m.Tx); err != nil {
		s.env.Log.Warn("wallet refuses a transaction", slog.String("txid", m.Tx.TxHash().String()), slog.Any("error", err))
	}
	if m.Release != (ln.ChannelID{}) {
		s.wallet.Release(wallet.LockID(m.Release))
	}
	if err := s.wallet.Reserve(wallet.LockID(m.Channel), m.Tx); err != nil {
		s.env.Log.Error("inputs of a funding transaction are reserved for something else", slog.String("channel_id", m.Channel.String()), slog.Any("error", err))
	}
}
