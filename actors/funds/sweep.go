package funds

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

const (
	sweepTarget = 12  // blocks: nobody else can take these outputs
	sweepInputs = 100 // of one transaction
	sweepLabel  = "sweep"

	// bumpAfter is how many blocks a sweep may stay unconfirmed before it is replaced by one that pays a quarter more, up to maxBump times the
	// estimate. An output that the chain did not let us spend is tried again after as many.
	bumpAfter = 6
	maxBump   = 10

	// maxShare is the part of an output that may go to fees: 1/maxShare. Nobody else can take it, so it waits for lower fees, or for an estimate that
	// makes sense again.
	maxShare = 2
)

// target is an output to sweep.
type target struct {
	out   facts.SpendableOutput
	event ln.EventID
	spend chankeys.Spend

	tx     *sweepTx // that spends it; nil: none
	gone   uint32   // height of the block in which it was spent, 0: unspent as far as seen
	alone  bool     // it may have been what a transaction with others failed for
	notYet uint32   // not to be tried before this height
	reason string   // why it waits
}

// sweepTx is a transaction of the sweeper.
type sweepTx struct {
	tx     *wire.MsgTx
	txid   chainhash.Hash
	lock   wallet.LockID
	inputs []wire.OutPoint
	fee    btcutil.Amount
	rate   chainfee.SatPerKWeight
	since  uint32 // height at which it was made
	tooLow bool   // the chain wants more

	refused error // the chain takes none of it
}

// sweeper is the part of the core that brings outputs of channels home. It is in memory only: the manager repeats SweepOutputs at every start, and
// the wallet remembers the transactions.
type sweeper struct {
	targets map[wire.OutPoint]*target
	txs     map[chainhash.Hash]*sweepTx // unconfirmed, or confirmed by a block that may yet go
	invalid int                         // outputs that can't be signed for
	dirty   bool                        // there is something new to plan
}

func newSweeper() sweeper {
	return sweeper{targets: make(map[wire.OutPoint]*target), txs: make(map[chainhash.Hash]*sweepTx)}
}

// sweepOutputs takes in what there is to sweep.
func (c *core) sweepOutputs(m messages.SweepOutputs) {
	for i := range m.Outputs {
		out := m.Outputs[i]
		if _, known := c.sweeps.targets[out.Output]; known {
			continue
		}
		spend, err := spendOf(&out)
		if err != nil {
			c.sweeps.invalid++
			c.log.Error("an output of a channel can't be swept", slog.String("channel_id", m.Event.Channel.String()), slog.String("output", out.Output.String()), slog.Any("error", err))
			continue
		}
		c.sweeps.targets[out.Output] = &target{out: out, event: m.Event, spend: spend}
		c.sweeps.dirty = true
	}
}

// spendOf says how an output is spent.
func spendOf(out *facts.SpendableOutput) (chankeys.Spend, error) {
	spend := chankeys.Spend{WitnessScript: out.WitnessScript, Value: amount(out.ValueSat)}
	switch out.Kind {
	case facts.SpendableDelayed:
		point, err := btcec.ParsePubKey(out.Point[:])
		if err != nil {
			return spend, err
		}
		spend.Path, spend.Point = chankeys.PathDelayed, point
	case facts.SpendableToRemote:
		spend.Path = chankeys.PathToRemote
	case facts.SpendableAnchor:
		spend.Path = chankeys.PathAnchor
	default:
		return spend, errors.New("unknown kind of output")
	}
	return spend, nil
}

// sweepDone ends the sweep of an event's outputs.
func (c *core) sweepDone(m messages.SweepDone) {
	for op, t := range c.sweeps.targets {
		if t.event == m.Event {
			delete(c.sweeps.targets, op)
		}
	}
	for _, x := range c.sortedSweeps() {
		if !slices.ContainsFunc(x.inputs, func(op wire.OutPoint) bool { return c.sweeps.targets[op] != nil }) {
			c.dropSweep(x, c.unconfirmed(x.txid))
		}
	}
}

// planSweeps makes, replaces and adopts transactions as the height and the fee rates ask for.
func (c *core) planSweeps() {
	c.sweeps.dirty = false
	if !c.coinsKnown() || !c.feesKnown() || c.cfg.Signer == nil {
		c.sweeps.dirty = len(c.sweeps.targets) > 0
		return
	}
	c.adoptSweeps()
	rate := chainfee.SatPerKWeight(c.fees.rate(sweepTarget))
	for _, x := range c.sortedSweeps() {
		c.bumpSweep(x, rate)
	}
	var together []*target
	for _, t := range c.sortedTargets() {
		switch {
		case t.tx != nil || t.gone != 0 || t.notYet > c.height:
		case !worthwhile(t, rate):
			t.reason = "not worth its fee at the present rate"
		case t.alone:
			c.makeSweep([]*target{t}, rate, nil, budget([]*target{t}))
		default:
			together = append(together, t)
		}
	}
	for batch := range slices.Chunk(together, sweepInputs) {
		c.makeSweep(batch, rate, nil, budget(batch))
	}
}

// worthwhile tells whether an input brings enough more than it costs.
func worthwhile(t *target, rate chainfee.SatPerKWeight) bool {
	const input = 4 * (32 + 4 + 1 + 4)
	return int64(t.out.ValueSat)*1000 > maxShare*int64(rate)*(input+int64(t.spend.WitnessWeight()))
}

// budget is what the fee of a sweep may be, unless the user says what it is to be.
func budget(batch []*target) (sum btcutil.Amount) {
	for _, t := range batch {
		sum += amount(t.out.ValueSat)
	}
	return sum / maxShare
}

// makeSweep makes the transaction of some outputs and has it broadcast. old is what it replaces, nil for nothing. Nil: it
// can't be made, for the reason that the first output has.
func (c *core) makeSweep(batch []*target, rate chainfee.SatPerKWeight, old *sweepTx, maxFee btcutil.Amount) *sweepTx {
	spec := &wallet.ClaimSpec{FeeRate: rate, MaxFee: maxFee}
	x := &sweepTx{since: c.height}
	for _, t := range batch {
		program := sha256.Sum256(t.out.WitnessScript)
		spec.Inputs = append(spec.Inputs, wallet.ClaimInput{
			OutPoint: t.out.Output, Value: amount(t.out.ValueSat), PkScript: append([]byte{0, 32}, program[:]...), Sequence: t.out.Sequence,
			WitnessWeight: int64(t.spend.WitnessWeight()),
		})
		x.inputs = append(x.inputs, t.out.Output)
	}
	x.lock = sweepLock(x.inputs[0])
	if old != nil {
		x.lock, spec.MinFee = old.lock, old.fee
	}
	spec.Lock = x.lock
	built, err := c.wallet.BuildClaim(spec)
	if err != nil {
		for _, t := range batch {
			t.reason = err.Error()
		}
		return nil
	}
	for i, t := range batch {
		witness, err := c.cfg.Signer.SignSpend(t.out.KeyIndex, &t.spend, built.Tx, i)
		if err != nil { // it never will be signed: go on without it
			c.log.Error("an output of a channel can't be swept", slog.String("output", t.out.Output.String()), slog.Any("error", err))
			t.gone, t.reason = foreverGone, err.Error()
			c.sweeps.invalid++
			c.sweeps.dirty = true
			return nil
		}
		built.Tx.TxIn[i].Witness = witness
	}
	x.tx, x.txid, x.fee, x.rate = built.Tx, built.Tx.TxHash(), built.Fee, built.FeeRate
	if old != nil {
		c.dropSweep(old, false)
	}
	if err := c.wallet.AddUnconfirmed(x.tx); err != nil {
		c.log.Warn("wallet refuses a sweep", slog.Any("error", err))
	}
	c.castSweep(x)
	return x
}

// foreverGone marks an output that can't be signed for.
const foreverGone = 1<<32 - 1

func (c *core) castSweep(x *sweepTx) {
	c.sweeps.txs[x.txid] = x
	for _, op := range x.inputs {
		if t := c.sweeps.targets[op]; t != nil {
			t.tx, t.reason = x, ""
		}
	}
	c.log.Info("sweeping outputs of channels", slog.String("txid", x.txid.String()), slog.Int("outputs", len(x.inputs)), slog.Int64("fee_sat", int64(x.fee)))
	c.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: x.tx, Label: sweepLabel, ReplyTo: messages.FundsAddr})
}

// dropSweep forgets a transaction. dead says that it will never confirm.
func (c *core) dropSweep(x *sweepTx, dead bool) {
	delete(c.sweeps.txs, x.txid)
	for _, op := range x.inputs {
		if t := c.sweeps.targets[op]; t != nil && t.tx == x {
			t.tx = nil
		}
	}
	c.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: x.txid})
	if dead {
		c.wallet.Abandon(x.txid)
		c.wallet.ReleaseClaim(x.lock)
	}
}

// bumpSweep replaces a transaction that does not confirm.
func (c *core) bumpSweep(x *sweepTx, estimate chainfee.SatPerKWeight) {
	if !c.unconfirmed(x.txid) || !x.tooLow && c.height < x.since+bumpAfter {
		return
	}
	batch := c.batchOf(x)
	rate := max(estimate, x.rate+x.rate/4+1)
	if len(batch) == 0 || rate > maxBump*estimate {
		return
	}
	x.since = c.height
	c.makeSweep(batch, rate, x, budget(batch))
}

// batchOf is what is left of a transaction's outputs.
func (c *core) batchOf(x *sweepTx) (batch []*target) {
	for _, op := range x.inputs {
		if t := c.sweeps.targets[op]; t != nil && t.gone == 0 {
			batch = append(batch, t)
		}
	}
	return batch
}

func (c *core) sortedTargets() []*target {
	out := make([]*target, 0, len(c.sweeps.targets))
	for _, t := range c.sweeps.targets {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *target) int {
		if d := bytes.Compare(a.out.Output.Hash[:], b.out.Output.Hash[:]); d != 0 {
			return d
		}
		return int(a.out.Output.Index) - int(b.out.Output.Index)
	})
	return out
}

func (c *core) sortedSweeps() []*sweepTx {
	out := make([]*sweepTx, 0, len(c.sweeps.txs))
	for _, x := range c.sweeps.txs {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *sweepTx) int { return bytes.Compare(a.txid[:], b.txid[:]) })
	return out
}

// sweepLock is under what name the wallet keeps the address of a sweep.
func sweepLock(first wire.OutPoint) wallet.LockID {
	return sha256.Sum256([]byte("lnactor/sweep" + first.String()))
}
