package claim

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// The tests of this package look at one decision at a time, on facts made by the updates that a channel makes, without a chain: a spend is a
// witness of the right shape. That the transactions are valid, and that all of it together leaves no satoshi behind, is tested on the embedded
// chain by the files that end in endings_test.go.

const (
	testIndex    = 3
	testCapacity = 2_000_000
	testHeight   = 1000 // of the chain when the commitment confirms
	holderDelay  = 144  // that we wait for our money
	theirDelay   = 200
)

// node is a side of the channel.
type node struct {
	keys *chankeys.Local
	f    *facts.Channel
	rows map[uint64]facts.Revoked
	held []*commitment.Tx // its commitments by number
	peer *node
}

func testKeys(name string) *chankeys.Local {
	return chankeys.NewLocal(func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		b := binary.BigEndian.AppendUint32([]byte(name), uint32(family))
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(b, index))
		key, _ := btcec.PrivKeyFromBytes(sum[:])
		return key, nil
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func rawPoint(k *chankeys.Local, n uint64) (out [33]byte) {
	copy(out[:], must(k.PerCommitmentPoint(testIndex, n)).SerializeCompressed())
	return out
}

// newNode is our side of an open channel that we funded, or not; peer is the counterparty's side.
func newNode(funder bool) *node {
	us, them := &node{keys: testKeys("holder")}, &node{keys: testKeys("counterparty")}
	us.peer, them.peer = them, us
	static := commitment.Static{
		Funding: wire.OutPoint{Hash: chainhash.HashH([]byte("funding")), Index: 1}, Capacity: testCapacity, HolderIsFunder: funder,
		Holder: must(us.keys.Basepoints(testIndex)), Counterparty: must(them.keys.Basepoints(testIndex)),
		HolderDustLimit: 354, CounterpartyDustLimit: 354, HolderToSelfDelay: holderDelay, CounterpartyToSelfDelay: theirDelay,
	}
	for _, n := range []*node{us, them} {
		st := static
		if n == them {
			st.Holder, st.Counterparty, st.HolderIsFunder = static.Counterparty, static.Holder, !funder
			st.HolderToSelfDelay, st.CounterpartyToSelfDelay = theirDelay, holderDelay
		}
		n.rows = map[uint64]facts.Revoked{}
		n.f = facts.New(facts.Opened{
			Static:     &facts.Static{ID: ln.NewChannelID(st.Funding), KeyIndex: testIndex, Tx: st, MinDepth: 1},
			HolderMsat: testCapacity * 500, CounterpartyMsat: testCapacity * 500, FeePerKw: 1000,
			CounterpartyPoint: rawPoint(n.peer.keys, 0), ChainHeight: 900,
		})
		n.apply(facts.HolderReady{}, facts.CounterpartyReady{NextPoint: rawPoint(n.peer.keys, 1)})
		n.held = append(n.held, n.current())
	}
	return us
}

func (n *node) apply(updates ...facts.Update) (last facts.Changes) {
	for _, u := range updates {
		last = must(n.f.Apply(u))
	}
	return last
}

// current is the node's holder commitment.
func (n *node) current() *commitment.Tx {
	v := must(n.f.View(facts.Holder, must(n.keys.PerCommitmentPoint(testIndex, n.f.HolderNumber))))
	return must(commitment.Build(&n.f.Tx, v))
}

// The messages of a round, as far as it is played.
const (
	signed   = iota + 1 // commitment_signed is durable at its sender
	received            // and at its receiver, who revokes
	revoked             // the revocation is received
)

// sign plays a commitment_signed with what comes before it, and what follows, up to a message.
func (n *node) sign(until int, adds []facts.HTLC, removes ...uint64) {
	var out []facts.Removal
	for _, id := range removes {
		out = append(out, facts.Removal{HTLCID: id, Resolution: *n.f.Inbound[id].Resolution})
	}
	n.apply(facts.CounterpartyCommitment{Adds: adds, Removes: removes})
	if until < received {
		return
	}
	next := must(commitment.Build(&n.f.Tx, must(n.f.View(facts.CounterpartyNext, nil))))
	sig, htlcSigs, err := n.keys.SignCounterparty(testIndex, &n.f.Tx, next)
	must(0, err)
	n.peer.apply(facts.HolderCommitment{Sig: sig, HTLCSigs: htlcSigs, Adds: adds, Removes: out})
	n.peer.held = append(n.peer.held, n.peer.current())
	if until < revoked {
		return
	}
	number := n.f.CounterpartyNumber
	ch := n.apply(facts.Revocation{Secret: must(n.peer.keys.ReleaseSecret(testIndex, number)), NextPoint: rawPoint(n.peer.keys, number+2)})
	if ch.Revoked != nil {
		n.rows[number] = *ch.Revoked
	}
}

// both commits irrevocably to HTLCs that we offer, and to some that the counterparty offers.
func (n *node) both(out, in []facts.HTLC) {
	n.sign(revoked, out)
	n.peer.sign(revoked, in)
	n.sign(revoked, nil)
}

func secretOf(i byte) ln.Preimage { return ln.Preimage{7, i} }

func testHTLC(id, sat uint64, expiry uint32, secret byte) facts.HTLC {
	p := secretOf(secret)
	return facts.HTLC{ID: id, AmountMsat: sat * 1000, Hash: sha256.Sum256(p[:]), CLTVExpiry: expiry, Source: &ln.Source{Payment: &ln.PaymentSource{}}}
}

// forward is an HTLC of ours for an inbound one that expires at a height.
func forward(h facts.HTLC, inbound uint32) facts.HTLC {
	h.Source = &ln.Source{Forward: &ln.ForwardSource{CLTVExpiry: inbound}}
	return h
}

// learn gives us the preimage of an inbound HTLC.
func (n *node) learn(id uint64, secret byte) {
	p := secretOf(secret)
	n.apply(facts.Decided{HTLCID: id, Resolution: facts.Resolution{Preimage: &p}})
}

func (n *node) resolve(t testing.TB) *Resolution {
	t.Helper()
	r, err := Resolve(n.f, func(k uint64) (*btcec.PublicKey, error) { return n.keys.PerCommitmentPoint(testIndex, k) })
	if err != nil {
		t.Fatalf("resolve: %v", err)
	}
	return r
}

// spend puts a transaction into the block at testHeight that spends the funding output.
func (n *node) spend(kind facts.SpendKind, tx *commitment.Tx) {
	n.apply(facts.FundingSpent{Txid: tx.Txid, Height: testHeight, Spend: kind, Tx: tx.Tx})
	n.at(testHeight)
	if kind == facts.SpendRevoked {
		row, ok := n.rows[tx.Number]
		if !ok {
			row.Number = tx.Number
		}
		n.apply(facts.RevokedRead{Revoked: row})
	}
}

// at is the chain at a height.
func (n *node) at(height uint32) { n.apply(facts.BlockSeen{Height: height}) }

// The ways to close.
func (n *node) closeOurs()   { n.spend(facts.SpendHolder, n.current()) }
func (n *node) closeTheirs() { n.spend(facts.SpendCounterparty, n.peer.current()) }

// txSpending has one input for each output, with a witness.
func txSpending(witness wire.TxWitness, ops ...wire.OutPoint) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	for _, op := range ops {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: op, Witness: witness})
		tx.AddTxOut(wire.NewTxOut(1000, []byte{txscript.OP_TRUE}))
	}
	return tx
}

// Witnesses by their shape.
var (
	sig = make([]byte, 71)
	scr = []byte{txscript.OP_TRUE}
)

func direct(middle []byte) wire.TxWitness { return wire.TxWitness{sig, middle, scr} }

func stageOf(last []byte) wire.TxWitness { return wire.TxWitness{nil, sig, sig, last, scr} }

func preimageOf(secret byte) []byte {
	p := secretOf(secret)
	return p[:]
}

// take puts a spend of an output into a block and tells what it meant.
func (n *node) take(t testing.TB, height uint32, op wire.OutPoint, w wire.TxWitness) (tx *wire.MsgTx, found []facts.Update) {
	t.Helper()
	tx = txSpending(w, op)
	found = n.resolve(t).Match(tx, tx.TxHash(), height)
	n.apply(found...)
	if height > n.f.Height {
		n.at(height)
	}
	return tx, found
}

// output of an HTLC.
func (n *node) htlcOutput(t testing.TB, outbound bool, id uint64) *output {
	t.Helper()
	r := n.resolve(t)
	m := r.in
	if outbound {
		m = r.out
	}
	if m[id] == nil {
		t.Fatalf("no output of htlc %d, outbound %v", id, outbound)
	}
	return m[id]
}

func (n *node) find(t testing.TB, k kind) *output {
	t.Helper()
	for _, o := range n.resolve(t).outs {
		if o.kind == k && o.parent == nil {
			return o
		}
	}
	t.Fatalf("no output of kind %d", k)
	return nil
}

// due applies what is due and returns it.
func (n *node) due(t testing.TB) (all []facts.Update) {
	t.Helper()
	for range 5 {
		due := n.resolve(t).Due()
		if len(due) == 0 {
			return all
		}
		n.apply(due...)
		all = append(all, due...)
	}
	t.Fatal("there is always something due")
	return nil
}

// build is a wallet: it pays the fee asked for with a coin of its own where it has to.
func build(q *Request, fee uint64) messages.ClaimBuilt {
	b := &q.Build
	tx := wire.NewMsgTx(2)
	tx.LockTime = b.LockTime
	value, coin := int64(0), false
	for _, in := range b.Inputs {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: in.OutPoint, Sequence: in.Sequence})
		value += int64(in.ValueSat)
		if in.Output != nil {
			tx.AddTxOut(in.Output)
			value -= in.Output.Value
			coin = true
		}
		coin = coin || in.Attach
	}
	if coin {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: chainhash.HashH(tx.TxIn[0].PreviousOutPoint.Hash[:])}, Witness: wire.TxWitness{sig}})
		value += 100_000
	}
	tx.AddTxOut(wire.NewTxOut(value-int64(fee), append([]byte{txscript.OP_1, txscript.OP_DATA_32}, make([]byte, 32)...)))
	return messages.ClaimBuilt{Tx: tx, FeeSat: fee, FeePerKw: 1000}
}

// claim has every request of the plan built and signed, at a fee.
func (n *node) claim(t testing.TB, fee uint64) (list []facts.ClaimSigned) {
	t.Helper()
	r := n.resolve(t)
	p := r.Plan()
	for i := range p.Build {
		if b := &p.Build[i].Build; b.MinFeeSat > b.MaxFeeSat {
			continue // so answers the wallet, unless the coins of what is to be replaced are gone
		}
		c, err := r.Sign(n.keys, &p.Build[i], build(&p.Build[i], max(fee, p.Build[i].Build.MinFeeSat)))
		if err != nil {
			t.Fatalf("sign: %v", err)
		}
		list = append(list, c)
	}
	for _, c := range list {
		n.apply(c)
	}
	for _, id := range p.Ended {
		n.apply(facts.ClaimEnded{ID: id})
	}
	return list
}
