package funds

import (
	"log/slog"

	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// core is the actor without the actor: what comes in, what goes out. It asks nobody and waits for nothing. The wallet that it works on outlives it.
type core struct {
	cfg    Config
	wallet wallet.Wallet
	log    *slog.Logger
	out    []messages.Delivery

	height uint32 // of the wallet
	synced bool   // the wallet has been at the tip in this incarnation

	fees     feeBook
	waiting  map[claimKey]messages.BuildClaim
	starving map[claimKey]StarvingClaim
}

func newCore(cfg Config, log *slog.Logger) *core {
	return &core{
		cfg: cfg, wallet: cfg.Wallet, log: log, fees: feeBook{fallback: cfg.Fallback},
		waiting: make(map[claimKey]messages.BuildClaim), starving: make(map[claimKey]StarvingClaim),
	}
}

func (c *core) tell(to messages.Addr, msg any) {
	if to != "" {
		c.out = append(c.out, messages.Delivery{To: to, Msg: msg})
	}
}

// flush is what there is to send.
func (c *core) flush() []messages.Delivery {
	out := c.out
	c.out = nil
	return out
}

func (c *core) feesKnown() bool { return c.fees.state != FeesUnknown }

// coinsKnown tells whether the wallet knows its coins, and which of them claims hold that were made before a restart.
func (c *core) coinsKnown() bool { return c.synced }

// atTip is called when the wallet has followed the chain to its end.
func (c *core) atTip(height uint32) {
	c.height, c.synced = height, true
	c.serveWaiting()
}

// feesLearned takes in a round of estimates.
func (c *core) feesLearned(answers []estimate) {
	c.fees.learn(answers)
	c.serveWaiting()
}
