package supervisor

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// benchChannels is how many channels there are: 1,000, or what LNACTOR_BENCH_CHANNELS says.
func benchChannels() int {
	if n, err := strconv.Atoi(os.Getenv("LNACTOR_BENCH_CHANNELS")); err == nil && n > 0 {
		return n
	}
	return 1000
}

const (
	unacked  = 100
	inLog    = 10 // of them, in records behind the snapshot
	capacity = 1_000_000
)

// BenchmarkRestart measures the start over a store of channels with 100 unacknowledged events each, from opening the store until the manager has
// every monitor's report, which holds the events. The baseline is to read the same file from front to back and decode every record on one
// goroutine, in the same run; x-of-read is the rate of the start by it.
func BenchmarkRestart(b *testing.B) {
	n := benchChannels()
	dir := storeOf(b, n, unacked)
	var read, start time.Duration
	for b.Loop() {
		began := time.Now()
		if got := readAll(b, dir); got != n*unacked {
			b.Fatalf("%d events in the file, want %d", got, n*unacked)
		}
		read += time.Since(began)
		runtime.GC()

		began = time.Now()
		node := startMonitors(b, dir, n)
		start += time.Since(began)
		if node.events != n*unacked {
			b.Fatalf("%d events emitted, want %d", node.events, n*unacked)
		}
		node.stop()
		runtime.GC()
	}
	b.ReportMetric(float64(n), "channels")
	b.ReportMetric(start.Seconds()/float64(b.N), "start-s")
	b.ReportMetric(read.Seconds()/float64(b.N), "read-s")
	b.ReportMetric(read.Seconds()/start.Seconds(), "x-of-read")
	b.ReportMetric(start.Seconds()/float64(b.N)*1e6/float64(n), "us/channel")
}

// BenchmarkIdleChannel reports what an idle channel keeps in memory: its monitor and its channel, loaded, reported and without a connection, and
// the persister's index of its records.
func BenchmarkIdleChannel(b *testing.B) {
	n := benchChannels()
	dir, none := storeOf(b, n, 0), storeOf(b, 0, 0)
	for b.Loop() {
		node := startMonitors(b, none, 0)
		before := heap()
		node.stop()
		node = startMonitors(b, dir, n)
		after := heap()
		b.ReportMetric((after-before)/float64(n), "B/channel")
		node.stop()
	}
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what was in sync.Pools
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// readAll is the baseline.
func readAll(b *testing.B, dir string) int {
	store, err := bboltstore.Open(dir, bboltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	v := &reader{b: b}
	if err := store.Scan(v); err != nil {
		b.Fatal(err)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	return v.events
}

type reader struct {
	b      *testing.B
	events int
}

func (r *reader) Snapshot(s persister.Snapshot) {
	snap, err := record.ReadSnapshot(s.Data)
	if err != nil {
		r.b.Fatal(err)
	}
	r.events += len(snap.Events)
}

func (r *reader) Record(rec persister.Record) {
	got, err := record.Read(rec.Data)
	if err != nil {
		r.b.Fatal(err)
	}
	r.events += len(got.Events)
}

// running is persister, monitors and channels, with a manager that only counts.
type running struct {
	system *actor.ActorSystem
	env    *kit.Env
	store  *bboltstore.Store
	events int
}

func (r *running) stop() {
	r.env.Kill()
	r.system.Shutdown()
	_ = r.store.Close()
}

// startMonitors returns when n channels have reported.
func startMonitors(b *testing.B, dir string, n int) *running {
	log := slog.New(slog.DiscardHandler)
	r := &running{system: kit.NewSystem(log)}
	var err error
	if r.store, err = bboltstore.Open(dir, bboltstore.Options{}); err != nil {
		b.Fatal(err)
	}
	if r.env, err = kit.NewEnv(r.system, "bench", kit.Options{Log: log, Stop: func(err error) { b.Error(err) }}); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	spawn := func(at messages.Addr, receive actor.ReceiveFunc) {
		if _, err := r.env.Spawn(nil, at, r.env.Props(func() actor.Actor { return receive })); err != nil {
			b.Fatal(err)
		}
	}
	spawn(messages.ChainWatchAddr, func(actor.Context) {})
	spawn(messages.PeerAddr(benchPeer), func(actor.Context) {})
	reports := 0
	spawn(messages.ManagerAddr, func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case messages.MonitorList:
			for i, id := range m.Channels {
				r.env.Tell(messages.MonitorAddr(id), messages.Fence{Channel: id, ManagerIncarnation: 1, Fence: uint64(i + 1)})
			}
			if n == 0 {
				close(done)
			}
		case messages.MonitorReport:
			r.events += len(m.Events)
			if reports++; reports == n {
				close(done)
			}
		}
	})
	parts := Parts{Signer: chankeys.NewLocal(benchKey)}
	if _, err := r.env.Spawn(nil, messages.PersisterAddr, r.env.Props(persister.Producer(r.env, r.store))); err != nil {
		b.Fatal(err)
	}
	if _, err := r.env.Spawn(nil, messages.MonitorsAddr, r.env.Props(newMonitors(r.env, parts))); err != nil {
		b.Fatal(err)
	}
	r.env.Tell(messages.MonitorsAddr, messages.ManagerHello{Incarnation: 1})
	<-done
	return r
}

var benchPeer = ln.NodeID{2, 7}

func benchKey(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte{byte(family)}, index))
	key, _ := btcec.PrivKeyFromBytes(sum[:])
	return key, nil
}

// storeOf writes a store as a node leaves it behind: a snapshot of each channel, and the newest events in records.
func storeOf(b *testing.B, channels, events int) string {
	dir := b.TempDir()
	store, err := bboltstore.Open(dir, bboltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ours, err := chankeys.NewLocal(benchKey).Basepoints(1)
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := chankeys.NewLocal(benchKey).Basepoints(2)
	if err != nil {
		b.Fatal(err)
	}
	batch := &persister.Batch{}
	key := uint64(0)
	commit := func() {
		if err := store.Commit(batch); err != nil {
			b.Fatal(err)
		}
		batch = &persister.Batch{}
	}
	for i := range channels {
		c := benchChannel(uint32(i+1), ours, theirs)
		owner := messages.Owner(c.ID[:])
		snap := record.Snapshot{Index: 500, UpdateID: 400, Channel: c, LastSeq: uint64(events)}
		tail := min(events, inLog)
		snap.LastSeq -= uint64(tail)
		for seq := range uint64(events - tail) {
			snap.Events = append(snap.Events, benchEvent(seq+1))
		}
		batch.Snapshots = append(batch.Snapshots, persister.Snapshot{Owner: owner, Through: 500, Data: snap.Write()})
		for k := range uint64(tail) {
			key++
			rec := record.Record{Index: 501 + k, Events: []facts.Event{benchEvent(snap.LastSeq + k + 1)}}
			batch.Append = append(batch.Append, persister.Record{Key: key, Owner: owner, Seq: 501 + k, Data: rec.Write()})
		}
		if len(batch.Snapshots) == 200 {
			commit()
		}
	}
	if len(batch.Snapshots) > 0 {
		commit()
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}

func benchChannel(index uint32, ours, theirs commitment.Basepoints) *facts.Channel {
	var hash [32]byte
	binary.BigEndian.PutUint32(hash[:], index)
	op := wire.OutPoint{Hash: sha256.Sum256(hash[:])}
	tx := commitment.Static{
		Funding: op, Capacity: capacity, HolderIsFunder: true, Holder: ours, Counterparty: theirs,
		HolderDustLimit: 354, CounterpartyDustLimit: 354, HolderToSelfDelay: 144, CounterpartyToSelfDelay: 144,
	}
	p := facts.Params{DustLimitSat: 354, MaxHTLCValueInFlightMsat: capacity * 1000, ReserveSat: 10_000, HTLCMinimumMsat: 1, ToSelfDelay: 144, MaxAcceptedHTLCs: 483}
	point := [33]byte(theirs.HTLC.SerializeCompressed())
	c := facts.New(facts.Opened{
		Static: &facts.Static{
			ID: ln.NewChannelID(op), Peer: benchPeer, KeyIndex: index, Tx: tx, Holder: p, Counterparty: p, MinDepth: 3, OpenedHeight: 100,
		},
		HolderMsat: capacity * 600, CounterpartyMsat: capacity * 400, FeePerKw: 253, CounterpartyPoint: point, ChainHeight: 100,
	})
	c.Funding = &facts.FundingConfirmed{Height: 101, TxIndex: 1}
	c.HolderReady, c.CounterpartyReady, c.CounterpartyNextPoint = true, true, point
	c.Height = 5000
	return c
}

// benchEvent is the outcome of a payment that the user has not handled.
func benchEvent(seq uint64) facts.Event {
	var preimage ln.Preimage
	binary.BigEndian.PutUint64(preimage[:], seq)
	k := facts.Claimed{HTLCID: seq, Hash: sha256.Sum256(preimage[:]), AmountMsat: 1_000_000, Preimage: preimage}
	k.Source.Payment = &ln.PaymentSource{
		PaymentID: ln.PaymentID(k.Hash), SessionKey: k.Hash, Path: []ln.NodeID{benchPeer}, TotalMsat: 1_000_000,
	}
	return facts.Event{Seq: seq, Kind: k}
}
