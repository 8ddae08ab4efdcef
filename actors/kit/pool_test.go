package kit

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

func debugLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A hundred actors that block do not keep another from running, and the workers that this took go away again.
func TestPoolGrowsWhenBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(4)
		defer pool.Close()
		gate := make(chan struct{})
		for range 100 {
			pool.Schedule(func() { <-gate })
		}
		begin, ran := time.Now(), false
		pool.Schedule(func() { ran = true })
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if !ran {
			t.Fatal("starved after", time.Since(begin))
		}
		close(gate)
		time.Sleep(time.Second)
		synctest.Wait()
		if pool.workers != 4 || len(pool.free) != 4 || pool.watched {
			t.Fatal(pool.workers, len(pool.free), pool.watched)
		}
	})
}

func TestPoolSurvivesGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		n := 0
		for range 20 {
			pool.Schedule(func() { n++; runtime.Goexit() })
			synctest.Wait()
		}
		if n != 20 || pool.workers > 2 {
			t.Fatal(n, pool.workers)
		}
	})
}

func TestPoolRunsWhatIsScheduledAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(2)
		pool.Schedule(func() {})
		synctest.Wait()
		pool.Close()
		ran := false
		pool.Schedule(func() { ran = true })
		synctest.Wait()
		if !ran || pool.workers != 0 {
			t.Fatal(ran, pool.workers)
		}
	})
}

// BenchmarkRoundTrip compares a message and its answer between two actors, on kit and on protoactor's own mailbox and dispatcher, with
// handlers that need no stack to speak of, and 8 kB as ours do. "ratio" is how many times faster kit is, in alternating runs.
func BenchmarkRoundTrip(b *testing.B) {
	ours := newEnv(b, Options{})
	plain := newEnv(b, Options{Mailbox: actor.Unbounded(), Dispatcher: actor.NewDefaultDispatcher(300)})
	for _, shape := range []struct{ pairs, stack int }{{1, 0}, {1, 8}, {64, 0}, {64, 8}} {
		b.Run(fmt.Sprintf("pairs=%d/stack=%dk", shape.pairs, shape.stack), func(b *testing.B) {
			var kit, other time.Duration
			n := b.N/8 + 1
			b.ResetTimer()
			for range 4 {
				kit += pingPong(b, ours, shape.pairs, shape.stack, n)
				other += pingPong(b, plain, shape.pairs, shape.stack, n)
			}
			b.ReportMetric(float64(kit.Nanoseconds())/float64(4*n), "kit-ns/op")
			b.ReportMetric(float64(other.Nanoseconds())/float64(4*n), "protoactor-ns/op")
			b.ReportMetric(float64(other)/float64(kit), "ratio")
		})
	}
}

func pingPong(b *testing.B, e *Env, pairs, stack, n int) time.Duration {
	finished := make(chan struct{}, pairs)
	n = n/pairs + 1
	props := func(f func(actor.Context)) *actor.Props {
		return e.Props(func() actor.Actor {
			return actor.ReceiveFunc(user(func(ctx actor.Context) { deep(stack); f(ctx) }))
		})
	}
	var pids []*actor.PID
	for i := range pairs {
		at := messages.MonitorAddr([32]byte{byte(i)})
		pong, err := e.Spawn(nil, at, props(func(ctx actor.Context) { ctx.Respond(ctx.Message()) }))
		if err != nil {
			b.Fatal(err)
		}
		left := n
		ping, err := e.Spawn(nil, "ping-"+at, props(func(ctx actor.Context) {
			if left--; left < 0 {
				finished <- struct{}{}
				return
			}
			ctx.Request(pong, ctx.Message())
		}))
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, ping, pong)
	}
	begin := time.Now()
	for i := 0; i < len(pids); i += 2 {
		e.System.Root.Send(pids[i], "go")
	}
	for range pairs {
		<-finished
	}
	took := time.Since(begin)
	for _, pid := range pids {
		if err := e.System.Root.StopFuture(pid).Wait(); err != nil {
			b.Fatal(err)
		}
	}
	return took
}

// deep uses that many kB of stack, as signing and decoding do.
//
//go:noinline
func deep(n int) byte {
	if n == 0 {
		return 0
	}
	var page [1024]byte
	page[n] = byte(n)
	return deep(n-1) + page[n/2]
}

// BenchmarkIdleActor reports what an actor costs that has handled a message and waits for the next.
func BenchmarkIdleActor(b *testing.B) {
	e := newEnv(b, Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range b.N {
		at := messages.MonitorAddr([32]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		spawn(b, e, at, user(func(ctx actor.Context) { ctx.Respond("done") }))
		if _, err := Ask(b.Context(), e, at, "x"); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/actor")
}
