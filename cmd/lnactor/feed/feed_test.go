package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

func ev(n int) lnactor.Event {
	return lnactor.Event{ID: fmt.Sprintf("id/%d", n), Kind: lnactor.PaymentSent{AmountMsat: uint64(n)}}
}

func evs(from, to int) (out []lnactor.Event) {
	for n := from; n < to; n++ {
		out = append(out, ev(n))
	}
	return out
}

func openFeed(t testing.TB, o Options) *Feed {
	t.Helper()
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func add(t testing.TB, f *Feed, from, to int) {
	t.Helper()
	if _, err := f.Append(evs(from, to)); err != nil {
		t.Fatal(err)
	}
}

// read takes so many events from a stream, which must be those from a number on.
func read(t testing.TB, r *Reader, from, to int) {
	t.Helper()
	for from < to {
		list, err := r.Next(t.Context(), to-from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.ID != ev(from).ID {
				t.Fatalf("got %s, want %s", e.ID, ev(from).ID)
			}
			from++
		}
	}
}

func stream(t testing.TB, f *Feed, name, start string) *Reader {
	t.Helper()
	r, err := f.Read(name, start)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quiet: nothing comes.
func quiet(t testing.TB, r *Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if list, err := r.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v %v", list, err)
	}
}

// TestStart: a new consumer begins where it says, an old one goes on where it was.
func TestStart(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	add(t, f, 0, 10)
	read(t, stream(t, f, "a", ""), 0, 10)
	read(t, stream(t, f, "b", Beginning), 0, 10)
	read(t, stream(t, f, "c", "id/4"), 4, 10)
	read(t, stream(t, f, "", "id/7"), 7, 10)
	end := stream(t, f, "d", End)
	quiet(t, end)
	add(t, f, 10, 12)
	read(t, end, 10, 12)
	read(t, stream(t, f, "c", Beginning), 4, 12) // it is there, so start counts for nothing
	for _, name := range []string{"e", ""} {
		if _, err := f.Read(name, "id/99"); !errors.Is(err, ErrNoEvent) {
			t.Error(err)
		}
	}
	for _, name := range []string{"A", "-a", "a/b", "..", strings.Repeat("a", 65)} {
		if _, err := f.Read(name, ""); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if len(f.Consumers()) != 4 {
		t.Errorf("%+v", f.Consumers())
	}
}

// TestAck: the cursor is where the last acknowledgement put it, after a restart, too; it never goes back by one.
func TestAck(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	add(t, f, 0, 10)
	read(t, stream(t, f, "a", ""), 0, 10)
	read(t, stream(t, f, "a", ""), 0, 10) // not acknowledged: all again
	must(t, f.Ack("a", "id/3"))
	must(t, f.Ack("a", "id/1"))
	must(t, f.Ack("", "id/4")) // the only one
	f.Close()
	f = openFeed(t, o)
	read(t, stream(t, f, "a", ""), 5, 10)
	if s := f.Consumers()[0]; s.Acked != 5 || s.AckedID != "id/4" || s.Lag != 5 || s.Oldest.IsZero() || s.State != Reading || s.Streams != 1 {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		name, id string
		want     error
	}{{"a", "id/10", ErrNoEvent}, {"b", "id/1", ErrNoConsumer}, {"b", "x", ErrNoConsumer}} {
		if err := f.Ack(c.name, c.id); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	must(t, f.Set("b", End))
	if err := f.Ack("", "id/4"); !errors.Is(err, ErrWhichConsumer) {
		t.Error(err)
	}
	must(t, f.Set("a", "id/2")) // back, by hand
	read(t, stream(t, f, "a", ""), 2, 10)
	must(t, f.Remove("a"))
	must(t, f.Remove("b"))
	if err := f.Remove("a"); !errors.Is(err, ErrNoConsumer) {
		t.Error(err)
	}
	if err := f.Ack("", "id/4"); !errors.Is(err, ErrWhichConsumer) {
		t.Error(err)
	}
}

// TestAckDurable: an acknowledgement that could not be written is an error, and after a crash the event comes again (rule 24).
func TestAckDurable(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	add(t, f, 0, 3)
	stream(t, f, "a", "")
	full := errors.New("no space left")
	hookWrite(t, func(string, []byte) error { return full })
	for range 2 { // also when nothing changed since
		if err := f.Ack("a", "id/1"); !errors.Is(err, lnactor.ErrStoreFailed) || !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "feed_failed" || !c[0].Critical {
		t.Errorf("%+v", c)
	}
	crashed := openFeed(t, o)
	read(t, stream2(t, crashed, "a"), 0, 3)
	writeFile = atomicfile.Write
	must(t, f.Ack("a", "id/1")) // there is room again
	if c := f.Conditions(); len(c) != 0 {
		t.Errorf("%+v", c)
	}
	crashed = openFeed(t, o)
	read(t, stream2(t, crashed, "a"), 2, 3)
}

// stream2 is stream for a consumer that is there.
func stream2(t testing.TB, f *Feed, name string) *Reader { return stream(t, f, name, "no such event") }

func hookWrite(t *testing.T, w func(string, []byte) error) {
	writeFile = w
	t.Cleanup(func() { writeFile = atomicfile.Write })
}

// TestGroupedAcks: acknowledgements that come while one is written are written together.
func TestGroupedAcks(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	const n = 64
	add(t, f, 0, n)
	for i := range n {
		must(t, f.ensure(fmt.Sprint("c", i), ""))
	}
	writes, entered, gate := atomic.Int32{}, make(chan struct{}), make(chan struct{})
	hookWrite(t, func(path string, text []byte) error {
		if writes.Add(1) == 1 {
			close(entered)
			<-gate
		}
		return atomicfile.Write(path, text)
	})
	var wg sync.WaitGroup
	ack := func(i int) {
		if err := f.Ack(fmt.Sprint("c", i), ev(i).ID); err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() { ack(0) })
	<-entered
	for i := 1; i < n; i++ {
		wg.Go(func() { ack(i) })
	}
	for waiting := 0; waiting < n-1; { // all others have moved their cursors in memory and wait
		waiting = 0
		for _, s := range f.Consumers() {
			if s.Name != "c0" && s.AckedID != "" {
				waiting++
			}
		}
	}
	close(gate)
	wg.Wait()
	if w := writes.Load(); w != 2 {
		t.Errorf("%d writes for %d acknowledgements, want 2", w, n)
	}
}

// TestTakeOver: a consumer has one stream, the newest; a look at what is next ends none.
func TestTakeOver(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	add(t, f, 0, 2)
	old := stream(t, f, "a", "")
	read(t, old, 0, 2)
	waits := make(chan error)
	go func() {
		_, err := old.Next(context.Background(), 1)
		waits <- err
	}()
	if list, err := f.Peek(t.Context(), "a", "", 1); err != nil || len(list) != 1 || list[0].ID != "id/0" {
		t.Fatal(list, err)
	}
	fresh := stream(t, f, "a", "")
	if err := <-waits; !errors.Is(err, ErrTakenOver) {
		t.Fatal(err)
	}
	old.Close()
	read(t, fresh, 0, 2)
	must(t, f.Set("a", "id/1"))
	if _, err := fresh.Next(t.Context(), 1); !errors.Is(err, ErrTakenOver) {
		t.Fatal(err)
	}
	fresh.Close()
	fresh = stream(t, f, "a", "")
	must(t, f.Remove("a"))
	if _, err := fresh.Next(t.Context(), 1); !errors.Is(err, ErrNoConsumer) {
		t.Fatal(err)
	}
}

// TestPeekWaits for an event, and for no longer than it may.
func TestPeekWaits(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Peek(ctx, "a", "", 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	got := make(chan []Entry)
	go func() {
		list, err := f.Peek(context.Background(), "a", "", 5)
		if err != nil {
			t.Error(err)
		}
		got <- list
	}()
	add(t, f, 0, 1)
	if list := <-got; len(list) != 1 {
		t.Fatal(list)
	}
	f.Close()
	if _, err := f.Peek(t.Context(), "b", End, 5); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// TestExpiredByCount: over the limit a consumer is expired, exactly then, with an alarm and a typed error; the others go on, and what is over the limit is
// removed.
func TestExpiredByCount(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir), MaxEvents: 200}
	f := openFeed(t, o)
	add(t, f, 0, 1)
	slow, fast := stream(t, f, "slow", ""), stream(t, f, "fast", "")
	for n := 1; n < 200; n++ {
		add(t, f, n, n+1)
	}
	read(t, slow, 0, 200)
	read(t, fast, 0, 200)
	must(t, f.Ack("fast", "id/199"))
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "consumer_lagging" || c[0].Consumer != "slow" || c[0].Critical {
		t.Fatalf("%+v", c)
	}
	add(t, f, 200, 201)
	var expired *ExpiredError
	if _, err := slow.Next(t.Context(), 1); !errors.As(err, &expired) || expired.Lag != 201 || expired.Removed != 0 || expired.Consumer != "slow" {
		t.Fatal(err)
	}
	read(t, fast, 200, 201)
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "consumer_expired" || c[0].Consumer != "slow" || !c[0].Critical || !strings.Contains(c[0].Remedy, "slow") {
		t.Fatalf("%+v", c)
	}
	for n := 201; n < 1000; n++ {
		add(t, f, n, n+1)
		must(t, f.Ack("fast", ev(n).ID))
	}
	f.Close()
	f = openFeed(t, o)
	if _, err := f.Read("slow", ""); !errors.As(err, &expired) || expired.Lag != 1000 || expired.Removed < 700 {
		t.Fatal(err)
	}
	if _, err := f.Peek(t.Context(), "slow", "", 1); !errors.As(err, &expired) {
		t.Fatal(err)
	}
	if err := f.Ack("slow", "id/999"); !errors.As(err, &expired) {
		t.Fatal("an acknowledgement skipped what was not read:", err)
	}
	must(t, f.Set("slow", Beginning))
	read(t, stream(t, f, "slow", ""), 800, 1000)
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "consumer_lagging" {
		t.Fatalf("%+v", c)
	}
	files, bytes := 0, int64(0)
	list, _ := os.ReadDir(o.Dir)
	for _, e := range list {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "0") {
			files, bytes = files+1, bytes+info.Size()
		}
	}
	if files > 2*5 || bytes > 300*400 {
		t.Errorf("%d files with %d bytes for a limit of 200 events", files, bytes)
	}
}

// TestExpiredByAge: the same by time, without any new event.
func TestExpiredByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir), MaxAge: time.Hour})
		defer f.Close()
		f.Start()
		add(t, f, 0, 3)
		a, b := stream(t, f, "a", ""), stream(t, f, "b", "")
		read(t, a, 0, 3)
		read(t, b, 0, 3)
		must(t, f.Ack("b", "id/2"))
		waits := make(chan error, 1)
		go func() {
			_, err := a.Next(t.Context(), 1)
			waits <- err
		}()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		select {
		case err := <-waits:
			t.Fatal(err)
		default:
		}
		if c := f.Conditions(); len(c) != 1 || c[0].Code != "consumer_lagging" {
			t.Fatalf("%+v", c)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		var expired *ExpiredError
		if err := <-waits; !errors.As(err, &expired) {
			t.Fatal(err)
		}
		add(t, f, 3, 4)
		read(t, b, 3, 4)
		read(t, stream(t, f, "c", Beginning), 3, 4) // the beginning is within the limit
		must(t, f.Set("a", Beginning))
		read(t, stream(t, f, "a", ""), 3, 4)
	})
}

// TestExpiryBeforeRemoval: as long as the mark of an expired consumer is not on disk, nothing that it has not read is removed.
func TestExpiryBeforeRemoval(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir), MaxEvents: 100}
	f := openFeed(t, o)
	stream(t, f, "slow", "")
	hookWrite(t, func(path string, text []byte) error {
		if strings.HasSuffix(path, ConsumersFile) {
			return errors.New("no space left")
		}
		return atomicfile.Write(path, text)
	})
	add(t, f, 0, 99)
	add(t, f, 99, 300)
	if first, next := f.log.Bounds(); first != 1 || next != 301 {
		t.Errorf("%d to %d", first, next)
	}
}

// TestDamage: a consumer that reaches damage is stopped there, with a condition, and goes on where it is told to; others are not concerned.
func TestDamage(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	for n := range 6 {
		add(t, f, n, n+1)
	}
	must(t, f.Set("a", Beginning))
	must(t, f.Set("b", "id/4"))
	f.Close()
	path := filepath.Join(o.Dir, "00000000000000000001.jsonl")
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(raw, []byte(`"amount_msat":2,`), []byte(`"amount_msat":9,`), 1), 0o600))
	f = openFeed(t, o)
	r := stream(t, f, "a", "")
	read(t, r, 0, 2)
	must(t, f.Ack("a", "id/1"))
	var missing *journal.MissingError
	if _, err := r.Next(t.Context(), 1); !errors.As(err, &missing) || missing.First != 3 || missing.Last != 3 || !errors.Is(err, lnactor.ErrCorrupt) {
		t.Fatal(err)
	}
	var codes []string
	for _, c := range f.Conditions() {
		codes = append(codes, c.Code+" "+c.Consumer)
	}
	if !slices.Equal(codes, []string{"events_damaged ", "consumer_stopped a"}) {
		t.Errorf("%v", codes)
	}
	read(t, stream(t, f, "b", ""), 4, 6)
	must(t, f.Set("a", "id/3"))
	read(t, stream(t, f, "a", ""), 3, 6)
}

// TestCorruptConsumers: cursors that can't be read are not guessed and not written over; events are kept, and read by who has no cursor.
func TestCorruptConsumers(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	add(t, f, 0, 9)
	must(t, f.Set("a", "id/5"))
	f.Close()
	path := filepath.Join(o.Dir, ConsumersFile)
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(raw, []byte(`"acked":5`), []byte(`"acked":6`), 1), 0o600))
	damaged, err := os.ReadFile(path)
	must(t, err)
	o.Webhooks = []Webhook{{Name: "hook", URL: "https://example.com"}}
	f = openFeed(t, o)
	add(t, f, 9, 12)
	read(t, stream(t, f, "", ""), 0, 12)
	_, reading := f.Read("a", "")
	_, peeking := f.Peek(t.Context(), "b", "", 1)
	_, letters := f.DeadLetters("hook")
	for i, err := range []error{
		reading, peeking, letters, f.Set("a", End), f.Ack("a", "id/7"), f.Ack("", "id/7"), f.Remove("a"), f.SetWebhook(Webhook{Name: "c", URL: "https://example.com"}),
	} {
		if !errors.Is(err, lnactor.ErrCorrupt) || !strings.Contains(err.Error(), ConsumersFile) {
			t.Errorf("%d: %v", i, err)
		}
	}
	must(t, f.maintain(true))
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "events_damaged" || !c[0].Critical || !strings.Contains(c[0].Text, ConsumersFile) {
		t.Errorf("%+v", c)
	}
	must(t, f.Close())
	if now, _ := os.ReadFile(path); !bytes.Equal(now, damaged) {
		t.Error("the file is written over")
	}
	must(t, os.WriteFile(path, raw, 0o600)) // from a copy
	f = openFeed(t, o)
	read(t, stream(t, f, "a", ""), 5, 12)
}

// TestRefusedWebhook: a name that is taken, which whoever may read events can bring about, leaves out a webhook of the configuration and nothing else.
func TestRefusedWebhook(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	must(t, f.Set("shop", End))
	for i := len(f.Consumers()); i < maxConsumers; i++ {
		must(t, f.Set(fmt.Sprint("c", i), End))
	}
	f.Close()
	o.Webhooks = []Webhook{{Name: "shop", URL: "https://example.com"}, {Name: "hook", URL: "https://example.com"}}
	f = openFeed(t, o)
	if c := f.Conditions(); len(c) != 1 || c[0].Code != "webhook_failing" || c[0].Consumer != "shop" || !strings.Contains(c[0].Text, ErrNotWebhook.Error()) {
		t.Errorf("%+v", c)
	}
	if _, err := f.DeadLetters("hook"); err != nil {
		t.Errorf("the other webhook: %v", err)
	}
	f.Close()
}

// TestLostJournal: events that a consumer has acknowledged were there; their positions are given to no other, and what others have not read is missing.
func TestLostJournal(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	add(t, f, 0, 9)
	must(t, f.Set("a", End))
	must(t, f.Set("b", "id/4"))
	f.Close()
	list, _ := filepath.Glob(filepath.Join(o.Dir, "0*"))
	for _, path := range list {
		os.Remove(path)
	}
	f = openFeed(t, o)
	add(t, f, 20, 22)
	read(t, stream(t, f, "a", ""), 20, 22)
	var expired *ExpiredError
	if _, err := f.Read("b", ""); !errors.As(err, &expired) {
		t.Error(err)
	}
}

// TestSlowAndDead: consumers that do not read, and one that reads now and then, delay neither the node's events nor each other.
func TestSlowAndDead(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	for i := range 20 {
		stream(t, f, fmt.Sprint("dead", i), "")
	}
	fast := stream(t, f, "fast", "")
	for n := range 50 {
		add(t, f, n*10, n*10+10)
		read(t, fast, n*10, n*10+10)
	}
	for _, s := range f.Consumers() {
		if s.Name != "fast" && (s.Lag != 500 || s.Oldest.IsZero()) {
			t.Errorf("%+v", s)
		}
	}
}

// TestCrashes: appends, readings and acknowledgements, and crashes in between that lose what was not synced. Each consumer sees every event, in order, and
// what comes again comes from right behind its last acknowledgement.
func TestCrashes(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 0))
		o := Options{Dir: filepath.Join(t.TempDir(), Dir), MaxEvents: 1 << 20}
		f := openFeed(t, o)
		told := 0 // events that the feed has taken
		acked, seen := map[string]int{}, map[string]int{}
		for range 30 {
			switch rng.IntN(4) {
			case 0, 1:
				n := 1 + rng.IntN(30)
				add(t, f, max(0, told-rng.IntN(10)), told+n) // some again, as after a crash
				told += n
			case 2:
				name := string(rune('a' + rng.IntN(3)))
				r := stream(t, f, name, "")
				read(t, r, acked[name], told)
				seen[name] = told
				if told > acked[name] && rng.IntN(2) == 0 {
					n := acked[name] + rng.IntN(told-acked[name])
					must(t, f.Ack(name, ev(n).ID))
					acked[name] = n + 1
				}
				r.Close()
			case 3: // the process is gone; of what was being appended some bytes are there
				if rng.IntN(2) == 0 {
					list, _ := filepath.Glob(filepath.Join(o.Dir, "0*.jsonl"))
					if len(list) > 0 {
						w, err := os.OpenFile(list[len(list)-1], os.O_WRONLY|os.O_APPEND, 0)
						must(t, err)
						line, err := journal.Seal(map[string]any{"seq": told + 1, "id": "x", "synced": told})
						must(t, err)
						_, err = w.Write(line[:rng.IntN(len(line)-1)])
						must(t, errors.Join(err, w.Close()))
					}
				}
				f = openFeed(t, o)
			}
		}
		for name := range seen {
			read(t, stream(t, f, name, ""), acked[name], told)
		}
	}
}

func TestTooMany(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	hookWrite(t, func(string, []byte) error { return nil })
	for i := range maxConsumers {
		must(t, f.Set(fmt.Sprint("c", i), End))
	}
	if _, err := f.Read("one-more", ""); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	if err := f.SetWebhook(Webhook{Name: "hook", URL: "https://example.com"}); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
}

// BenchmarkAck: acknowledgements by so many consumers at once, each durable before it returns.
func BenchmarkAck(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := openFeed(b, Options{Dir: filepath.Join(b.TempDir(), Dir)})
			add(b, f, 0, 10_000)
			for i := range n {
				must(b, f.ensure(fmt.Sprint("c", i), ""))
			}
			var wg sync.WaitGroup
			acks := 0
			for b.Loop() {
				at := acks / n % 10_000
				for i := range n {
					wg.Go(func() { must(b, f.Ack(fmt.Sprint("c", i), ev(at).ID)) })
				}
				wg.Wait()
				acks += n
			}
			b.ReportMetric(float64(acks)/b.Elapsed().Seconds(), "acks/s")
		})
	}
}
