package funds

import (
	"log/slog"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

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

	look    bool   // the chain has said something that its blocks may explain
	counted uint32 // height at which the channels were counted

	fees     feeBook
	waiting  map[claimKey]messages.BuildClaim
	starving map[claimKey]StarvingClaim
	sweeps   sweeper
	sending  map[chainhash.Hash]sending
	warned   warned

	commitmentFee uint32 // that channels were told; 0: none
}

func newCore(cfg Config, log *slog.Logger) *core {
	return &core{
		cfg: cfg, wallet: cfg.Wallet, log: log, fees: feeBook{fallback: cfg.Fallback}, sweeps: newSweeper(),
		waiting: make(map[claimKey]messages.BuildClaim), starving: make(map[claimKey]StarvingClaim), sending: make(map[chainhash.Hash]sending),
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

// coinsKnown tells whether the wallet knows its coins, and which of them claims hold that were made before a restart: before all monitors have said
// so, a coin that one of them has in a durable claim would be given to another (rule 22).
func (c *core) coinsKnown() bool {
	return c.synced && (!c.cfg.AwaitMonitors || c.cfg.Board.reported())
}

// countEvery is after how many blocks channels are counted again.
const countEvery = 6

// askManager asks what the manager alone knows: whether all monitors have reported, and now and then how many channels there are. A question may be
// lost with the manager, so it is asked again.
func (c *core) askManager() {
	if c.cfg.AwaitMonitors && !c.cfg.Board.reported() {
		c.tell(messages.ManagerAddr, messages.AwaitReady{ReplyTo: messages.FundsAddr})
	}
	if c.counted == 0 || c.height < c.counted || c.height >= c.counted+countEvery {
		c.counted = c.height
		c.tell(messages.ManagerAddr, messages.ListChannels{ReplyTo: messages.FundsAddr})
	}
}

// ready is told when all monitors have reported.
func (c *core) ready() {
	c.cfg.Board.setReported()
	c.serveWaiting()
	c.sweeps.dirty = true
}

// channels counts those that can still be closed by force, which takes fees.
func (c *core) channels(m messages.ChannelList) {
	n := 0
	for i := range m.Channels {
		if phase := m.Channels[i].Phase; phase != messages.PhaseClosed && phase != messages.PhaseMutualClose {
			n++
		}
	}
	c.cfg.Board.setCount(n)
}

// atTip is called when the wallet has followed the chain to its end.
func (c *core) atTip(height uint32) {
	c.height, c.synced = height, true
	c.askManager()
	c.serveWaiting()
	c.splitRefused()
	c.planSweeps()
}

// feesLearned takes in a round of estimates.
func (c *core) feesLearned(answers []estimate) {
	first := !c.feesKnown()
	c.fees.learn(answers)
	c.tellCommitmentFee()
	c.serveWaiting()
	c.sweeps.dirty = c.sweeps.dirty || first
}
