package lnactor_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/messages"
)

// whole makes the data directory of a node that was killed with a payment under way, some behind it.
func whole(t *testing.T) (dir string, channel lnactor.ChannelID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := manualPair(t, ctx)
	for range 2 {
		hash := p.held(t, ctx, 20_000_000)
		if err := p.bob.ClaimPayment(ctx, hash); err != nil {
			t.Fatal(err)
		}
		sent(t, ctx, p.alice, hash)
	}
	p.held(t, ctx, 30_000_000)
	p.alice.Kill()
	return p.alice.Dir(), p.channel
}

func cloned(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"seed", "store.db"} {
		if err := os.Chmod(filepath.Join(to, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// owned collects the records of an owner.
type owned struct {
	owner   messages.Owner
	records []persister.Record
	through uint64
	last    uint64 // key
}

func (o *owned) Snapshot(s persister.Snapshot) {
	if s.Owner == o.owner {
		o.through = s.Through
	}
}

func (o *owned) Record(r persister.Record) {
	o.last = max(o.last, r.Key)
	if r.Owner == o.owner && r.Seq > o.through {
		o.records = append(o.records, r)
	}
}

func recordsOf(t *testing.T, s *bboltstore.Store, owner messages.Owner) *owned {
	t.Helper()
	o := &owned{owner: owner}
	if err := s.Scan(o); err != nil {
		t.Fatal(err)
	}
	return o
}

// changed commits a batch to the store of a directory.
func changed(t *testing.T, dir string, owner messages.Owner, make func(s *bboltstore.Store, o *owned) persister.Batch) {
	t.Helper()
	s, err := bboltstore.Open(dir, bboltstore.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := make(s, recordsOf(t, s, owner))
	if err := errors.Join(s.Commit(&b), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func (o *owned) next(data []byte) persister.Batch {
	seq := o.through
	if n := len(o.records); n > 0 {
		seq = o.records[n-1].Seq
	}
	return persister.Batch{Append: []persister.Record{{Key: o.last + 1, Owner: o.owner, Seq: seq + 1, Data: data}}}
}

// flipped changes a byte of the store's file, at an offset from where some bytes of a record are.
func flipped(t *testing.T, dir string, owner messages.Owner, offset int) {
	t.Helper()
	var data []byte
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordsOf(t, s, owner).records {
		if len(r.Data) > len(data) {
			data = r.Data
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at, n := 0, 0; ; n++ { // every copy: pages that are free now may hold it too
		i := bytes.Index(b[at:], data)
		if i < 0 {
			if n == 0 {
				t.Fatal("the record is not in the file")
			}
			break
		}
		b[at+i+offset] ^= 0x10
		at += i + len(data)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each kind of damage is found, under its name and with what to do.
func TestInspectFindsDamage(t *testing.T) {
	good, id := whole(t)
	channel := messages.Owner(id[:])
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	row := func(make func(s *bboltstore.Store) messages.Row) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			changed(t, dir, channel, func(s *bboltstore.Store, _ *owned) persister.Batch {
				return persister.Batch{Rows: []messages.Row{make(s)}}
			})
		}
	}
	add := func(owner messages.Owner, make func(o *owned) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			changed(t, dir, owner, func(_ *bboltstore.Store, o *owned) persister.Batch { return o.next(make(o)) })
		}
	}
	for _, c := range []struct {
		code     string
		critical bool
		harm     func(t *testing.T, dir string)
	}{
		{"", false, func(*testing.T, string) {}},
		{"file", true, func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "store.db"), 12_000); err != nil {
				t.Fatal(err)
			}
		}},
		{"record", true, func(t *testing.T, dir string) { flipped(t, dir, channel, 5) }},
		{"file", true, func(t *testing.T, dir string) { flipped(t, dir, channel, -1) }}, // whose it is can't be told
		{"gap", true, func(t *testing.T, dir string) {
			changed(t, dir, channel, func(_ *bboltstore.Store, o *owned) persister.Batch {
				return persister.Batch{Trim: []uint64{o.records[len(o.records)/2].Key}}
			})
		}},
		{"log", true, add(channel, func(*owned) []byte { return []byte("no record") })},
		{"log", true, add(channel, func(o *owned) []byte { return o.records[len(o.records)-1].Data })}, // one too often
		{"ack", true, add(channel, func(o *owned) []byte {
			r, err := record.Read(o.records[len(o.records)-1].Data)
			if err != nil {
				t.Fatal(err)
			}
			return (&record.Record{Index: r.Index + 1, Acked: []uint64{1 << 30}}).Write()
		})},
		{"manager", true, add(messages.OwnerManager, func(*owned) []byte { return []byte("no record") })},
		{"payment", false, add(messages.OwnerManager, func(*owned) []byte {
			return manager.EncodeRecord(manager.PaymentStarted{Payment: manager.PaymentRecord{ID: lnactor.PaymentID{7}, AmountMsat: 5}})
		})},
		{"payment_lost", false, add(messages.OwnerManager, func(*owned) []byte {
			return manager.EncodeRecord(manager.PaymentStarted{Payment: manager.PaymentRecord{
				ID: lnactor.PaymentID{7}, AmountMsat: 5, Parts: []manager.PartRecord{{Channel: lnactor.ChannelID{9}}},
			}})
		})},
		{"row", true, row(func(*bboltstore.Store) messages.Row {
			return messages.Row{Bucket: messages.BucketOutcomes, Key: bytes.Repeat([]byte{1}, 72), Value: []byte("no row")}
		})},
		{"row", true, row(func(*bboltstore.Store) messages.Row {
			return messages.Row{Bucket: messages.BucketPayments, Key: bytes.Repeat([]byte{1}, 32), Value: []byte("no row")}
		})},
		{"orphan", false, row(func(s *bboltstore.Store) messages.Row {
			r, found, err := s.Last(messages.BucketRevoked, nil)
			if err != nil || !found {
				t.Fatal("no revoked commitment", err)
			}
			r.Key[0] ^= 1
			return r
		})},
		{"orphan", false, row(func(*bboltstore.Store) messages.Row {
			return messages.Row{Bucket: "attic", Key: []byte{1}, Value: []byte{2}}
		})},
		{"twice", true, row(func(*bboltstore.Store) messages.Row { return record.WriteRow(&record.Closed{Channel: id}) })},
		{"key_index", true, row(func(s *bboltstore.Store) messages.Row {
			r, _, err := s.Last(messages.BucketKeys, nil)
			if err != nil {
				t.Fatal(err)
			}
			return messages.Row{Bucket: messages.BucketKeys, Key: r.Key}
		})},
		{"seed", true, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "seed")); err != nil {
				t.Fatal(err)
			}
		}},
		{"rights", true, func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "seed"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"small_file", false, write("wallet.json", "{")},
	} {
		t.Run("damage "+c.code, func(t *testing.T) {
			dir := cloned(t, good)
			c.harm(t, dir)
			in, err := lnactor.Inspect(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "" {
				if len(in.Findings) > 0 {
					t.Fatalf("findings in a whole store: %+v", in.Findings)
				}
				if len(in.Channels) != 1 || len(in.Channels[0].HTLCs) == 0 || in.Channels[0].HTLCs[0].Deadline == 0 || in.Payments == 0 {
					t.Fatalf("%+v", in)
				}
				return
			}
			if !slices.ContainsFunc(in.Findings, func(f lnactor.Finding) bool { return f.Code == c.code && f.Critical == c.critical }) {
				t.Fatalf("findings: %+v", in.Findings)
			}
			for _, f := range in.Findings {
				if f.Remedy == "" || f.What == "" || f.Where == "" {
					t.Errorf("a finding without a remedy: %+v", f)
				}
			}
		})
	}
}

// Whatever is flipped, looking neither crashes nor changes anything; and what a monitor reads is right or said to be wrong.
func TestInspectOfFlippedBits(t *testing.T) {
	good, id := whole(t)
	in, err := lnactor.Inspect(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := in.Channels[0]
	content, err := os.ReadFile(filepath.Join(good, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	dir := cloned(t, good)
	path := filepath.Join(dir, "store.db")
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 150 {
		bad := bytes.Clone(content)
		at := r.IntN(len(bad))
		for bad[at] == 0 { // most of the file is room to grow
			at = r.IntN(len(bad))
		}
		bad[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := lnactor.Inspect(dir, &id)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, bad) {
			t.Fatalf("byte %d: the file was changed: %v", at, err)
		}
		if len(got.Findings) > 0 {
			found++
		} else if len(got.Channels) != 1 || got.Channels[0].Records != want.Records || got.Channels[0].Summary.HolderMsat != want.Summary.HolderMsat {
			t.Fatalf("byte %d: nothing was found, and the channel is %+v", at, got.Channels)
		}
	}
	if found == 0 {
		t.Fatal("no flip was found")
	}
}

func TestInspectRefusals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir)
	if _, err := lnactor.Inspect(dir, nil); !errors.Is(err, lnactor.ErrInUse) {
		t.Fatal(err)
	}
	if _, err := lnactor.Inspect(t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p.alice.Kill()
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lnactor.Inspect(dir, nil); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Fatalf("%v, was %v: %v", after, before, err)
	}
}

// What an HTLC waits for is told by both sides while it waits, and not found once it is over.
func TestExplain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := manualPair(t, ctx)
	hash := p.held(t, ctx, 20_000_000)
	e, err := p.alice.ExplainPayment(ctx, hash)
	if err != nil || len(e.HTLCs) != 1 || !e.HTLCs[0].Outbound || e.HTLCs[0].Deadline == 0 || e.HTLCs[0].From != "the peer" || len(e.Payment) < 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	e, err = p.bob.ExplainHTLC(ctx, p.channel, 0)
	if err != nil || len(e.HTLCs) != 1 || e.HTLCs[0].Outbound || e.HTLCs[0].Event == nil || len(e.Payment) == 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	p.alice.Kill()
	if err := p.bob.ClaimPayment(ctx, hash); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "deadline", func() (bool, any) {
		e, err = p.bob.ExplainPayment(ctx, hash)
		return err == nil && len(e.HTLCs) == 1 && e.HTLCs[0].Deadline != 0, e
	})
	if _, err := p.bob.ExplainHTLC(ctx, lnactor.ChannelID{1}, 0); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := p.bob.ExplainPayment(ctx, lnactor.Hash{1}); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}
}
