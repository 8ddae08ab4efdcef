package monitor

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// TestAnyHistorySurvivesACrashAtAnyRecord drives a monitor with random legal inputs. After every one of them the disk, with and without
// snapshots, must give the monitor in memory, whatever was emitted before a crash must come again under the same id (S8) until it is
// acknowledged, what was acknowledged never again (L8), acks commute (S9), and balances add up to the capacity (S13).
func TestAnyHistorySurvivesACrashAtAnyRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &driver{harness: ready(t, rapid.Bool().Draw(t, "funder")), t: t}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d.step()
			d.same()
			d.conserved()
		}
		// At rest: whatever was ever emitted and not acknowledged is in the report.
		d.restart()
		report, ok := told[messages.MonitorReport](d.draw())
		if !ok {
			t.Fatalf("no report")
		}
		in := map[uint64]bool{}
		for _, e := range report.Events {
			in[e.Seq] = true
		}
		for seq := range d.emitted {
			if !in[seq] && !d.acked[seq] {
				t.Fatalf("S1: event %d is lost", seq)
			}
		}
	})
}

type driver struct {
	*harness
	t      *rapid.T
	height uint32
}

// step draws one of the inputs that are possible now.
func (d *driver) step() {
	f := d.s.m.facts
	d.height = max(d.height, f.Height)
	type input struct {
		name string
		do   func()
	}
	in := []input{
		{"restart", func() { d.restart() }},
		{"snapshot", d.takeSnapshot},
		{"load", func() { d.load() }},
		{"fence", func() { d.draw() }},
		{"manager", func() { d.manager++; d.do(messages.ManagerHello{Incarnation: d.manager}) }},
		{"block", func() {
			d.height += rapid.Uint32Range(1, 5).Draw(d.t, "blocks")
			d.do(d.block(d.height))
		}},
		{"ack", d.ack},
		{"policy", func() {
			d.do(messages.SetPolicy{Policy: facts.Policy{BaseMsat: rapid.Uint32Range(0, 2).Draw(d.t, "base"), CLTVDelta: 46}})
		}},
	}
	if rapid.IntRange(0, 30).Draw(d.t, "rare") == 0 {
		in = append(in,
			input{"spend", d.spend},
			input{"disconnect", func() {
				d.height = rapid.Uint32Range(100, d.height).Draw(d.t, "fork")
				d.do(messages.ChainDisconnected{Incarnation: d.s.incarnation, Height: d.height, Hash: blockHash(d.height)})
			}},
			input{"force close", func() { d.do(messages.ForceCloseChannel{Reason: facts.CloseByUser, Detail: "now"}) }},
		)
	}
	for _, id := range keysOf(f.Inbound) {
		if f.Inbound[id].Decidable() && f.Inbound[id].Resolution == nil {
			in = append(in, input{"decide", func() {
				d.do(messages.DecideHTLC{Channel: f.ID, HTLCID: id, Resolution: d.resolution(id)})
			}})
		}
	}
	if d.channel != 0 {
		in = append(in, input{"commit", d.commit}, input{"receive", d.receive}, input{"commit", d.commit}, input{"receive", d.receive})
		if f.Unrevoked {
			in = append(in, input{"revoke", func() { d.update(d.revocation()) }}, input{"revoke", func() { d.update(d.revocation()) }})
		}
		for _, id := range keysOf(f.Outbound) {
			if f.Outbound[id].State == facts.SentAddAckRevocation && f.Outbound[id].Preimage == nil {
				in = append(in, input{"preimage", func() { d.update(facts.PreimageLearned{HTLCID: id, Preimage: preimage(id)}) }})
			}
		}
	}
	i := rapid.SampledFrom(in).Draw(d.t, "input")
	i.do()
}

// String keeps the drawn closures out of rapid's log.
func (d *driver) String() string { return "driver" }

func (d *driver) resolution(id uint64) facts.Resolution {
	if rapid.Bool().Draw(d.t, "fulfil") {
		return fulfilled(id)
	}
	return failed("no")
}

func (d *driver) commit() {
	f := d.s.m.facts
	if f.Unrevoked {
		return
	}
	var u facts.CounterpartyCommitment
	if rapid.Bool().Draw(d.t, "add") {
		u.Adds = []facts.HTLC{outbound(f.NextOutboundHTLCID, rapid.Uint64Range(1, 5_000_000).Draw(d.t, "msat"), d.height+40)}
	}
	for _, id := range keysOf(f.Inbound) {
		if h := f.Inbound[id]; h.State == facts.RcvdAddAckRevocation && h.Resolution != nil && rapid.Bool().Draw(d.t, "remove") {
			u.Removes = append(u.Removes, id)
		}
	}
	d.update(u)
}

func (d *driver) receive() {
	f := d.s.m.facts
	if f.Ended() {
		d.update(facts.HolderCommitment{})
		return
	}
	var adds []facts.HTLC
	if rapid.Bool().Draw(d.t, "add") {
		adds = append(adds, inbound(f.NextInboundHTLCID, rapid.Uint64Range(1, 5_000_000).Draw(d.t, "msat"), d.height+60))
	}
	var removes []facts.Removal
	for _, id := range keysOf(f.Outbound) {
		if h := f.Outbound[id]; h.State == facts.SentAddAckRevocation && rapid.Bool().Draw(d.t, "remove") {
			removes = append(removes, facts.Removal{HTLCID: id, Resolution: d.resolution(id)})
		}
	}
	d.update(d.holderCommitment(adds, removes...))
}

// ack acknowledges some of what is queued, something unknown, and everything twice, in any order (S9).
func (d *driver) ack() {
	var seqs []uint64
	for _, e := range d.s.m.events.all() {
		if rapid.Bool().Draw(d.t, "ack") {
			seqs = append(seqs, e.Seq)
		}
	}
	seqs = rapid.Permutation(append(seqs, 1<<40)).Draw(d.t, "order")
	before := d.s.m.events.len()
	d.do(messages.AckMonitorEvent{Channel: d.s.id, Seqs: seqs})
	if got := before - d.s.m.events.len(); got != len(seqs)-1 {
		d.t.Fatalf("S9: %d events went with %d acks", got, len(seqs)-1)
	}
	if o := d.do(messages.AckMonitorEvent{Channel: d.s.id, Seqs: seqs}); o.Record != nil {
		d.t.Fatalf("S9: a repeated ack wrote a record")
	}
}

func (d *driver) spend() {
	f := d.s.m.facts
	if f.Spent != nil {
		return
	}
	which := rapid.SampledFrom([]facts.Which{facts.Holder, facts.Counterparty, facts.CounterpartyNext}).Draw(d.t, "which")
	d.height++
	d.do(d.block(d.height, build(f, which).Tx))
	want := facts.SpendCounterparty
	if which == facts.Holder {
		want = facts.SpendHolder
	}
	if got := d.s.m.facts.Spent.Spend; got != want {
		d.t.Fatalf("commitment %d of the owner %d was taken for %d", f.HolderNumber, which, got)
	}
}

// conserved checks every commitment, and that each can be built: balances and HTLCs add up to the capacity, to the millisatoshi (S13).
func (d *driver) conserved() {
	for _, w := range []facts.Which{facts.Holder, facts.Counterparty, facts.CounterpartyNext} {
		build(d.s.m.facts, w)
	}
}

func keysOf(m map[uint64]*facts.HTLC) (ids []uint64) {
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// TestEveryPrefixOfTheLogIsAChannel replays every prefix of a long history: wherever the process dies, what is on disk is a channel whose events
// have the ids that later ones confirm.
func TestEveryPrefixOfTheLogIsAChannel(t *testing.T) {
	h := ready(t, true)
	for i := range uint64(12) {
		h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(i, 1_000_000, 300)}})
		h.update(h.revocation())
		h.update(h.holderCommitment([]facts.HTLC{inbound(i, 1_000_000, 300)}))
		h.update(facts.CounterpartyCommitment{})
		h.update(h.revocation())
		h.do(messages.DecideHTLC{Channel: h.s.id, HTLCID: i, Resolution: fulfilled(i)})
		h.update(facts.PreimageLearned{HTLCID: i, Preimage: preimage(i)})
		h.update(h.holderCommitment(nil, facts.Removal{HTLCID: i, Resolution: fulfilled(i)}))
		h.update(facts.CounterpartyCommitment{Removes: []uint64{i}})
		h.update(h.revocation())
		h.update(h.holderCommitment(nil))
		if i%3 == 0 {
			h.do(messages.AckMonitorEvent{Channel: h.s.id, Seqs: []uint64{h.s.m.events.last - 1}})
		}
	}
	events := map[uint64]facts.Event{}
	for n := 1; n <= len(h.all); n++ {
		m := h.read(nil, h.all[:n])
		if got := m.index; got != uint64(n) {
			t.Fatalf("prefix of %d records ends with record %d", n, got)
		}
		for _, e := range m.events.all() {
			if was, ok := events[e.Seq]; ok && record.Differ(was, e) != "" {
				t.Fatalf("S8: event %d is %+v in one prefix and %+v in another", e.Seq, was, e)
			}
			events[e.Seq] = e
		}
	}
	h.same()
}
