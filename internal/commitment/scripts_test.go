package commitment

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/input"
	"pgregory.net/rapid"
)

// TestScriptsEqualLibrary holds our scripts and tweaks against those of lnd's input package.
func TestScriptsEqualLibrary(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) *btcec.PublicKey {
		raw := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		raw[31] |= 1 // never the zero key
		_, pub := btcec.PrivKeyFromBytes(raw)
		return pub
	})
	rapid.Check(t, func(t *rapid.T) {
		k := &Keys{
			Revocation: key.Draw(t, "revocation"), OwnerDelayed: key.Draw(t, "delayed"),
			OtherPayment: key.Draw(t, "payment"), OwnerHTLC: key.Draw(t, "owner"), OtherHTLC: key.Draw(t, "other"),
		}
		h := &HTLC{
			Offered:    rapid.Bool().Draw(t, "offered"),
			Hash:       [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
			CLTVExpiry: rapid.Uint32Max(499_999_999).Draw(t, "expiry"),
		}
		delay := rapid.Uint16().Draw(t, "delay")
		equal := func(what string) func(script []byte, err error) func(want []byte, err error) {
			return func(script []byte, err error) func([]byte, error) {
				return func(want []byte, wantErr error) {
					if err != nil || wantErr != nil || !bytes.Equal(script, want) {
						t.Fatalf("%s\n got %x, %v\nwant %x, %v", what, script, err, want, wantErr)
					}
				}
			}
		}
		if want := input.TweakPubKey(k.OwnerHTLC, k.OtherHTLC); !tweak(k.OwnerHTLC, k.OtherHTLC).IsEqual(want) {
			t.Fatal("tweak differs from the library's")
		}
		scripts := newHTLCScripts(k)
		funding := func(a, b *btcec.PublicKey) ([]byte, error) {
			script, pk, err := FundingScript(a, b)
			if err != nil {
				return nil, err
			}
			want, err := input.WitnessScriptHash(script)
			if !bytes.Equal(pk, want) {
				t.Fatalf("p2wsh %x, want %x", pk, want)
			}
			return script, err
		}
		equal("funding")(funding(k.OwnerHTLC, k.OtherHTLC))(
			input.GenMultiSigScript(k.OwnerHTLC.SerializeCompressed(), k.OtherHTLC.SerializeCompressed()))
		equal("delayed")(delayedScript(k, delay))(
			input.SecondLevelHtlcScript(k.Revocation, k.OwnerDelayed, uint32(delay)))
		equal("to_local")(delayedScript(k, delay))(
			input.CommitScriptToSelf(uint32(delay), k.OwnerDelayed, k.Revocation))
		equal("to_remote")(toOtherScript(k))(input.CommitScriptToRemoteConfirmed(k.OtherPayment))
		equal("anchor")(anchorScript(k.OtherPayment))(input.CommitScriptAnchor(k.OtherPayment))
		if h.Offered {
			equal("offered")(scripts.script(h))(
				input.SenderHTLCScript(k.OwnerHTLC, k.OtherHTLC, k.Revocation, h.Hash[:], true))
		} else {
			equal("received")(scripts.script(h))(
				input.ReceiverHTLCScript(h.CLTVExpiry, k.OtherHTLC, k.OwnerHTLC, k.Revocation, h.Hash[:], true))
		}
	})
}
