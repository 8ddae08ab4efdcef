package onion

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// BOLT 4's onion-test.json, read from the pinned library so that every clone has it. A missing file is a failure.
func TestBolt4Vector(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/lightningnetwork/lightning-onion").Output()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "onion-test.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vector struct {
		Generate struct {
			AssociatedData string `json:"associated_data"`
		} `json:"generate"`
		Onion  string   `json:"onion"`
		Decode []string `json:"decode"`
	}
	if err := json.Unmarshal(raw, &vector); err != nil {
		t.Fatal(err)
	}
	packet := [PacketSize]byte(unhex(t, vector.Onion))
	paymentHash := [32]byte(unhex(t, vector.Generate.AssociatedData))
	want := []Payload{
		{AmountMsat: 15000, CLTVExpiry: 1500, NextSCID: 1},
		{AmountMsat: 14000, CLTVExpiry: 1400, NextSCID: 2},
		{AmountMsat: 12500, CLTVExpiry: 1250, NextSCID: 3},
		{AmountMsat: 10000, CLTVExpiry: 1000, NextSCID: 4},
		{
			AmountMsat: 10000, CLTVExpiry: 1000, Final: true, TotalMsat: 10000,
			PaymentSecret: [32]byte(unhex(t, "24a33562c54507a9334e79f0dc4f17d407e6d7c61f0e2f3d0d38599502f61704")),
		},
	}
	if len(vector.Decode) != len(want) {
		t.Fatalf("the vector has %d hops", len(vector.Decode))
	}
	for i, key := range vector.Decode {
		priv, _ := btcec.PrivKeyFromBytes(unhex(t, key))
		p, err := Process(KeyOf(priv), packet, paymentHash)
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		got := *p.Payload
		if got.AmountMsat != want[i].AmountMsat || got.CLTVExpiry != want[i].CLTVExpiry || got.NextSCID != want[i].NextSCID ||
			got.Final != want[i].Final || got.PaymentSecret != want[i].PaymentSecret || got.TotalMsat != want[i].TotalMsat {
			t.Errorf("hop %d: got %+v, want %+v", i, got, want[i])
		}
		packet = p.Next
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
