package opening

import (
	"bytes"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
)

func signer(seed byte) chankeys.Signer {
	return chankeys.NewLocal(func(f keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		h := chainhash.HashB([]byte{seed, byte(f), byte(index), byte(index >> 8)})
		k, _ := btcec.PrivKeyFromBytes(h)
		return k, nil
	})
}

func alias(id ln.ChannelID) uint64 { return uint64(id[0]) + 1 }

// pair returns both sides of a negotiation of a million satoshi.
func pair(t *testing.T, edit func(*Terms, *Config)) (a, b *Opening) {
	t.Helper()
	cfg := DefaultConfig(*chaincfg.RegressionNetParams.GenesisHash)
	terms := Terms{TemporaryID: ln.ChannelID{1}, Peer: ln.NodeID{2}, KeyIndex: 7, CapacitySat: 1_000_000, PushMsat: 200_000_500, FeePerKw: 253}
	bcfg := cfg
	if edit != nil {
		edit(&terms, &bcfg)
	}
	a, err := New(cfg, signer(1), terms, alias)
	if err != nil {
		t.Fatal(err)
	}
	b, err = New(bcfg, signer(2), Terms{TemporaryID: ln.ChannelID{1}, Peer: ln.NodeID{3}, KeyIndex: 9}, alias)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// carry encodes and decodes a message, as the wire does.
func carry(t *testing.T, m lnwire.Message) lnwire.Message {
	t.Helper()
	var buf bytes.Buffer
	if _, err := lnwire.WriteMessage(&buf, m, 0); err != nil {
		t.Fatal(err)
	}
	out, err := lnwire.ReadMessage(&buf, 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBothSidesAgree(t *testing.T) {
	a, b := pair(t, nil)
	tip := Tip{Height: 120}

	eff, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	eff, err = b.Handle(carry(t, eff.Send[0]), tip)
	if err != nil {
		t.Fatal(err)
	}
	eff, err = a.Handle(carry(t, eff.Send[0]), tip)
	if err != nil {
		t.Fatal(err)
	}
	if eff.Fund == nil || eff.Fund.Value != 1_000_000 {
		t.Fatalf("the funder asks its wallet for %+v", eff.Fund)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	tx.AddTxOut(wire.NewTxOut(5, []byte{0x51}))
	tx.AddTxOut(eff.Fund)
	eff, err = a.Funded(tx, 1)
	if err != nil {
		t.Fatal(err)
	}
	effB, err := b.Handle(carry(t, eff.Send[0]), tip)
	if err != nil {
		t.Fatal(err)
	}
	if effB.Create == nil || effB.Reply == nil || len(effB.Send) != 0 {
		t.Fatal("the fundee must make the channel durable before funding_signed (rule 2)")
	}
	effA, err := a.Handle(carry(t, effB.Reply), tip)
	if err != nil {
		t.Fatal(err)
	}
	if effA.Create == nil || len(effA.Send) != 0 {
		t.Fatal("the funder must make the channel durable before the broadcast (rule 3)")
	}
	x, y := effA.Create, effB.Create
	if x.Static.ID != y.Static.ID || x.Static.ID != ln.NewChannelID(wire.OutPoint{Hash: tx.TxHash(), Index: 1}) {
		t.Fatal("channel ids differ")
	}
	if x.HolderMsat != 799_999_500 || y.HolderMsat != 200_000_500 || x.HolderMsat != y.CounterpartyMsat {
		t.Fatalf("balances %d %d", x.HolderMsat, y.HolderMsat)
	}
	if !x.Static.Tx.HolderIsFunder || y.Static.Tx.HolderIsFunder || len(x.Static.FundingTx) == 0 || len(y.Static.FundingTx) != 0 {
		t.Fatal("roles")
	}
}

func TestTermsAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*Terms, *Config)
	}{
		{"capacity", func(_ *Terms, c *Config) { c.MinCapacitySat = 2_000_000 }},
		{"fee", func(_ *Terms, c *Config) { c.MinFeePerKw = 1000 }},
		{"delay", func(_ *Terms, c *Config) { c.MaxToSelfDelay = 10 }},
		{"chain", func(_ *Terms, c *Config) { c.Chain = chainhash.Hash{1} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := pair(t, tc.edit)
			eff, err := a.Start()
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Handle(carry(t, eff.Send[0]), Tip{})
			if !errors.Is(err, ErrRejected) {
				t.Fatalf("accepted: %v", err)
			}
		})
	}
	a, _ := pair(t, func(terms *Terms, _ *Config) { terms.PushMsat = 999_000_000 })
	if _, err := a.Start(); !errors.Is(err, ErrRejected) {
		t.Fatalf("a funder that keeps no reserve: %v", err)
	}
}

// TestBadSignaturesAndOrder: no message out of turn and no wrong signature is taken, and nothing panics.
func TestBadSignaturesAndOrder(t *testing.T) {
	a, b := pair(t, nil)
	open, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []lnwire.Message{
		&lnwire.AcceptChannel{}, &lnwire.FundingCreated{}, &lnwire.FundingSigned{}, &lnwire.Ping{}, &lnwire.Error{Data: []byte("no")},
	} {
		if _, err := b.Handle(m, Tip{}); err == nil {
			t.Fatalf("%T out of turn", m)
		}
	}
	if _, err := b.Handle(carry(t, open.Send[0]), Tip{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Handle(&lnwire.FundingCreated{FundingPoint: wire.OutPoint{Hash: chainhash.Hash{1}, Index: 3}}, Tip{}); !errors.Is(err, ErrBadPeer) {
		t.Fatalf("a signature of zeroes: %v", err)
	}
	if _, err := a.Handle(&lnwire.AcceptChannel{}, Tip{}); !errors.Is(err, ErrRejected) {
		t.Fatalf("an empty accept_channel: %v", err)
	}
}

// TestFundingOutpointOfNothing: the peer chooses the funding outpoint and with it the channel id. One that no transaction has, or whose id means no
// channel, is refused however well it is signed.
func TestFundingOutpointOfNothing(t *testing.T) {
	zeroID := wire.OutPoint{Hash: chainhash.Hash{30: 1, 31: 2}, Index: 0x0102}
	if ln.NewChannelID(zeroID) != (ln.ChannelID{}) {
		t.Fatal("the test's outpoint has another id")
	}
	for op, taken := range map[wire.OutPoint]bool{{}: false, {Index: 3}: false, zeroID: false, {Hash: chainhash.Hash{1}}: true} {
		a, b := pair(t, nil)
		eff, err := a.Start()
		for i := range 2 {
			if err != nil {
				t.Fatal(err)
			}
			eff, err = []*Opening{b, a}[i].Handle(carry(t, eff.Send[0]), Tip{})
		}
		if err != nil {
			t.Fatal(err)
		}
		a.settle(op)
		sig, err := a.sign()
		if err != nil {
			t.Fatal(err)
		}
		eff, err = b.Handle(carry(t, &lnwire.FundingCreated{PendingChannelID: [32]byte{1}, FundingPoint: op, CommitSig: sig}), Tip{Height: 1})
		if taken != (eff.Create != nil) || taken == errors.Is(err, ErrRejected) {
			t.Errorf("%s: created %t, %v", op, eff.Create != nil, err)
		}
	}
}
