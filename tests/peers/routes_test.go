package peers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/htlcswitch/hop"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/record"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
)

// hopKey is the key of a node on a route.
func hopKey(i int) *btcec.PrivateKey {
	h := sha256.Sum256(fmt.Appendf(nil, "hop %d", i))
	k, _ := btcec.PrivKeyFromBytes(h[:])
	return k
}

// TestRoutesReadByLnd peels the onions of our routes as lnd does, hop by hop, and reads the payloads with its packages: routes of 1 to 20 hops, single
// payments, parts, payments without an invoice, with metadata.
func TestRoutesReadByLnd(t *testing.T) {
	preimage := ln.Preimage{1, 2, 3}
	hash := sha256.Sum256(preimage[:])
	kinds := map[string]onion.Hop{
		"single":   {PaymentSecret: [32]byte{9}, TotalMsat: 1000},
		"part":     {PaymentSecret: [32]byte{9}, TotalMsat: 5_000_000_000_000},
		"metadata": {PaymentSecret: [32]byte{9}, TotalMsat: 1000, Metadata: []byte{5, 6, 7}},
		"keysend":  {TotalMsat: 1000, Keysend: &preimage},
	}
	for kind, final := range kinds {
		for n := 1; n <= route.MaxHops; n++ {
			hops := make([]onion.Hop, n)
			for i := range hops {
				hops[i] = onion.Hop{AmountMsat: 1000 + uint64(n-1-i), CLTVExpiry: 500 + uint32(n-1-i)*40, NextSCID: 700_000<<40 | uint64(i+1)<<16 | 1}
			}
			last := final
			last.AmountMsat, last.CLTVExpiry = 1000, 500
			hops[n-1] = last
			for i := range hops {
				hops[i].PubKey = hopKey(i).PubKey()
			}
			packet, err := onion.Build(hopKey(99), hops, hash)
			if err != nil {
				t.Fatal(kind, n, err)
			}
			readByLnd(t, fmt.Sprintf("%s over %d hops", kind, n), packet, hash, hops)
		}
	}
}

func readByLnd(t *testing.T, name string, packet [onion.PacketSize]byte, hash [32]byte, hops []onion.Hop) {
	t.Helper()
	var p sphinx.OnionPacket
	if err := p.Decode(bytes.NewReader(packet[:])); err != nil {
		t.Fatal(name, err)
	}
	for i := range hops {
		router := sphinx.NewRouter(&sphinx.PrivKeyECDH{PrivKey: hopKey(i)}, nil)
		peeled, err := router.ReconstructOnionPacket(&p, hash[:])
		if err != nil {
			t.Fatal(name, i, err)
		}
		last := i == len(hops)-1
		payload, types, err := hop.ParseTLVPayload(bytes.NewReader(peeled.Payload.Payload))
		if err != nil {
			t.Fatal(name, i, err)
		}
		if err := hop.ValidateTLVPayload(types, last, false); err != nil {
			t.Fatal(name, i, err)
		}
		fwd := payload.ForwardingInfo()
		next := fmt.Sprint(hop.NewChannelNextHop(lnwire.NewShortChanIDFromInt(hops[i].NextSCID)))
		if uint64(fwd.AmountToForward) != hops[i].AmountMsat || fwd.OutgoingCLTV != hops[i].CLTVExpiry || fmt.Sprint(fwd.NextHop) != next {
			t.Fatalf("%s, hop %d: lnd reads %+v, sent were %+v", name, i, fwd, hops[i])
		}
		if last != (peeled.Action == sphinx.ExitNode) {
			t.Fatal(name, i, peeled.Action)
		}
		if !last {
			p = *peeled.NextPacket
			continue
		}
		want := hops[i]
		switch mpp := payload.MultiPath(); {
		case want.Keysend != nil:
			if got := payload.CustomRecords()[record.KeySendType]; !bytes.Equal(got, want.Keysend[:]) || mpp != nil {
				t.Fatalf("%s: keysend %x, mpp %v", name, got, mpp) // lnd refuses one with the other
			}
		case mpp == nil || mpp.PaymentAddr() != want.PaymentSecret || uint64(mpp.TotalMsat()) != want.TotalMsat:
			t.Fatalf("%s: %v", name, mpp)
		}
		if !bytes.Equal(payload.Metadata(), want.Metadata) {
			t.Fatalf("%s: metadata %x", name, payload.Metadata())
		}
	}
}
