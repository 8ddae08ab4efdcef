package record

import (
	"errors"
	"reflect"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/shachain"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Random values of everything that can be in a record. A field that the codec forgets comes back as zero and is found.

var (
	b32 = rapid.Custom(func(t *rapid.T) (v [32]byte) {
		copy(v[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "32"))
		return v
	})
	b33 = rapid.Custom(func(t *rapid.T) (v [33]byte) {
		copy(v[:], rapid.SliceOfN(rapid.Byte(), 33, 33).Draw(t, "33"))
		return v
	})
	some     = rapid.SliceOfN(rapid.Byte(), 1, 40)
	maybe    = rapid.OneOf(rapid.Just([]byte(nil)), some)
	sat      = rapid.Int64Range(1, btcutil.MaxSatoshi)
	u64, u32 = rapid.Uint64(), rapid.Uint32()
	yes      = rapid.Bool()
)

var sig = rapid.Custom(func(t *rapid.T) lnwire.Sig {
	s, err := lnwire.NewSigFromWireECDSA(rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "sig"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
})

var key = rapid.Custom(func(t *rapid.T) *btcec.PublicKey {
	k := b32.Draw(t, "key")
	k[0], k[31] = 0, k[31]|1
	_, pub := btcec.PrivKeyFromBytes(k[:])
	return pub
})

var tx = rapid.Custom(func(t *rapid.T) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: b32.Draw(t, "prev"), Index: u32.Draw(t, "index")}, nil, wire.TxWitness{some.Draw(t, "witness")}))
	tx.AddTxOut(wire.NewTxOut(sat.Draw(t, "value"), some.Draw(t, "script")))
	tx.LockTime = u32.Draw(t, "locktime")
	return tx
})

var source = rapid.Custom(func(t *rapid.T) *ln.Source {
	if yes.Draw(t, "forward") {
		return &ln.Source{Forward: &ln.ForwardSource{Channel: b32.Draw(t, "channel"), HTLCID: u64.Draw(t, "htlc"), SharedSecret: b32.Draw(t, "secret"), CLTVExpiry: u32.Draw(t, "expiry")}}
	}
	p := &ln.PaymentSource{PaymentID: b32.Draw(t, "id"), PartID: u64.Draw(t, "part"), SessionKey: b32.Draw(t, "session"), TotalMsat: u64.Draw(t, "total"), PartMsat: u64.Draw(t, "arrives")}
	for range rapid.IntRange(0, 3).Draw(t, "hops") {
		p.Path = append(p.Path, b33.Draw(t, "hop"))
	}
	return &ln.Source{Payment: p}
})

var resolution = rapid.Custom(func(t *rapid.T) (r facts.Resolution) {
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		p := ln.Preimage(b32.Draw(t, "preimage"))
		r.Preimage = &p
	case 1:
		r.Reason = some.Draw(t, "reason")
	case 2:
		r.Reason = []byte{} // said nothing
	case 3:
		r.Malformed = &facts.Malformed{OnionSHA256: b32.Draw(t, "sha"), Code: rapid.Uint16().Draw(t, "code")}
	}
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		r.Parts = append(r.Parts, facts.Part{Channel: b32.Draw(t, "channel"), HTLCID: u64.Draw(t, "htlc")})
	}
	r.Settled = yes.Draw(t, "settled")
	return r
})

var states = []facts.State{
	facts.SentAddCommit, facts.RcvdAddRevocation, facts.SentAddAckRevocation, facts.SentRemoveRevocation, facts.SentRemoveAckCommit,
	facts.SentAddRevocation, facts.SentAddAckCommit, facts.RcvdAddAckRevocation, facts.SentRemoveCommit, facts.RcvdRemoveRevocation,
}

func htlc(live bool) *rapid.Generator[facts.HTLC] {
	return rapid.Custom(func(t *rapid.T) facts.HTLC {
		h := facts.HTLC{
			ID: u64.Draw(t, "id"), AmountMsat: u64.Draw(t, "msat"), Hash: b32.Draw(t, "hash"), CLTVExpiry: u32.Draw(t, "expiry"),
			Onion: maybe.Draw(t, "onion"), Source: source.Draw(t, "source"),
		}
		if live {
			h.State = rapid.SampledFrom(states).Draw(t, "state")
			h.Fate, h.FailedEarly = facts.Fate(rapid.Uint8Range(0, 2).Draw(t, "fate")), yes.Draw(t, "early")
		}
		if yes.Draw(t, "preimage") {
			p := ln.Preimage(b32.Draw(t, "preimage"))
			h.Preimage = &p
		}
		if yes.Draw(t, "resolution") {
			r := resolution.Draw(t, "resolution")
			h.Resolution = &r
		}
		return h
	})
}

var basepoints = rapid.Custom(func(t *rapid.T) commitment.Basepoints {
	return commitment.Basepoints{
		Funding: key.Draw(t, "f"), Revocation: key.Draw(t, "r"), Payment: key.Draw(t, "p"), DelayedPayment: key.Draw(t, "d"), HTLC: key.Draw(t, "h"),
	}
})

var params = rapid.Custom(func(t *rapid.T) facts.Params {
	return facts.Params{
		DustLimitSat: u64.Draw(t, "dust"), MaxHTLCValueInFlightMsat: u64.Draw(t, "max"), ReserveSat: u64.Draw(t, "reserve"),
		HTLCMinimumMsat: u64.Draw(t, "min"), ToSelfDelay: rapid.Uint16().Draw(t, "delay"), MaxAcceptedHTLCs: rapid.Uint16().Draw(t, "accepted"),
		UpfrontShutdownScript: maybe.Draw(t, "script"),
	}
})

var static = rapid.Custom(func(t *rapid.T) *facts.Static {
	return &facts.Static{
		ID: b32.Draw(t, "id"), TemporaryID: b32.Draw(t, "temporary"), Peer: b33.Draw(t, "peer"), KeyIndex: u32.Draw(t, "key"),
		Tx: commitment.Static{
			Funding: wire.OutPoint{Hash: b32.Draw(t, "txid"), Index: u32.Draw(t, "index")}, Capacity: btcutil.Amount(sat.Draw(t, "capacity")),
			HolderIsFunder: yes.Draw(t, "funder"), Holder: basepoints.Draw(t, "holder"), Counterparty: basepoints.Draw(t, "counterparty"),
			HolderDustLimit: btcutil.Amount(sat.Draw(t, "dust")), CounterpartyDustLimit: btcutil.Amount(sat.Draw(t, "dust")),
			HolderToSelfDelay: rapid.Uint16().Draw(t, "delay"), CounterpartyToSelfDelay: rapid.Uint16().Draw(t, "delay"),
		},
		Holder: params.Draw(t, "holder"), Counterparty: params.Draw(t, "counterparty"), MinDepth: u32.Draw(t, "depth"), Announce: yes.Draw(t, "announce"),
		Alias: u64.Draw(t, "alias"), FundingTx: maybe.Draw(t, "tx"), OpenedHeight: u32.Draw(t, "height"),
	}
})

// updates has a generator for every kind; TestEveryKindIsTested counts them against package facts.
var updates = []*rapid.Generator[facts.Update]{
	update(func(t *rapid.T) facts.Opened {
		return facts.Opened{
			Static: static.Draw(t, "static"), HolderMsat: u64.Draw(t, "h"), CounterpartyMsat: u64.Draw(t, "c"), FeePerKw: u32.Draw(t, "fee"),
			CounterpartyPoint: b33.Draw(t, "point"), HolderSig: sig.Draw(t, "sig"), ChainHeight: u32.Draw(t, "height"), ChainHash: b32.Draw(t, "hash"),
		}
	}),
	update(func(t *rapid.T) facts.FundingConfirmed {
		return facts.FundingConfirmed{Height: u32.Draw(t, "height"), TxIndex: u32.Draw(t, "index")}
	}),
	update(func(*rapid.T) facts.FundingUnconfirmed { return facts.FundingUnconfirmed{} }),
	update(func(*rapid.T) facts.HolderReady { return facts.HolderReady{} }),
	update(func(t *rapid.T) facts.CounterpartyReady {
		return facts.CounterpartyReady{NextPoint: b33.Draw(t, "point"), Alias: u64.Draw(t, "alias")}
	}),
	update(func(t *rapid.T) facts.CounterpartyCommitment {
		return facts.CounterpartyCommitment{
			Adds: rapid.SliceOfN(htlc(false), 0, 3).Draw(t, "adds"), Removes: rapid.SliceOfN(u64, 0, 3).Draw(t, "removes"), FeePerKw: u32.Draw(t, "fee"),
		}
	}),
	update(func(t *rapid.T) facts.HolderCommitment {
		u := facts.HolderCommitment{
			Sig: sig.Draw(t, "sig"), HTLCSigs: rapid.SliceOfN(sig, 0, 3).Draw(t, "sigs"),
			Adds: rapid.SliceOfN(htlc(false), 0, 3).Draw(t, "adds"), FeePerKw: u32.Draw(t, "fee"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "removes") {
			u.Removes = append(u.Removes, facts.Removal{HTLCID: u64.Draw(t, "id"), Resolution: resolution.Draw(t, "resolution")})
		}
		return u
	}),
	update(func(t *rapid.T) facts.Revocation {
		return facts.Revocation{Secret: b32.Draw(t, "secret"), NextPoint: b33.Draw(t, "point")}
	}),
	update(func(t *rapid.T) facts.PreimageLearned {
		return facts.PreimageLearned{HTLCID: u64.Draw(t, "id"), Preimage: b32.Draw(t, "preimage"), OnChain: yes.Draw(t, "on chain")}
	}),
	update(func(t *rapid.T) facts.Decided {
		return facts.Decided{HTLCID: u64.Draw(t, "id"), Resolution: resolution.Draw(t, "resolution")}
	}),
	update(func(t *rapid.T) facts.HolderShutdown { return facts.HolderShutdown{Script: some.Draw(t, "script")} }),
	update(func(t *rapid.T) facts.CounterpartyShutdown {
		return facts.CounterpartyShutdown{Script: some.Draw(t, "script")}
	}),
	update(func(t *rapid.T) facts.ClosingProposed { return facts.ClosingProposed{FeeSat: u64.Draw(t, "fee")} }),
	update(func(t *rapid.T) facts.MutualClosed { return facts.MutualClosed{Tx: tx.Draw(t, "tx")} }),
	update(func(t *rapid.T) facts.ForceClosed { return closed.Draw(t, "closed") }),
	update(func(*rapid.T) facts.ProvenBehind { return facts.ProvenBehind{} }),
	update(func(t *rapid.T) facts.Restored { return facts.Restored{Seqs: u64.Draw(t, "seqs")} }),
	update(func(t *rapid.T) facts.Verified { return facts.Verified{Trusted: yes.Draw(t, "trusted")} }),
	update(func(t *rapid.T) facts.BlockSeen {
		return facts.BlockSeen{Height: u32.Draw(t, "height"), Hash: b32.Draw(t, "hash")}
	}),
	update(func(t *rapid.T) facts.FundingSpent { return spent.Draw(t, "spent") }),
	update(func(*rapid.T) facts.FundingUnspent { return facts.FundingUnspent{} }),
	update(func(t *rapid.T) facts.RevokedRead { return facts.RevokedRead{Revoked: revoked.Draw(t, "revoked")} }),
	update(func(t *rapid.T) facts.OutputSpent { return outputSpent.Draw(t, "spent") }),
	update(func(t *rapid.T) facts.OutputUnspent { return facts.OutputUnspent{Output: outpoint.Draw(t, "output")} }),
	update(func(t *rapid.T) facts.ClaimSigned { return claim.Draw(t, "claim") }),
	update(func(t *rapid.T) facts.ClaimEnded { return facts.ClaimEnded{ID: u64.Draw(t, "id")} }),
	update(func(t *rapid.T) facts.HTLCEnded {
		return facts.HTLCEnded{Outbound: yes.Draw(t, "outbound"), HTLCID: u64.Draw(t, "id"), Fulfilled: yes.Draw(t, "fulfilled")}
	}),
	update(func(t *rapid.T) facts.HTLCFailedEarly { return facts.HTLCFailedEarly{HTLCID: u64.Draw(t, "id")} }),
	update(func(t *rapid.T) facts.OutputsSpendable {
		return facts.OutputsSpendable{Outputs: rapid.SliceOfN(outpoint, 1, 3).Draw(t, "outputs")}
	}),
	update(func(t *rapid.T) facts.PolicySet { return facts.PolicySet{Policy: policy.Draw(t, "policy")} }),
}

var policy = rapid.Custom(func(t *rapid.T) facts.Policy {
	return facts.Policy{
		BaseMsat: u32.Draw(t, "base"), PropMillionths: u32.Draw(t, "ppm"), CLTVDelta: rapid.Uint16().Draw(t, "delta"), HTLCMinimumMsat: u64.Draw(t, "min"),
		HTLCMaximumMsat: u64.Draw(t, "max"), MaxInFlightMsat: u64.Draw(t, "flight"), MaxDustExposureMsat: u64.Draw(t, "dust"),
	}
})

var outpoint = rapid.Custom(func(t *rapid.T) wire.OutPoint {
	return wire.OutPoint{Hash: b32.Draw(t, "txid"), Index: u32.Draw(t, "index")}
})

var outputSpent = rapid.Custom(func(t *rapid.T) facts.OutputSpent {
	s := facts.OutputSpent{
		Output: outpoint.Draw(t, "output"), Txid: b32.Draw(t, "txid"), Input: u32.Draw(t, "input"), Height: u32.Draw(t, "height"), Ours: yes.Draw(t, "ours"),
	}
	if yes.Draw(t, "preimage") {
		p := ln.Preimage(b32.Draw(t, "preimage"))
		s.Preimage = &p
	}
	return s
})

var claim = rapid.Custom(func(t *rapid.T) facts.ClaimSigned {
	return facts.ClaimSigned{
		ID: u64.Draw(t, "id"), Tx: tx.Draw(t, "tx"), FeeSat: u64.Draw(t, "fee"), FeePerKw: u32.Draw(t, "rate"), Height: u32.Draw(t, "height"),
		Deadline: u32.Draw(t, "deadline"),
	}
})

var revoked = rapid.Custom(func(t *rapid.T) facts.Revoked {
	r := facts.Revoked{Number: u64.Draw(t, "number")}
	for range rapid.IntRange(0, 3).Draw(t, "htlcs") {
		r.HTLCs = append(r.HTLCs, facts.RevokedHTLC{
			HTLCID: u64.Draw(t, "id"), Offered: yes.Draw(t, "offered"), AmountMsat: u64.Draw(t, "msat"), Hash: b32.Draw(t, "hash"),
			CLTVExpiry: u32.Draw(t, "expiry"),
		})
	}
	return r
})

var onChain = rapid.Custom(func(t *rapid.T) (o facts.OnChain) {
	if yes.Draw(t, "revoked") {
		r := revoked.Draw(t, "revoked")
		o.Revoked = &r
	}
	for _, s := range rapid.SliceOfN(outputSpent, 0, 2).Draw(t, "spends") {
		if o.Spends == nil {
			o.Spends = map[wire.OutPoint]facts.OutputSpent{}
		}
		o.Spends[s.Output] = s
	}
	for _, c := range rapid.SliceOfN(claim, 0, 2).Draw(t, "claims") {
		if o.Claims == nil {
			o.Claims = map[uint64]facts.ClaimSigned{}
		}
		o.Claims[c.ID] = c
	}
	for _, out := range rapid.SliceOfN(outpoint, 0, 2).Draw(t, "spendable") {
		if o.Spendable == nil {
			o.Spendable = map[wire.OutPoint]bool{}
		}
		o.Spendable[out] = true
	}
	return o
})

var closed = rapid.Custom(func(t *rapid.T) facts.ForceClosed {
	return facts.ForceClosed{Reason: facts.CloseReason(rapid.Uint8().Draw(t, "reason")), Detail: string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "detail"))}
})

var spent = rapid.Custom(func(t *rapid.T) facts.FundingSpent {
	return facts.FundingSpent{Txid: b32.Draw(t, "txid"), Height: u32.Draw(t, "height"), Spend: facts.SpendKind(rapid.Uint8Range(0, 4).Draw(t, "spend")), Tx: tx.Draw(t, "tx")}
})

func update[U facts.Update](f func(*rapid.T) U) *rapid.Generator[facts.Update] {
	return rapid.Custom(func(t *rapid.T) facts.Update {
		yes.Draw(t, "something") // rapid wants every value to draw something
		return f(t)
	})
}

var kinds = []*rapid.Generator[facts.EventKind]{
	eventKind(func(t *rapid.T) facts.Claimed {
		return facts.Claimed{
			HTLCID: u64.Draw(t, "id"), Hash: b32.Draw(t, "hash"), Source: *source.Draw(t, "source"), AmountMsat: u64.Draw(t, "msat"),
			Preimage: b32.Draw(t, "preimage"), OnChain: yes.Draw(t, "on chain"),
		}
	}),
	eventKind(func(t *rapid.T) facts.Failed {
		return facts.Failed{
			HTLCID: u64.Draw(t, "id"), Hash: b32.Draw(t, "hash"), Source: *source.Draw(t, "source"), AmountMsat: u64.Draw(t, "msat"),
			Resolution: resolution.Draw(t, "resolution"), Local: facts.FailCode(rapid.Uint8Range(0, 2).Draw(t, "local")),
		}
	}),
	eventKind(func(t *rapid.T) facts.HTLCAccepted {
		return facts.HTLCAccepted{
			HTLCID: u64.Draw(t, "id"), AmountMsat: u64.Draw(t, "msat"), Hash: b32.Draw(t, "hash"), CLTVExpiry: u32.Draw(t, "expiry"), Onion: maybe.Draw(t, "onion"),
			OverDust: yes.Draw(t, "dust"), Unburied: yes.Draw(t, "unburied"),
		}
	}),
	eventKind(func(t *rapid.T) facts.CommitmentTxConfirmed {
		s := spent.Draw(t, "spent")
		return facts.CommitmentTxConfirmed{Txid: s.Txid, Height: s.Height, Spend: s.Spend}
	}),
	eventKind(func(t *rapid.T) facts.HolderForceClosed { return facts.HolderForceClosed(closed.Draw(t, "closed")) }),
	eventKind(func(t *rapid.T) facts.SpendableOutputs {
		var k facts.SpendableOutputs
		for range rapid.IntRange(1, 3).Draw(t, "outputs") {
			o := facts.SpendableOutput{
				Output: outpoint.Draw(t, "output"), ValueSat: u64.Draw(t, "value"), Kind: facts.SpendableKind(rapid.Uint8Range(1, 3).Draw(t, "kind")),
				KeyIndex: u32.Draw(t, "key"), WitnessScript: some.Draw(t, "script"), Sequence: u32.Draw(t, "sequence"),
			}
			if o.Kind == facts.SpendableDelayed {
				o.Point = b33.Draw(t, "point")
			}
			k.Outputs = append(k.Outputs, o)
		}
		return k
	}),
	eventKind(func(*rapid.T) facts.ChannelPending { return facts.ChannelPending{} }),
	eventKind(func(*rapid.T) facts.ChannelReady { return facts.ChannelReady{} }),
}

func eventKind[K facts.EventKind](f func(*rapid.T) K) *rapid.Generator[facts.EventKind] {
	return rapid.Custom(func(t *rapid.T) facts.EventKind {
		yes.Draw(t, "something")
		return f(t)
	})
}

var events = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) facts.Event {
	return facts.Event{Seq: u64.Draw(t, "seq"), Kind: rapid.OneOf(kinds...).Draw(t, "kind")}
}), 0, 3)

var records = rapid.Custom(func(t *rapid.T) *Record {
	return &Record{
		Index: u64.Draw(t, "index"), UpdateID: u64.Draw(t, "update"), Updates: rapid.SliceOfN(rapid.OneOf(updates...), 0, 3).Draw(t, "updates"),
		Events: events.Draw(t, "events"), Acked: rapid.SliceOfN(u64, 0, 3).Draw(t, "acked"),
	}
})

var channels = rapid.Custom(func(t *rapid.T) *facts.Channel {
	c := &facts.Channel{
		Static: static.Draw(t, "static"), HolderNumber: u64.Draw(t, "n"), HolderSig: sig.Draw(t, "sig"),
		HolderHTLCSigs: rapid.SliceOfN(sig, 0, 3).Draw(t, "sigs"), CounterpartyNumber: u64.Draw(t, "n"), CounterpartyPoint: b33.Draw(t, "point"),
		CounterpartyNextPoint: b33.Draw(t, "point"), Unrevoked: yes.Draw(t, "unrevoked"), CommitmentAfterRAA: yes.Draw(t, "order"),
		Secrets: shachain.NewRevocationStore(), HolderMsat: u64.Draw(t, "h"), CounterpartyMsat: u64.Draw(t, "c"), FeePerKw: u32.Draw(t, "fee"),
		Outbound: map[uint64]*facts.HTLC{}, Inbound: map[uint64]*facts.HTLC{}, NextOutboundHTLCID: u64.Draw(t, "next"), NextInboundHTLCID: u64.Draw(t, "next"),
		HolderReady: yes.Draw(t, "ready"), Reburying: yes.Draw(t, "reburying"), CounterpartyReady: yes.Draw(t, "ready"), CounterpartyAlias: u64.Draw(t, "alias"),
		HolderShutdown: maybe.Draw(t, "script"), CounterpartyShutdown: maybe.Draw(t, "script"), ClosingFeeSat: u64.Draw(t, "fee"),
		ProvenBehind: yes.Draw(t, "behind"), Unverified: yes.Draw(t, "unverified"), WasSpent: yes.Draw(t, "was spent"), WasFunded: yes.Draw(t, "was funded"), Height: u32.Draw(t, "height"), BlockHash: b32.Draw(t, "hash"),
	}
	// Secrets follow from each other: those of a chain.
	producer := shachain.NewRevocationProducer(b32.Draw(t, "root"))
	for n := range rapid.Uint64Range(0, 9).Draw(t, "revoked") {
		secret, err := producer.AtIndex(n)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if err := c.Secrets.AddNextEntry(secret); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "fees") {
		c.FeeUpdates = append(c.FeeUpdates, facts.FeeUpdate{FeePerKw: u32.Draw(t, "fee"), State: rapid.SampledFrom(states).Draw(t, "state")})
	}
	for _, m := range []map[uint64]*facts.HTLC{c.Outbound, c.Inbound} {
		for range rapid.IntRange(0, 2).Draw(t, "htlcs") {
			h := htlc(true).Draw(t, "htlc")
			m[h.ID] = &h
		}
	}
	c.OnChain = onChain.Draw(t, "on chain")
	if yes.Draw(t, "own policy") {
		c.Policy = policy.Draw(t, "policy")
	}
	if yes.Draw(t, "confirmed") {
		c.Funding = &facts.FundingConfirmed{Height: u32.Draw(t, "height"), TxIndex: u32.Draw(t, "index")}
	}
	if yes.Draw(t, "mutual") {
		c.MutualClose = tx.Draw(t, "tx")
	}
	if yes.Draw(t, "force") {
		f := closed.Draw(t, "closed")
		c.ForceClose = &f
	}
	if yes.Draw(t, "spent") {
		s := spent.Draw(t, "spent")
		c.Spent = &s
	}
	return c
})

var snapshots = rapid.Custom(func(t *rapid.T) *Snapshot {
	s := &Snapshot{
		Index: u64.Draw(t, "index"), UpdateID: u64.Draw(t, "update"), LastSeq: u64.Draw(t, "seq"), Channel: channels.Draw(t, "channel"), Events: events.Draw(t, "events"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "gone") {
		g := Gone{HTLCID: u64.Draw(t, "id")}
		if yes.Draw(t, "decided") {
			r := resolution.Draw(t, "resolution")
			g.Resolution = &r
		}
		s.Gone = append(s.Gone, g)
	}
	if yes.Draw(t, "spender") {
		h := chainhash.Hash(b32.Draw(t, "spender"))
		s.Spender = &h
	}
	return s
})

var rows = rapid.Custom(func(t *rapid.T) Row {
	switch rapid.IntRange(0, 2).Draw(t, "row") {
	case 0:
		o := &Outcome{
			PaymentID: b32.Draw(t, "id"), PartID: u64.Draw(t, "part"), Channel: b32.Draw(t, "channel"), HTLCID: u64.Draw(t, "htlc"), Hash: b32.Draw(t, "hash"),
			AmountMsat: u64.Draw(t, "msat"), TotalMsat: u64.Draw(t, "msat"),
		}
		if yes.Draw(t, "claimed") {
			p := ln.Preimage(b32.Draw(t, "preimage"))
			o.Preimage = &p
		}
		return o
	case 1:
		return &Fate{Channel: b32.Draw(t, "channel"), HTLCID: u64.Draw(t, "htlc"), Hash: b32.Draw(t, "hash"), AmountMsat: u64.Draw(t, "msat"), Fulfilled: yes.Draw(t, "how")}
	}
	if yes.Draw(t, "closed") {
		return &Closed{
			Channel: b32.Draw(t, "channel"), Peer: b33.Draw(t, "peer"), KeyIndex: u32.Draw(t, "key"), Funding: outpoint.Draw(t, "funding"),
			CapacitySat: u64.Draw(t, "capacity"), ClosingTxid: b32.Draw(t, "txid"), Spend: facts.SpendKind(rapid.Uint8Range(0, 4).Draw(t, "spend")),
			Height: u32.Draw(t, "height"), SweptSat: u64.Draw(t, "swept"), LostSat: u64.Draw(t, "lost"), FeesSat: u64.Draw(t, "fees"),
		}
	}
	return &Revoked{Channel: b32.Draw(t, "channel"), Commitment: revoked.Draw(t, "revoked")}
})

// S10: write, read, write is the identity on everything that is written.
func TestWriteReadWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records.Draw(t, "record")
		if err := r.Check(r.Write()); err != nil {
			t.Fatal(err)
		}
		s := snapshots.Draw(t, "snapshot")
		if err := s.Check(s.Write()); err != nil {
			t.Fatal(err)
		}
		row := rows.Draw(t, "row")
		if err := CheckRow(row, WriteRow(row)); err != nil {
			t.Fatal(err)
		}
	})
}

// Each kind is in the lists above, so the identity is tested on it.
func TestEveryKindIsTested(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for _, g := range updates {
		seen[reflect.TypeOf(g.Example(1))] = true
	}
	if len(seen) != 30 {
		t.Errorf("%d kinds of update, package facts has 30: a new one needs a generator here and a number in its record", len(seen))
	}
	seen = map[reflect.Type]bool{}
	for _, g := range kinds {
		seen[reflect.TypeOf(g.Example(1))] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d kinds of event, package facts has 8", len(seen))
	}
}

// The checks bite: a changed value is found where it is.
func TestCheckFindsAChange(t *testing.T) {
	r := &Record{Index: 1, Updates: []facts.Update{facts.PreimageLearned{HTLCID: 3}}}
	b := r.Write()
	r.Updates[0] = facts.PreimageLearned{HTLCID: 4}
	err := r.Check(b)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Kind != "MonitorRecord" {
		t.Fatalf("got %v", err)
	}
}

func TestOtherVersionsAreRefused(t *testing.T) {
	for _, b := range [][]byte{nil, {8, 0}, {8, 2}, {8, 1, 0xf8, 0x07, 1}} {
		_, err := Read(b)
		if !errors.Is(err, errVersion) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// Whatever the bytes are, reading them ends with a value or a typed error.
func FuzzRead(f *testing.F) {
	for i := range 6 {
		f.Add(records.Example(i).Write())
		f.Add(snapshots.Example(i).Write())
		f.Add(WriteRow(rows.Example(i)).Value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		typed := func(err error) {
			var corrupt *CorruptError
			if err != nil && !errors.As(err, &corrupt) {
				t.Fatalf("untyped: %v", err)
			}
		}
		r, err := Read(b)
		if typed(err); err == nil {
			r.Write()
		}
		s, err := ReadSnapshot(b)
		if typed(err); err == nil {
			s.Write()
		}
		for _, bucket := range []string{messages.BucketOutcomes, messages.BucketFates, messages.BucketRevoked, messages.BucketClosed, "other"} {
			row, err := ReadRow(messages.Row{Bucket: bucket, Key: make([]byte, 40), Value: b})
			if typed(err); err == nil {
				WriteRow(row)
			}
		}
	})
}
