package peers

import (
	"context"
	"crypto/sha256"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/channeldb"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
)

var flagChannels = flag.Int("channels", 20, "how many pairs of lnd channels to follow")

// side is one end of a channel that lnd itself drives: lnd's channel, and what
// our code needs to build and sign the same.
type side struct {
	lnd    *lnwallet.LightningChannel
	keys   *chankeys.Local
	static *commitment.Static
	// offered are the HTLCs this side offered that are on both commitments,
	// added those that are not yet and so cannot be removed.
	offered, added []live
	next           uint64
}

type live struct {
	id       uint64
	preimage [32]byte
}

// The private keys behind lnwallet.CreateTestChannels; newSide checks that they
// fit.
var (
	aliceSeed = []byte{
		0x2b, 0xd8, 0x06, 0xc9, 0x7f, 0x0e, 0x00, 0xaf, 0x1a, 0x1f, 0xc3, 0x32, 0x8f, 0xa7, 0x63, 0xa9,
		0x26, 0x97, 0x23, 0xc8, 0xdb, 0x8f, 0xac, 0x4f, 0x93, 0xaf, 0x71, 0xdb, 0x18, 0x6d, 0x6e, 0x90,
	}
	bobSeed = []byte{
		0x81, 0xb6, 0x37, 0xd8, 0xfc, 0xd2, 0xc6, 0xda, 0x63, 0x59, 0xe6, 0x96, 0x31, 0x13, 0xa1, 0x17,
		0x0d, 0xe7, 0x95, 0xe4, 0xb7, 0x25, 0xb8, 0x4d, 0x1e, 0x0b, 0x4c, 0xfd, 0x9e, 0xc5, 0x8c, 0xe9,
	}
)

func lndBasepoints(c *channeldb.ChannelConfig) commitment.Basepoints {
	return commitment.Basepoints{
		Funding: c.MultiSigKey.PubKey, Revocation: c.RevocationBasePoint.PubKey, Payment: c.PaymentBasePoint.PubKey,
		DelayedPayment: c.DelayBasePoint.PubKey, HTLC: c.HtlcBasePoint.PubKey,
	}
}

func newSide(t *testing.T, lc *lnwallet.LightningChannel, seed []byte) *side {
	t.Helper()
	place := map[keychain.KeyFamily]byte{
		keychain.KeyFamilyMultiSig: 1, keychain.KeyFamilyRevocationBase: 2, keychain.KeyFamilyPaymentBase: 3,
		keychain.KeyFamilyDelayBase: 4, keychain.KeyFamilyHtlcBase: 5,
	}
	state := lc.State()
	s := &side{
		lnd: lc,
		keys: chankeys.NewLocal(func(f keychain.KeyFamily, _ uint32) (*btcec.PrivateKey, error) {
			raw := append([]byte(nil), seed...)
			raw[0] ^= place[f]
			key, _ := btcec.PrivKeyFromBytes(raw)
			return key, nil
		}),
		static: &commitment.Static{
			Funding: state.FundingOutpoint, Capacity: state.Capacity, HolderIsFunder: state.IsInitiator,
			Holder: lndBasepoints(&state.LocalChanCfg), Counterparty: lndBasepoints(&state.RemoteChanCfg),
			HolderDustLimit: state.LocalChanCfg.DustLimit, CounterpartyDustLimit: state.RemoteChanCfg.DustLimit,
			HolderToSelfDelay: state.LocalChanCfg.CsvDelay, CounterpartyToSelfDelay: state.RemoteChanCfg.CsvDelay,
		},
	}
	b, err := s.keys.Basepoints(0)
	must(t, err)
	if !b.Funding.IsEqual(s.static.Holder.Funding) || !b.HTLC.IsEqual(s.static.Holder.HTLC) {
		t.Fatal("lnd's test channels have other keys now: adjust aliceSeed and bobSeed")
	}
	return s
}

// view is lnd's newest holder commitment in our words.
func (s *side) view(t *testing.T) *commitment.View {
	t.Helper()
	state := s.lnd.State()
	c := state.LocalCommitment
	secret, err := state.RevocationProducer.AtIndex(c.CommitHeight)
	must(t, err)
	v := &commitment.View{
		OwnerIsHolder: true, Number: c.CommitHeight, PerCommitmentPoint: input.ComputeCommitmentPoint(secret[:]),
		FeePerKw: chainfee.SatPerKWeight(c.FeePerKw), OwnerMsat: c.LocalBalance, OtherMsat: c.RemoteBalance,
	}
	// lnd's balances are after fee and anchors.
	cost := lnwire.NewMSatFromSatoshis(c.CommitFee + commitment.AnchorsAmount)
	if state.IsInitiator {
		v.OwnerMsat += cost
	} else {
		v.OtherMsat += cost
	}
	for _, h := range c.Htlcs {
		v.HTLCs = append(v.HTLCs, commitment.HTLC{
			ID: h.HtlcIndex, Offered: !h.Incoming, Amount: h.Amt, Hash: h.RHash, CLTVExpiry: h.RefundTimeout,
		})
	}
	return v
}

// checkCommitment compares the commitment that from's lnd just signed and to's
// lnd accepted with ours: the transaction, that our check accepts lnd's
// signatures, and that our signer makes the very same ones.
func checkCommitment(t *testing.T, from, to *side, sigs *lnwallet.CommitSigs) {
	t.Helper()
	v := to.view(t)
	tx, err := commitment.Build(to.static, v)
	must(t, err)
	want := to.lnd.State().LocalCommitment.CommitTx
	if got := tx.Txid; got != want.TxHash() {
		t.Fatalf("commitment %d: txid %v, lnd has %v", v.Number, got, want.TxHash())
	}
	for _, h := range to.lnd.State().LocalCommitment.Htlcs {
		if (h.OutputIndex < 0) != commitment.Trimmed(to.static, true, h.Amt) {
			t.Fatalf("commitment %d: lnd has an htlc of %v at output %d", v.Number, h.Amt, h.OutputIndex)
		}
	}
	must(t, tx.Verify(sigs.CommitSig, sigs.HtlcSigs))

	theirs := *v
	theirs.OwnerIsHolder = false
	tx, err = commitment.Build(from.static, &theirs)
	must(t, err)
	sig, htlcSigs, err := from.keys.SignCounterparty(0, from.static, tx)
	must(t, err)
	if sig != sigs.CommitSig || len(htlcSigs) != len(sigs.HtlcSigs) {
		t.Fatalf("commitment %d: our signature differs from lnd's", v.Number)
	}
	for i := range htlcSigs {
		if htlcSigs[i] != sigs.HtlcSigs[i] {
			t.Fatalf("commitment %d: our htlc signature %d differs from lnd's", v.Number, i)
		}
	}
}

// sign takes one commitment_signed and revoke_and_ack from one side to the other.
func sign(t *testing.T, from, to *side) {
	t.Helper()
	next, err := from.lnd.SignNextCommitment(context.Background())
	must(t, err)
	must(t, to.lnd.ReceiveNewCommitment(next.CommitSigs))
	raa, _, _, err := to.lnd.RevokeCurrentCommitment()
	must(t, err)
	checkCommitment(t, from, to, next.CommitSigs)
	_, _, err = from.lnd.ReceiveRevocation(raa)
	must(t, err)
}

// update makes one random change: an HTLC more, one settled or failed, or
// another fee rate.
func update(t *testing.T, rng *rand.Rand, alice, bob *side) {
	t.Helper()
	from, to := alice, bob
	if rng.IntN(2) == 0 {
		from, to = bob, alice
	}
	switch n := rng.IntN(10); {
	case n < 6 || (n < 9 && len(from.offered) == 0):
		p := [32]byte(randomBytes(rng, 32))
		if rng.IntN(3) == 0 {
			p = [32]byte{1} // shared, so that scripts collide
		}
		add := &lnwire.UpdateAddHTLC{
			ID: from.next, PaymentHash: sha256.Sum256(p[:]), Expiry: pick[uint32](rng, 500, 501, 700),
			Amount: lnwire.MilliSatoshi(pick(rng, 199_999, 200_000, 1_300_000, 5_000_000, rng.Uint64N(3_000_000)+1)),
		}
		_, err := from.lnd.AddHTLC(add, nil)
		must(t, err)
		_, err = to.lnd.ReceiveHTLC(add)
		must(t, err)
		from.added = append(from.added, live{from.next, p})
		from.next++
	case n < 9:
		i := rng.IntN(len(from.offered))
		h := from.offered[i]
		from.offered = append(from.offered[:i], from.offered[i+1:]...)
		if rng.IntN(2) == 0 {
			must(t, to.lnd.SettleHTLC(h.preimage, h.id, nil, nil, nil))
			must(t, from.lnd.ReceiveHTLCSettle(h.preimage, h.id))
			return
		}
		must(t, to.lnd.FailHTLC(h.id, []byte("no"), nil, nil, nil))
		must(t, from.lnd.ReceiveFailHTLC(h.id, []byte("no")))
	default:
		fee := chainfee.SatPerKWeight(253 + rng.Int64N(20_000))
		must(t, alice.lnd.UpdateFee(fee))
		must(t, bob.lnd.ReceiveUpdateFee(fee))
	}
}

// TestChannelsLikeLnd follows pairs of real lnd channels through random updates.
// Every commitment that one lnd signs and the other accepts is built, verified
// and signed by our code, and must be the same to the last signature.
func TestChannelsLikeLnd(t *testing.T) {
	eachSeed(t, *flagChannels, func(t *testing.T, rng *rand.Rand) {
		a, b, err := lnwallet.CreateTestChannels(t, channelType)
		must(t, err)
		alice, bob := newSide(t, a, aliceSeed), newSide(t, b, bobSeed)
		for range 8 {
			for range 1 + rng.IntN(6) {
				update(t, rng, alice, bob)
			}
			// After three of them every update is on both commitments.
			from, to := alice, bob
			if rng.IntN(2) == 0 {
				from, to = bob, alice
			}
			sign(t, from, to)
			sign(t, to, from)
			sign(t, from, to)
			for _, s := range []*side{alice, bob} {
				s.offered, s.added = append(s.offered, s.added...), nil
			}
		}
	})
}
