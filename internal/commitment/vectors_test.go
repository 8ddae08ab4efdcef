package commitment_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
)

// vector is one case of lnd's files, which carry BOLT 3's appendices.
type vector struct {
	Name                        string
	LocalBalance, RemoteBalance lnwire.MilliSatoshi
	DustLimitSatoshis           btcutil.Amount
	FeePerKw                    chainfee.SatPerKWeight
	UseTestHtlcs                bool
	HtlcDescs                   []struct{ RemoteSigHex, ResolutionTxHex string }
	ExpectedCommitmentTxHex     string
	RemoteSigHex                string
}

// readVectors reads from the pinned lnd module, so that every clone has them.
func readVectors(t *testing.T, file string) []vector {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/lightningnetwork/lnd").Output()
	must(t, err)
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "lnwallet", file))
	must(t, err)
	var vectors []vector
	must(t, json.Unmarshal(data, &vectors))
	if len(vectors) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	return vectors
}

// The keys of BOLT 3, Appendix C.
var (
	localVectorKeys = map[keychain.KeyFamily]string{
		keychain.KeyFamilyMultiSig:       "30ff4956bbdd3222d44cc5e8a1261dab1e07957bdac5ae88fe3261ef321f3749",
		keychain.KeyFamilyPaymentBase:    "1111111111111111111111111111111111111111111111111111111111111111",
		keychain.KeyFamilyHtlcBase:       "1111111111111111111111111111111111111111111111111111111111111111",
		keychain.KeyFamilyDelayBase:      "3333333333333333333333333333333333333333333333333333333333333333",
		keychain.KeyFamilyRevocationBase: "0505050505050505050505050505050505050505050505050505050505050505", // not in any vector
	}
	remoteVectorKeys = map[keychain.KeyFamily]string{
		keychain.KeyFamilyMultiSig:       "1552dfba4f6cf29a62a0af13c8d6981d36d0ef8d61ba10fb0fe90da7634d7e13",
		keychain.KeyFamilyPaymentBase:    "4444444444444444444444444444444444444444444444444444444444444444",
		keychain.KeyFamilyHtlcBase:       "4444444444444444444444444444444444444444444444444444444444444444",
		keychain.KeyFamilyRevocationBase: "2222222222222222222222222222222222222222222222222222222222222222",
		keychain.KeyFamilyDelayBase:      "0606060606060606060606060606060606060606060606060606060606060606", // not in any vector
	}
)

func vectorParty(t *testing.T, keys map[keychain.KeyFamily]string) *party {
	return &party{keys: chankeys.NewLocal(func(f keychain.KeyFamily, _ uint32) (*btcec.PrivateKey, error) {
		key, _ := btcec.PrivKeyFromBytes(unhex(t, keys[f]))
		return key, nil
	})}
}

// vectorParties are the local and remote node of Appendix C.
func vectorParties(t *testing.T, dust btcutil.Amount) (local, remote *party) {
	t.Helper()
	local, remote = vectorParty(t, localVectorKeys), vectorParty(t, remoteVectorKeys)
	l, err := local.keys.Basepoints(0)
	must(t, err)
	r, err := remote.keys.Basepoints(0)
	must(t, err)
	txid, err := chainhash.NewHashFromStr("8984484a580b825b9972d7adb15050b3ab624ccd731946b3eeddb92f4e7ef6be")
	must(t, err)
	local.static = &commitment.Static{
		Funding:                 wire.OutPoint{Hash: *txid},
		Capacity:                10_000_000,
		HolderIsFunder:          true,
		Holder:                  l,
		Counterparty:            r,
		HolderDustLimit:         dust,
		CounterpartyDustLimit:   546,
		HolderToSelfDelay:       144,
		CounterpartyToSelfDelay: 77, // not in any vector
	}
	remote.static = mirror(local.static)
	return local, remote
}

// vectorHTLCs are the HTLCs of Appendix C, and their preimages by hash.
func vectorHTLCs(v *vector) ([]commitment.HTLC, map[[32]byte][32]byte) {
	if !v.UseTestHtlcs {
		return nil, nil
	}
	all := []struct {
		offered  bool
		amount   lnwire.MilliSatoshi
		expiry   uint32
		preimage byte
	}{
		{false, 1_000_000, 500, 0},
		{false, 2_000_000, 501, 1},
		{true, 2_000_000, 502, 2},
		{true, 3_000_000, 503, 3},
		{false, 4_000_000, 504, 4},
		{true, 5_000_000, 506, 5},
		{true, 5_000_001, 505, 5},
	}
	which := []int{0, 1, 2, 3, 4}
	if strings.Contains(v.Name, "same amount and preimage") {
		which = []int{1, 5, 6}
	}
	var htlcs []commitment.HTLC
	preimages := make(map[[32]byte][32]byte)
	for _, i := range which {
		p := [32]byte(bytes.Repeat([]byte{all[i].preimage}, 32))
		hash := sha256.Sum256(p[:])
		preimages[hash] = p
		htlcs = append(htlcs, commitment.HTLC{
			ID: uint64(i), Offered: all[i].offered, Amount: all[i].amount, Hash: hash, CLTVExpiry: all[i].expiry,
		})
	}
	return htlcs, preimages
}

// TestVectorsZeroFeeHTLC is BOLT 3, Appendix F in its zero-fee form: every byte
// of commitment and HTLC transactions and every signature, from both sides.
func TestVectorsZeroFeeHTLC(t *testing.T) {
	for _, v := range readVectors(t, "test_vectors_zero_fee_htlc_tx.json") {
		t.Run(v.Name, func(t *testing.T) { checkVector(t, &v, func(*commitment.HTLC) btcutil.Amount { return 0 }) })
	}
}

// TestVectorsAnchors is BOLT 3, Appendix F. There HTLC transactions pay fees,
// which this channel type does not: the test takes the fee off our second stage,
// and picks the dust limit that trims the same HTLCs.
//
// Two of the fourteen cases trim one of two HTLCs of the same amount, which no
// dust limit does; they are skipped.
func TestVectorsAnchors(t *testing.T) {
	checked := 0
	for _, v := range readVectors(t, "test_vectors_anchors.json") {
		t.Run(v.Name, func(t *testing.T) {
			defer func() {
				if !t.Skipped() {
					checked++
				}
			}()
			checkVector(t, &v, func(h *commitment.HTLC) btcutil.Amount {
				weight := chainfee.SatPerKWeight(input.HtlcSuccessWeightConfirmed)
				if h.Offered {
					weight = input.HtlcTimeoutWeightConfirmed
				}
				return btcutil.Amount(weight * v.FeePerKw / 1000)
			})
		})
	}
	if checked < 12 {
		t.Fatalf("only %d cases were checked", checked)
	}
}

func checkVector(t *testing.T, v *vector, htlcFee func(*commitment.HTLC) btcutil.Amount) {
	if v.DustLimitSatoshis == 0 {
		v.DustLimitSatoshis = 546
	}
	htlcs, preimages := vectorHTLCs(v)
	local, remote := vectorParties(t, dustLimit(t, v, htlcs, htlcFee))
	_, point := btcec.PrivKeyFromBytes(unhex(t, "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"))
	view := &commitment.View{
		OwnerIsHolder: true, Number: 42, PerCommitmentPoint: point, FeePerKw: v.FeePerKw,
		OwnerMsat: v.LocalBalance, OtherMsat: v.RemoteBalance, HTLCs: htlcs,
	}
	tx, err := commitment.Build(local.static, view)
	must(t, err)
	theirs, err := commitment.Build(remote.static, other(view))
	must(t, err)
	if tx.Txid != theirs.Txid {
		t.Fatal("both sides built different transactions")
	}
	if len(tx.HTLCs) != len(v.HtlcDescs) {
		t.Fatalf("%d HTLCs, want %d", len(tx.HTLCs), len(v.HtlcDescs))
	}
	for i := range tx.HTLCs {
		fee := int64(htlcFee(&tx.HTLCs[i].HTLC))
		tx.HTLCs[i].Tx.TxOut[0].Value -= fee
		theirs.HTLCs[i].Tx.TxOut[0].Value -= fee
	}

	sig, htlcSigs, err := remote.keys.SignCounterparty(0, remote.static, theirs)
	must(t, err)
	equalHex(t, "commitment signature", sig.ToSignatureBytes(), v.RemoteSigHex)
	must(t, tx.Verify(sig, htlcSigs))

	holderSig, err := local.keys.SignHolder(0, local.static, tx)
	must(t, err)
	signed, err := tx.Complete(holderSig, sig)
	must(t, err)
	equalHex(t, "commitment", serialize(t, signed), v.ExpectedCommitmentTxHex)

	if n, err := commitment.NumberOf(signed, local.static); err != nil || n != 42 {
		t.Fatalf("NumberOf = %d, %v", n, err)
	}
	for i := range tx.HTLCs {
		equalHex(t, "htlc signature", htlcSigs[i].ToSignatureBytes(), v.HtlcDescs[i].RemoteSigHex)
		own, err := local.keys.SignHolderHTLC(0, local.static, tx, i, nil)
		must(t, err)
		p := preimages[tx.HTLCs[i].Hash]
		second, err := tx.CompleteHTLC(i, nil, own, htlcSigs[i], &p)
		must(t, err)
		equalHex(t, "htlc transaction", serialize(t, second), v.HtlcDescs[i].ResolutionTxHex)
	}
}

// dustLimit is the dust limit that trims, without HTLC fees, what the vector's
// own limit trims with them.
func dustLimit(t *testing.T, v *vector, htlcs []commitment.HTLC, htlcFee func(*commitment.HTLC) btcutil.Amount) btcutil.Amount {
	limit := v.DustLimitSatoshis
	for i := range htlcs {
		if amount := htlcs[i].Amount.ToSatoshis(); amount < v.DustLimitSatoshis+htlcFee(&htlcs[i]) {
			limit = max(limit, amount+1)
		}
	}
	for i := range htlcs {
		amount := htlcs[i].Amount.ToSatoshis()
		if (amount < limit) != (amount < v.DustLimitSatoshis+htlcFee(&htlcs[i])) {
			t.Skip("no dust limit trims the same HTLCs without HTLC fees")
		}
	}
	return limit
}

func serialize(t *testing.T, tx *wire.MsgTx) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, tx.Serialize(&b))
	return b.Bytes()
}

func equalHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Fatalf("%s\n got %x\nwant %s", what, got, want)
	}
}
