package funds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/actors/chainwatch"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// blocksOf is what supervisor has for the node.
type blocksOf struct {
	chain.Source
	remote bool
}

func (b blocksOf) At(ctx context.Context, height uint32) (chainhash.Hash, func() (*wire.MsgBlock, error), bool, error) {
	hash, err := b.HashAt(ctx, int32(height))
	if errors.Is(err, chain.ErrNotFound) {
		return chainhash.Hash{}, nil, false, nil
	}
	return hash, func() (*wire.MsgBlock, error) { return b.Block(ctx, hash) }, err == nil, err
}

func (b blocksOf) Local() bool { return !b.remote }

// rates is a fee source.
type rates struct {
	mu     sync.Mutex
	perKw  uint32
	err    error
	hang   bool // until the context ends
	remote bool
}

func (r *rates) set(perKw uint32, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.perKw, r.err = perKw, err
}

func (r *rates) Local() bool { return !r.remote }

func (r *rates) FeePerKw(ctx context.Context, _ uint32) (uint32, error) {
	if r.hang {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.perKw, r.err
}

func classify(err error) Refusal {
	var be *chain.BroadcastError
	if !errors.As(err, &be) {
		return Undecided
	}
	switch be.Code {
	case chain.BroadcastFeeTooLow:
		return TooLow
	case chain.BroadcastConflict, chain.BroadcastMissingInputs, chain.BroadcastRejected:
		return Refused
	default:
		return Undecided
	}
}

// world is a wallet's actor over the embedded chain with chainwatch beside it, and a recorder in place of monitors and the manager. It runs in a
// synctest bubble.
type world struct {
	t     *testing.T
	chain *regtest.Chain
	src   *regtest.Source
	rates *rates
	board *Board
	saved []byte // the file
	keys  *chankeys.Local

	edit   func(*Config)
	cfg    Config
	silent atomic.Bool // the manager does not answer
	record actor.Producer
	env    *kit.Env
	wallet *wallet.HD
	node   int

	mu  sync.Mutex
	got []any
}

func testRoot(t *testing.T) *seed.Root {
	t.Helper()
	root, err := seed.FromEntropy([seed.EntropySize]byte{7}, time.Unix(1_600_000_000, 0), regtest.Params())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func newWorld(t *testing.T, edit func(*Config)) *world {
	t.Helper()
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	root := testRoot(t)
	w := &world{
		t: t, chain: c, src: c.Source(), rates: &rates{perKw: 1000}, edit: edit,
		keys: chankeys.NewLocal(func(f keychain.KeyFamily, i uint32) (*btcec.PrivateKey, error) { return root.Key(f, i) }),
	}
	t.Cleanup(func() { _ = c.Close() })
	w.start()
	t.Cleanup(func() { w.env.Kill(); synctest.Wait() })
	return w
}

// start is a process start: all that is left is the file.
func (w *world) start() {
	w.t.Helper()
	w.node++
	w.board = new(Board)
	cfg := wallet.Config{Params: regtest.Params(), Keys: testRoot(w.t), SpendUnconfirmedChange: true}
	var err error
	if w.wallet, err = wallet.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	if w.saved != nil {
		if w.wallet, err = wallet.Restore(cfg, w.saved); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.env, err = kit.NewEnv(kit.NewSystem(nil), fmt.Sprint("alice", w.node), kit.Options{}); err != nil {
		w.t.Fatal(err)
	}
	env := w.env
	w.record = func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
			case messages.AwaitReady:
				if !w.silent.Load() {
					env.Tell(m.ReplyTo, messages.ManagerReady{})
				}
			case messages.ListChannels:
				if !w.silent.Load() {
					env.Tell(m.ReplyTo, messages.ChannelList{Channels: []messages.ChannelSummary{{Phase: messages.PhaseOpen}, {Phase: messages.PhaseClosed}}})
				}
			default:
				w.mu.Lock()
				w.got = append(w.got, m)
				w.mu.Unlock()
			}
		})
	}
	funds := Config{
		Wallet: w.wallet, Blocks: blocksOf{Source: w.src}, Fees: w.rates, Signer: w.keys, Classify: classify, Board: w.board, AwaitMonitors: true,
		Save: func(raw []byte) error { w.saved = raw; return nil },
	}
	if w.edit != nil {
		w.edit(&funds)
	}
	w.cfg = funds
	for _, x := range []struct {
		at    messages.Addr
		props *actor.Props
	}{
		{messages.ManagerAddr, env.Props(w.record)},
		{messages.MonitorsAddr, env.Props(w.record)},
		{"monitor", env.Props(w.record)},
		{messages.ChainWatchAddr, chainwatch.New(env, w.src, chainwatch.WithAnnounce(messages.FundsAddr))},
		{messages.FundsAddr, env.Props(Producer(env, funds))},
	} {
		if _, err := env.Spawn(nil, x.at, x.props); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

// kill is kill -9 and a new start.
func (w *world) kill() {
	w.env.Kill()
	synctest.Wait()
	w.got = nil
	w.start()
}

func (w *world) tell(msg any) {
	w.env.Tell(messages.FundsAddr, msg)
	synctest.Wait()
}

// mineEmpty adds blocks without transactions.
func (w *world) mineEmpty(n int) {
	w.t.Helper()
	if _, err := w.chain.MineEmpty(n); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// mine adds blocks one by one, and lets everybody take notice.
func (w *world) mine(n int) {
	w.t.Helper()
	for range n {
		if _, err := w.chain.Mine(1); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
	}
}

// coins gives the wallet confirmed coins.
func (w *world) coins(values ...int64) {
	w.t.Helper()
	outs := make([]*wire.TxOut, len(values))
	for i, v := range values {
		script, err := w.wallet.NewScript()
		if err != nil {
			w.t.Fatal(err)
		}
		outs[i] = wire.NewTxOut(v, script)
	}
	if _, err := w.chain.Pay(outs...); err != nil {
		w.t.Fatal(err)
	}
	w.mine(1)
}

// answer is the last answer of a kind.
func answer[T any](w *world) T {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.got) - 1; i >= 0; i-- {
		if m, ok := w.got[i].(T); ok {
			return m
		}
	}
	var zero T
	w.t.Fatalf("no %T among %d messages", zero, len(w.got))
	return zero
}

// spendable makes outputs of a channel in a block: one of each kind for each value but anchors.
func (w *world) spendable(index uint32, values ...int64) []facts.SpendableOutput {
	w.t.Helper()
	base, err := w.keys.Basepoints(index)
	if err != nil {
		w.t.Fatal(err)
	}
	point, err := w.keys.PerCommitmentPoint(index, 3)
	if err != nil {
		w.t.Fatal(err)
	}
	var outs []facts.SpendableOutput
	var txOuts []*wire.TxOut
	add := func(kind facts.SpendableKind, value int64, sequence uint32, script []byte, err error) {
		if err != nil {
			w.t.Fatal(err)
		}
		txOuts = append(txOuts, wire.NewTxOut(value, programOf(script)))
		out := facts.SpendableOutput{ValueSat: uint64(value), Kind: kind, KeyIndex: index, WitnessScript: script, Sequence: sequence}
		if kind == facts.SpendableDelayed {
			copy(out.Point[:], point.SerializeCompressed())
		}
		outs = append(outs, out)
	}
	for _, v := range values {
		script, err := input.CommitScriptToSelf(5, input.TweakPubKey(base.DelayedPayment, point), base.Revocation)
		add(facts.SpendableDelayed, v, 5, script, err)
		script, err = input.CommitScriptToRemoteConfirmed(base.Payment)
		add(facts.SpendableToRemote, v+1, 1, script, err)
	}
	script, err := input.CommitScriptAnchor(base.Funding)
	add(facts.SpendableAnchor, 330, 0, script, err)
	tx, err := w.chain.Pay(txOuts...)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range outs {
		outs[i].Output = wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}
	}
	return outs
}

func event(seq uint64) ln.EventID { return ln.EventID{Channel: ln.ChannelID{9}, Seq: seq} }

func sumOf(outs []facts.SpendableOutput) (sum int64) {
	for _, o := range outs {
		sum += int64(o.ValueSat)
	}
	return sum
}

// mempool is what waits, with the fee of each transaction.
func (w *world) mempool() (txs []*wire.MsgTx) { return w.chain.Mempool() }

func (w *world) balance() wallet.Balance { return w.wallet.Balance() }

func outValue(tx *wire.MsgTx) (sum btcutil.Amount) {
	for _, o := range tx.TxOut {
		sum += btcutil.Amount(o.Value)
	}
	return sum
}

// anchorThief spends an anchor that is 16 blocks old, as anybody may.
func anchorThief(t *testing.T, w *world, anchor *facts.SpendableOutput) *wire.MsgTx {
	t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: anchor.Output, Sequence: 16, Witness: wire.TxWitness{nil, anchor.WitnessScript}})
	script, _ := regtest.FaucetScript()
	tx.AddTxOut(wire.NewTxOut(330, script))
	return tx
}

func programOf(script []byte) []byte {
	program := sha256.Sum256(script)
	return append([]byte{0, 32}, program[:]...)
}

// counted counts the blocks that are read.
type counted struct {
	Blocks
	n *int
}

func (c counted) At(ctx context.Context, height uint32) (chainhash.Hash, func() (*wire.MsgBlock, error), bool, error) {
	hash, read, ok, err := c.Blocks.At(ctx, height)
	return hash, func() (*wire.MsgBlock, error) { *c.n++; return read() }, ok, err
}
