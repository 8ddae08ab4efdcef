package commitment_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/internal/commitment"
)

// TestKeyDerivation is BOLT 3, Appendix E, through the keys of a commitment.
func TestKeyDerivation(t *testing.T) {
	_, base := btcec.PrivKeyFromBytes(unhex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
	_, point := btcec.PrivKeyFromBytes(unhex(t, "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"))
	equalHex(t, "base_point", base.SerializeCompressed(),
		"036d6caac248af96f6afa7f904f550253a0f3ef3f5aa2fe6838a95b216691468e2")
	equalHex(t, "per_commitment_point", point.SerializeCompressed(),
		"025f7117a78150fe2ef97db7cfc83bd57b2e2c0d0dd25eaf467a4a1c2a45ce1486")

	alice, _ := newParties(t, 1_000_000)
	alice.static.Holder.HTLC, alice.static.Holder.DelayedPayment = base, base
	alice.static.Counterparty.HTLC, alice.static.Counterparty.Revocation = base, base
	v := manyHTLCs(t, alice, 0, 0)
	v.PerCommitmentPoint = point
	tx, err := commitment.Build(alice.static, v)
	must(t, err)
	const localpubkey = "0235f2dbfaa89b57ec7b055afe29849ef7ddfeb1cefdb9ebdc43f5494984db29e5"
	equalHex(t, "owner htlc key", tx.Keys.OwnerHTLC.SerializeCompressed(), localpubkey)
	equalHex(t, "other htlc key", tx.Keys.OtherHTLC.SerializeCompressed(), localpubkey)
	equalHex(t, "delayed key", tx.Keys.OwnerDelayed.SerializeCompressed(), localpubkey)
	equalHex(t, "revocationpubkey", tx.Keys.Revocation.SerializeCompressed(),
		"02916e326636d19c33f13e8c0c3a03dd157f332f3e99c317c141dd865eb01f8ff0")
	if !tx.Keys.OtherPayment.IsEqual(alice.static.Counterparty.Payment) {
		t.Fatal("static_remotekey: the payment basepoint must not be tweaked")
	}
}

// TestRevocationKey is the private side of Appendix E, and that the other side
// can take a revoked commitment with what it then knows.
func TestRevocationKey(t *testing.T) {
	base, _ := btcec.PrivKeyFromBytes(unhex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
	secret, point := btcec.PrivKeyFromBytes(unhex(t, "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"))
	equalHex(t, "revocationprivkey", input.DeriveRevocationPrivKey(base, secret).Serialize(),
		"d09ffff62ddb2297ab000cc85bcb4283fdeb6aa052affbc9dddcf33b61078110")
	equalHex(t, "localprivkey", input.TweakPrivKey(base, input.SingleTweakBytes(point, base.PubKey())).Serialize(),
		"cbced912d3b21bf196a766651e436aff192362621ce317704ea2f75d87e7be0f")

	alice, _ := newParties(t, 1_000_000)
	tx, err := commitment.Build(alice.static, manyHTLCs(t, alice, 6, 1))
	must(t, err)
	revealed, err := alice.keys.ReleaseSecret(testIndex, 6)
	must(t, err)
	secret, _ = btcec.PrivKeyFromBytes(revealed[:])
	base, err = source("bob")(keychain.KeyFamilyRevocationBase, testIndex)
	must(t, err)
	if !input.DeriveRevocationPrivKey(base, secret).PubKey().IsEqual(tx.Keys.Revocation) {
		t.Fatal("bob cannot take alice's revoked commitment")
	}
}

// TestKeysAhead: keys derived ahead change nothing, and those of another point or
// side are refused.
func TestKeysAhead(t *testing.T) {
	alice, bob := newParties(t, 1_000_000)
	v := manyHTLCs(t, alice, 4, 3)
	want, err := commitment.Build(alice.static, v)
	must(t, err)
	v.Keys, err = commitment.DeriveKeys(alice.static, true, v.PerCommitmentPoint)
	must(t, err)
	got, err := commitment.Build(alice.static, v)
	must(t, err)
	if got.Txid != want.Txid {
		t.Fatal("keys derived ahead changed the commitment")
	}

	theirs, err := commitment.DeriveKeys(alice.static, false, v.PerCommitmentPoint)
	must(t, err)
	later, err := commitment.DeriveKeys(alice.static, true, bob.static.Holder.HTLC)
	must(t, err)
	for _, wrong := range []*commitment.Keys{theirs, later, {}} {
		v.Keys = wrong
		if _, err := commitment.Build(alice.static, v); !errors.Is(err, commitment.ErrInvalid) {
			t.Fatalf("keys of another commitment: %v", err)
		}
	}
	if _, err := commitment.DeriveKeys(alice.static, true, nil); !errors.Is(err, commitment.ErrInvalid) {
		t.Fatal(err)
	}
	if _, err := commitment.DeriveKeys(nil, true, v.PerCommitmentPoint); !errors.Is(err, commitment.ErrInvalid) {
		t.Fatal(err)
	}
}

func TestSecretOpens(t *testing.T) {
	alice, _ := newParties(t, 1_000_000)
	secret, err := alice.keys.ReleaseSecret(testIndex, 4)
	must(t, err)
	point, err := alice.keys.PerCommitmentPoint(testIndex, 4)
	must(t, err)
	wrong := secret
	wrong[31] ^= 1
	if !commitment.SecretOpens(secret, point) || commitment.SecretOpens(wrong, point) ||
		commitment.SecretOpens([32]byte{}, point) || commitment.SecretOpens(secret, nil) {
		t.Fatal("secret and point are not told apart")
	}
}
