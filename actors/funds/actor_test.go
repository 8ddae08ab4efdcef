package funds

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// signedOutputs are outputs of one key each, confirmed, and second stages that the other side has signed: SIGHASH_SINGLE|ANYONECANPAY at the index
// of the input, without knowing what else there will be.
type signedOutputs struct {
	w      *world
	key    *btcec.PrivateKey
	script []byte
	inputs []messages.ClaimInput
	values []int64
}

func (w *world) channelOutputs(values ...int64) *signedOutputs {
	w.t.Helper()
	key, _ := btcec.PrivKeyFromBytes([]byte{1, 2, 3})
	script, err := txscript.NewScriptBuilder().AddData(key.PubKey().SerializeCompressed()).AddOp(txscript.OP_CHECKSIG).Script()
	if err != nil {
		w.t.Fatal(err)
	}
	s := &signedOutputs{w: w, key: key, script: script, values: values}
	var outs []*wire.TxOut
	for _, v := range values {
		outs = append(outs, wire.NewTxOut(v, programOf(script)))
	}
	tx, err := w.chain.Pay(outs...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mine(1)
	for i, v := range values {
		s.inputs = append(s.inputs, messages.ClaimInput{
			OutPoint: wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}, ValueSat: uint64(v), PkScript: programOf(script), Sequence: 1,
			WitnessWeight: uint32(1 + 74 + 1 + len(script)),
		})
	}
	return s
}

// complete puts the witnesses of the channel in.
func (s *signedOutputs) complete(tx *wire.MsgTx) *wire.MsgTx {
	tx = tx.Copy()
	for i := range s.inputs {
		hashType := txscript.SigHashAll
		signed := tx
		at := i
		if s.inputs[i].Output != nil { // over what the other side knew: this input and this output
			hashType = txscript.SigHashSingle | txscript.SigHashAnyOneCanPay
			signed = wire.NewMsgTx(2)
			signed.LockTime = tx.LockTime
			signed.AddTxIn(&wire.TxIn{PreviousOutPoint: s.inputs[i].OutPoint, Sequence: s.inputs[i].Sequence})
			signed.AddTxOut(s.inputs[i].Output)
			at = 0
		}
		fetcher := txscript.NewCannedPrevOutputFetcher(nil, 0)
		hash, err := txscript.CalcWitnessSigHash(s.script, txscript.NewTxSigHashes(signed, fetcher), hashType, signed, at, s.values[i])
		if err != nil {
			s.w.t.Fatal(err)
		}
		sig := append(ecdsa.Sign(s.key, hash).Serialize(), byte(hashType))
		tx.TxIn[i].Witness = wire.TxWitness{sig, s.script}
	}
	return tx
}

func (s *signedOutputs) ask(claim uint64) messages.BuildClaim {
	return messages.BuildClaim{
		Channel: ln.ChannelID{5}, Incarnation: 3, Claim: claim, Inputs: s.inputs, Target: 6, MaxFeeSat: 1_000_000, ReplyTo: "monitor",
	}
}

func (w *world) claim(m messages.BuildClaim) messages.ClaimBuilt {
	w.t.Helper()
	w.tell(m)
	got := answer[messages.ClaimBuilt](w)
	if got.Channel != m.Channel || got.Incarnation != m.Incarnation || got.Claim != m.Claim {
		w.t.Fatalf("answer to another question: %+v", got)
	}
	return got
}

// A claim on the chain's own rules: with coins for second stages, replaced twice, mined, and every satoshi counted.
func TestClaimOnChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(2500, nil)
		w.coins(3_000, 100_000, 20_000)
		s := w.channelOutputs(60_000, 40_000, 5_000)
		for i := range 2 {
			s.inputs[i].Output = wire.NewTxOut(s.values[i], programOf([]byte{txscript.OP_TRUE, byte(i)}))
		}
		question := s.ask(1)
		question.LockTime = 50
		var last *wire.MsgTx
		var fees uint64
		for round := range 3 {
			built := w.claim(question)
			if built.Err != nil {
				t.Fatal(built.Err)
			}
			tx := s.complete(built.Tx)
			w.tell(messages.WalletSpends{Channel: question.Channel, Claim: 1, Tx: tx})
			if err := w.chain.Broadcast(tx); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if len(w.mempool()) != 1 || built.FeeSat <= fees {
				t.Fatalf("round %d: %d in the mempool, fee %d after %d", round, len(w.mempool()), built.FeeSat, fees)
			}
			last, fees = tx, built.FeeSat
			question.MinFeeSat, question.MinFeePerKw = built.FeeSat, built.FeePerKw*5/4
			if round == 1 {
				question.MinFeePerKw = 0 // the wallet sees for itself what it replaces
			}
		}
		before := int64(3_000 + 100_000 + 20_000)
		w.mine(1)
		w.tell(messages.ReleaseClaim{Channel: question.Channel, Claim: 1})
		b := w.balance()
		if want := before + 5_000 - int64(fees); int64(b.Total()) != want || b.Reserved != 0 || b.Unconfirmed != 0 {
			t.Errorf("%+v, want %d", b, want)
		}
		if last.TxOut[0].Value != 60_000 || last.TxOut[1].Value != 40_000 {
			t.Error("the second stages are not at their index")
		}
	})
}

// A parent that pays the relay fee only is brought to the rate asked for, together with its child.
func TestClaimPaysForParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(3000, nil)
		w.coins(50_000)
		s := w.channelOutputs(330)
		s.inputs[0].Attach, s.inputs[0].Sequence = true, 0
		question := s.ask(1)
		question.Parent = &messages.ClaimParent{Weight: 1200, FeeSat: 304}
		built := w.claim(question)
		if built.Err != nil {
			t.Fatal(built.Err)
		}
		tx := s.complete(built.Tx)
		if err := w.chain.Broadcast(tx); err != nil {
			t.Fatal(err)
		}
		weight := uint64(3*tx.SerializeSizeStripped() + tx.SerializeSize())
		if together := (built.FeeSat + 304) * 1000 / (weight + 1200); together < 3000 || together > 3020 || built.FeePerKw < 3000 || built.FeePerKw > 3001 {
			t.Errorf("%d sat/kw together, said to be %d", together, built.FeePerKw)
		}
		question.MinFeePerKw = 4000 // of a replacement, above the estimate
		if got := w.claim(question); got.Err != nil || got.FeePerKw < 4000 || got.FeePerKw > 4001 {
			t.Errorf("%d sat/kw, %v", got.FeePerKw, got.Err)
		}
		question.MinFeePerKw = 0
		question.Parent.FeeSat = 3600
		if got := w.claim(question); codeOf(got.Err) != messages.ClaimUnneeded {
			t.Errorf("%v", got.Err)
		}
	})
}

func codeOf(err error) messages.ClaimCode {
	var e *messages.ClaimError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// A claim without coins is refused and shown until there are some; the reserve is too small meanwhile, and that is shown too.
func TestClaimStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		s := w.channelOutputs(60_000)
		s.inputs[0].Output = wire.NewTxOut(60_000, programOf([]byte{txscript.OP_TRUE}))
		height := w.board.Status().Height
		if got := w.claim(s.ask(1)); codeOf(got.Err) != messages.ClaimNoCoins {
			t.Fatal(got.Err)
		}
		w.mine(2)
		_ = w.claim(s.ask(1))
		st := w.board.Status()
		if len(st.Starving) != 1 || st.Starving[0].Since != height || st.Starving[0].Claim != 1 || st.Starving[0].NeedSat == 0 {
			t.Errorf("%+v", st.Starving)
		}
		if st.ReserveWantedSat != 10_000 || st.ReserveHaveSat != 0 || !st.ReserveTooSmall() {
			t.Errorf("reserve %+v", st)
		}
		w.coins(50_000)
		if got := w.claim(s.ask(1)); got.Err != nil {
			t.Fatal(got.Err)
		}
		if st := w.board.Status(); len(st.Starving) != 0 {
			t.Errorf("%+v", st)
		}
		too := s.ask(2)
		too.MaxFeeSat = 10
		if got := w.claim(too); codeOf(got.Err) != messages.ClaimTooExpensive {
			t.Error(got.Err)
		}
		if got := w.claim(messages.BuildClaim{ReplyTo: "monitor"}); codeOf(got.Err) != messages.ClaimInvalid {
			t.Error(got.Err)
		}
	})
}

// When blocks cost more than a claim is worth it pays what it may: its output is lost for sure if nothing is broadcast.
func TestClaimAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		s := w.channelOutputs(60_000)
		w.rates.set(1_000_000, nil)
		w.mine(1)
		ask := s.ask(1)
		ask.MaxFeeSat = 30_000
		if got := w.claim(ask); got.Err != nil || got.FeeSat != 30_000 {
			t.Errorf("fee %d, error %v", got.FeeSat, got.Err)
		}
	})
}

// A claim made before a kill keeps its coins: none is given away before all monitors have said what they hold (rule 22).
func TestClaimAfterKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.coins(50_000)
		s := w.channelOutputs(60_000, 70_000)
		for i := range 2 {
			s.inputs[i].Output = wire.NewTxOut(s.values[i], programOf([]byte{txscript.OP_TRUE}))
		}
		all := s.inputs
		one, two := s.ask(1), s.ask(2)
		one.Inputs, two.Inputs = all[:1], all[1:]
		first := w.claim(one)
		if first.Err != nil {
			t.Fatal(first.Err)
		}
		w.saved = nil // nothing of the wallet is left, and the manager is slow
		w.silent.Store(true)
		w.kill()
		w.tell(two)
		if n := w.board.Status().Waiting; n != 1 {
			t.Fatalf("%d wait", n)
		}
		w.tell(messages.WalletSpends{Channel: one.Channel, Claim: 1, Tx: first.Tx})
		w.silent.Store(false)
		time.Sleep(askAgainAfter) // virtual
		synctest.Wait()
		if got := answer[messages.ClaimBuilt](w); got.Claim != 2 || codeOf(got.Err) != messages.ClaimNoCoins {
			t.Errorf("%+v", got)
		}
		if again := w.claim(one); again.Err != nil || again.Tx.TxIn[1].PreviousOutPoint != first.Tx.TxIn[1].PreviousOutPoint {
			t.Errorf("%+v", again)
		}
	})
}

// The crash of the actor alone loses neither coins nor questions that are asked again.
func TestActorCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.coins(50_000)
		s := w.channelOutputs(60_000)
		s.inputs[0].Output = wire.NewTxOut(60_000, programOf([]byte{txscript.OP_TRUE}))
		a := w.claim(s.ask(1))
		w.env.System.Root.Stop(w.env.PID(messages.FundsAddr))
		synctest.Wait()
		if _, err := w.env.Spawn(nil, messages.FundsAddr, w.env.Props(Producer(w.env, w.cfg))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b := w.claim(s.ask(1)); b.Err != nil || b.Tx.TxHash() != a.Tx.TxHash() {
			t.Errorf("%+v", b)
		}
	})
}

// A source that hangs or fails does not hold up the actor: the last estimate, then the configured rate, then a guess are used, and the state says so.
func TestFees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &rates{remote: true, hang: true}
		w := newWorld(t, func(c *Config) { c.Fees = slow; c.Blocks = blocksOf{c.Blocks.(blocksOf).Source, true} })
		w.coins(50_000)
		s := w.channelOutputs(60_000)
		w.tell(s.ask(1))
		if st := w.board.Status(); st.Waiting != 1 || st.Fees != FeesUnknown || st.ReserveHaveSat != 50_000 {
			t.Fatalf("%+v", st)
		}
		time.Sleep(queryTimeout)
		synctest.Wait()
		built := answer[messages.ClaimBuilt](w)
		if built.Err != nil || built.FeePerKw < guess || w.board.Status().Fees != FeesMissing {
			t.Errorf("%+v, %v", built, w.board.Status().Fees)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		source := &rates{err: errors.New("none")}
		w := newWorld(t, func(c *Config) { c.Fees, c.Fallback = source, 700 })
		s := w.channelOutputs(60_000)
		for _, step := range []struct {
			perKw uint32
			err   error
			state FeeState
			want  uint32
		}{{0, errors.New("none"), FeesFallback, 700}, {1500, nil, FeesOK, 1500}, {0, errors.New("down"), FeesStale, 1500}, {100, nil, FeesOK, 253}} {
			source.set(step.perKw, step.err)
			w.mine(1)
			built := w.claim(s.ask(1))
			if st := w.board.Status(); st.Fees != step.state || built.FeePerKw < step.want || built.FeePerKw > step.want+2 || (st.FeesErr == nil) != (step.err == nil) {
				t.Errorf("%+v: %+v, %d sat/kw", step, st, built.FeePerKw)
			}
		}
	})
}

func TestFeeTargets(t *testing.T) {
	var b feeBook
	b.learn([]estimate{{perKw: 900}, {err: errors.New("none")}, {perKw: 600}, {perKw: 500}, {}, {}, {perKw: 300}})
	for blocks, want := range map[uint32]uint32{0: 900, 1: 900, 2: 900, 3: 900, 5: 900, 6: 600, 12: 500, 100: 500, 144: 300, 5000: 300} {
		if got := b.rate(blocks); got != want {
			t.Errorf("%d blocks: %d, want %d", blocks, got, want)
		}
	}
	b = feeBook{}
	b.learn([]estimate{{}, {}, {}, {}, {perKw: 400}, {}, {}})
	if got := b.rate(2); got != 400 {
		t.Errorf("only a longer one is known: %d", got)
	}
}

func (w *world) send(m messages.SendFunds) messages.SendReply {
	w.t.Helper()
	m.ReplyTo = "monitor"
	w.tell(m)
	return answer[messages.SendReply](w)
}

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.coins(100_000, 60_000)
		to, _ := regtest.FaucetScript()
		r := w.send(messages.SendFunds{PkScript: to, AmountSat: 30_000, FeePerKw: 500})
		if r.Err != nil || !r.Accepted || r.AmountSat != 30_000 || !w.chain.InMempool(r.Txid) {
			t.Fatalf("%+v", r)
		}
		w.mine(1)
		if b := w.balance(); uint64(b.Confirmed) != 130_000-r.FeeSat || b.Total() != b.Confirmed {
			t.Errorf("%+v", b)
		}
		var keep *wallet.ReserveError
		if r := w.send(messages.SendFunds{PkScript: to, AmountSat: 125_000}); !errors.As(r.Err, &keep) || keep.Keep != 10_000 {
			t.Errorf("%+v", r)
		}
		before := uint64(w.balance().Confirmed)
		all := w.send(messages.SendFunds{PkScript: to})
		if all.Err != nil || all.AmountSat+all.FeeSat+10_000 != before {
			t.Errorf("%+v of %d", all, before)
		}
		w.mine(1)
		if b := w.balance(); b.Confirmed != 10_000 || b.Total() != 10_000 {
			t.Errorf("the reserve is not what is left: %+v", b)
		}
		rest := w.send(messages.SendFunds{PkScript: to, UseReserve: true})
		if rest.Err != nil || rest.AmountSat+rest.FeeSat != 10_000 {
			t.Errorf("%+v", rest)
		}
		w.mine(1)
		if b := w.balance(); b.Total() != 0 {
			t.Errorf("%+v", b)
		}
		var short *wallet.InsufficientFundsError
		if r := w.send(messages.SendFunds{PkScript: to, AmountSat: 1000}); !errors.As(r.Err, &short) {
			t.Errorf("%+v", r)
		}
		if r := w.send(messages.SendFunds{PkScript: to, AmountSat: 10}); !errors.Is(r.Err, wallet.ErrBadOutput) {
			t.Errorf("%+v", r)
		}
		if r := w.send(messages.SendFunds{PkScript: to, AmountSat: 10, FeePerKw: 1}); !errors.Is(r.Err, wallet.ErrBadFeeRate) {
			t.Errorf("%+v", r)
		}
	})
}

// A payment is durable before its caller or the network sees it, and offered until it confirms, over kills and reorganisations.
func TestSendSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.coins(100_000)
		to, _ := regtest.FaucetScript()
		w.src.SetDown(true)
		r := w.send(messages.SendFunds{PkScript: to, AmountSat: 30_000})
		if r.Err != nil || r.Accepted || r.Txid.String() == "" {
			t.Fatalf("%+v", r)
		}
		w.src.SetDown(false)
		w.kill() // before chainwatch asks again
		if !w.chain.InMempool(r.Txid) {
			t.Fatal("forgotten")
		}
		w.mine(1)
		if err := w.chain.Reorg(1, 2, regtest.DropAllTxs()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.kill()
		if !w.chain.InMempool(r.Txid) {
			t.Error("forgotten after a reorganisation")
		}
		w.mine(1)
		if b := w.balance(); uint64(b.Confirmed) != 70_000-r.FeeSat {
			t.Errorf("%+v", b)
		}
	})
}

// What can't be made durable is not sent, and what the chain refuses is not kept.
func TestSendRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		var fail error
		w := newWorld(t, func(c *Config) {
			save := c.Save
			c.Save = func(raw []byte) error { return errors.Join(fail, save(raw)) }
		})
		w.coins(100_000)
		to, _ := regtest.FaucetScript()
		fail = full
		if r := w.send(messages.SendFunds{PkScript: to, AmountSat: 30_000}); !errors.Is(r.Err, full) || len(w.mempool()) != 0 {
			t.Errorf("%+v, %d sent", r, len(w.mempool()))
		}
		fail = nil
		// A non-standard output passes the wallet, not the mempool.
		r := w.send(messages.SendFunds{PkScript: []byte{txscript.OP_TRUE}, AmountSat: 30_000})
		if !errors.Is(r.Err, ErrRefused) || !strings.Contains(fmt.Sprint(r.Err), "rejected") {
			t.Errorf("%+v", r)
		}
		if b := w.balance(); b.Confirmed != 100_000 || len(w.wallet.Sent()) != 0 {
			t.Errorf("%+v", b)
		}
	})
}

// The file spares a restart the whole chain; without it everything is found again.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		w := newWorld(t, func(c *Config) { c.Blocks = counted{c.Blocks, &reads} })
		w.coins(100_000)
		w.mine(20)
		reads = 0
		w.kill()
		if reads > saveBlocks || w.balance().Confirmed != 100_000 {
			t.Errorf("%d blocks read, %+v", reads, w.balance())
		}
		w.env.System.Root.Stop(w.env.PID(messages.FundsAddr)) // orderly
		synctest.Wait()
		reads = 0
		w.kill()
		if reads != 0 {
			t.Errorf("%d blocks read after an orderly stop", reads)
		}
		w.saved, reads = nil, 0
		w.kill()
		if reads < 100 || w.balance().Confirmed != 100_000 {
			t.Errorf("%d blocks read, %+v", reads, w.balance())
		}
	})
}

// A reorganisation deeper than the wallet remembers costs a rescan: the coins are those of the new branch, and what was held stays held.
func TestReorgTooDeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.coins(100_000, 50_000)
		s := w.channelOutputs(60_000)
		s.inputs[0].Output = wire.NewTxOut(60_000, programOf([]byte{txscript.OP_TRUE}))
		w.mine(5)
		w.coins(7_000)
		for range 10 {
			w.mine(1)
		}
		w.env.System.Root.Stop(w.env.PID(messages.FundsAddr))
		synctest.Wait()
		if _, err := w.chain.Mine(wallet.UndoDepth); err != nil {
			t.Fatal(err)
		}
		w.kill() // from the file, which remembers what it stood on
		if err := w.chain.Reorg(wallet.UndoDepth+12, wallet.UndoDepth+13, regtest.DropAllTxs()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(retryAfter)
		synctest.Wait()
		if st := w.board.Status(); !st.Synced || st.Height != uint32(w.chain.Height()) {
			t.Fatalf("%+v", st)
		}
		if b := w.balance(); b.Confirmed != 150_000 {
			t.Errorf("%+v", b)
		}
		if got := w.claim(s.ask(1)); got.Err != nil {
			t.Error(got.Err)
		}
	})
}

// With too few coins for the rate that is wanted, a claim pays what they allow, and the operator hears that they are too few.
func TestClaimOfAPoorWallet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		s := w.channelOutputs(60_000)
		s.inputs[0].Output = wire.NewTxOut(60_000, programOf([]byte{txscript.OP_TRUE}))
		w.coins(2_000)
		w.rates.set(20_000, nil)
		w.mine(1)
		got := w.claim(s.ask(1))
		if got.Err != nil || got.FeeSat > 2_000 {
			t.Fatalf("fee %d, error %v", got.FeeSat, got.Err)
		}
		if st := w.board.Status(); len(st.Starving) != 1 || st.Starving[0].NeedSat <= 2_000 {
			t.Errorf("%+v", st.Starving)
		}
	})
}

// A claim whose coin a reorganisation took is in no mempool: what takes its place need not outbid it, which may be more than it is worth.
func TestClaimWhoseCoinIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		s := w.channelOutputs(60_000)
		s.inputs[0].Output = wire.NewTxOut(60_000, programOf([]byte{txscript.OP_TRUE}))
		w.coins(50_000)
		ask := s.ask(1)
		first := w.claim(ask)
		if first.Err != nil || first.Anew {
			t.Fatalf("%+v", first)
		}
		ask.MinFeeSat = ask.MaxFeeSat + 1
		ask.Coins = []wire.OutPoint{first.Tx.TxIn[1].PreviousOutPoint}
		if got := w.claim(ask); codeOf(got.Err) != messages.ClaimTooExpensive {
			t.Errorf("its coin is there: %+v", got)
		}
		ask.Coins[0].Index += 77
		if got := w.claim(ask); got.Err != nil || !got.Anew || got.FeeSat > ask.MaxFeeSat {
			t.Errorf("its coin is gone: %+v", got)
		}
	})
}
