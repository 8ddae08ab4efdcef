package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/actors/funds"
)

type fake struct {
	channels    []lnactor.Channel
	silent      error
	quarantined []lnactor.ChannelID
	funds       lnactor.FundsStatus
	fees        lnactor.FeeHealth
	tip         lnactor.ChainTip
	chainErr    error
	position    uint64
	unhandled   int
	stats       lnactor.AppendStats
	free        uint64
	err         error
	asked       int
}

func (f *fake) Channels(context.Context) ([]lnactor.Channel, error) {
	f.asked++
	return f.channels, f.silent
}

func (f *fake) Quarantined(context.Context) ([]lnactor.ChannelID, error) {
	return f.quarantined, f.silent
}
func (f *fake) FundsStatus(context.Context) (lnactor.FundsStatus, error) { return f.funds, nil }
func (f *fake) FeeHealth() lnactor.FeeHealth                             { return f.fees }
func (f *fake) ChainTip(context.Context) (lnactor.ChainTip, error)       { return f.tip, f.chainErr }

func (f *fake) UnhandledEvents() (uint64, int)    { return f.position, f.unhandled }
func (f *fake) AppendStats() *lnactor.AppendStats { return &f.stats }
func (f *fake) DiskFree() (uint64, bool)          { return f.free, true }
func (f *fake) Err() error                        { return f.err }

// world is a healthy node and a registry with a clock.
type world struct {
	*fake
	*Registry
	clock time.Time
	log   bytes.Buffer
}

func newWorld() *world {
	w := &world{fake: &fake{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.tip = lnactor.ChainTip{Height: 100, Time: w.clock}
	w.funds = funds.Status{Height: 100, Synced: true, ReserveWantedSat: 10, ReserveHaveSat: 10}
	w.channels = []lnactor.Channel{{Channel: lnactor.ChannelID{1}, Height: 100, Phase: lnactor.PhaseOpen}}
	w.free = 1 << 40
	w.Registry = New(Config{
		Node: w.fake, Public: true, Now: func() time.Time { return w.clock },
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func (w *world) ids(t *testing.T) (ids []string) {
	t.Helper()
	for _, c := range w.Conditions(t.Context()) {
		ids = append(ids, c.ID)
	}
	return ids
}

// Each thing that can be wrong is a condition, after the time that it needs and not before.
func TestConditions(t *testing.T) {
	for _, test := range []struct {
		name  string
		wrong func(*world)
		after time.Duration
		want  string
	}{
		{"quarantine", func(w *world) { w.quarantined = []lnactor.ChannelID{{7}} }, 0, ChannelQuarantined},
		{"unburied", func(w *world) { w.channels[0].Phase = lnactor.PhaseUnburied }, 0, ChannelUnburied},
		{"behind", func(w *world) { w.channels[0].Phase = lnactor.PhaseBehind }, 0, ChannelBehind},
		{"behind after a restore", func(w *world) { w.channels[0].Phase, w.channels[0].Unverified = lnactor.PhaseBehind, true }, 0, ChannelBehind},
		{"unverified", func(w *world) { w.channels[0].Unverified = true }, 0, ChannelUnverified},
		{"starving", func(w *world) { w.funds.Starving = []funds.StarvingClaim{{Channel: lnactor.ChannelID{1}}} }, 0, ClaimStarving},
		{"invalid", func(w *world) { w.funds.Invalid = 1 }, 0, SweepInvalid},
		{"reserve", func(w *world) { w.funds.ReserveHaveSat = 9 }, 0, ReserveTooSmall},
		{"stale", func(w *world) { w.fees.State = fees.Stale }, 0, FeesStale},
		{"missing", func(w *world) { w.fees.State = fees.Missing; w.fees.Last = errors.New("x") }, 0, FeesMissing},
		{"chain lost", func(w *world) { w.chainErr = errors.New("refused") }, lostAfter, ChainLost},
		{"wallet behind", func(w *world) { w.tip.Height = 101 }, lostAfter, NotSynced},
		{"channel behind the chain", func(w *world) { w.channels[0].Height = 97 }, lagAfter, ChannelsLag},
		{"manager silent", func(w *world) { w.silent = context.DeadlineExceeded }, silentAfter, ManagerSilent},
		{"user events", func(w *world) { w.position, w.unhandled = 3, 2 }, userOld, UserEventsOld},
		{"monitor events", func(w *world) { w.channels[0].OldestEvent, w.channels[0].UnackedEvents = 5, 1 }, monitorOld, MonitorEventsOld},
		{"disk low", func(w *world) { w.free = diskLow - 1 }, 0, DiskLow},
		{"disk full", func(w *world) { w.free = diskFull - 1 }, 0, DiskFull},
		{"store slow", func(w *world) { w.stats.Batches.Add(3); w.stats.CommitTime.Add(int64(3 * slowCommit)) }, 0, StoreSlow},
		{"store failed", func(w *world) { w.err = lnactor.ErrStoreFailed }, 0, StoreFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			if ids := w.ids(t); ids != nil {
				t.Fatalf("a healthy node has %v", ids)
			}
			w.clock = w.clock.Add(MaxAge)
			test.wrong(w)
			began := w.clock
			if test.after > 0 {
				w.ids(t)
				w.clock, w.tip.Time = began.Add(test.after-time.Second), began.Add(test.after)
				if ids := w.ids(t); ids != nil {
					t.Fatalf("%v too early", ids)
				}
				w.clock = began.Add(test.after + MaxAge)
			}
			list := w.Conditions(t.Context())
			if len(list) != 1 || list[0].ID != test.want || list[0].Cause == "" || list[0].Remedy == "" {
				t.Fatalf("%+v, want %s", list, test.want)
			}
			kind, _ := KindOf(test.want)
			if Alive(list) == kind.Dead || Ready(list) == (kind.Unready || kind.Dead) {
				t.Errorf("alive %t, ready %t", Alive(list), Ready(list))
			}
			// It is logged once, and keeps its beginning.
			since := list[0].Since
			if test.want != StoreSlow {
				w.clock = w.clock.Add(time.Minute)
				w.tip.Time = w.clock
				if again := w.Conditions(t.Context()); len(again) != 1 || !again[0].Since.Equal(since) {
					t.Errorf("since %v: %+v", since, again)
				}
			}
			if n := strings.Count(w.log.String(), "condition begins"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, w.log.String())
			}
		})
	}
}

// A source whose newest block is old is stalled where blocks come by themselves.
func TestStalled(t *testing.T) {
	w := newWorld()
	w.ids(t)
	w.clock = w.clock.Add(stalledAfter + time.Second)
	if ids := w.ids(t); !slices.Equal(ids, []string{ChainStalled}) {
		t.Errorf("%v", ids)
	}
	w.public = false
	w.clock = w.clock.Add(MaxAge)
	if ids := w.ids(t); ids != nil {
		t.Errorf("%v on a private chain", ids)
	}
}

// An event is as old as it has been the oldest: a queue that moves is not old, however long it is.
func TestAgeOfWhatMoves(t *testing.T) {
	w := newWorld()
	for n := range uint64(50) {
		w.position, w.unhandled = n+1, 1000
		w.channels[0].OldestEvent = n + 1
		if ids := w.ids(t); ids != nil {
			t.Fatalf("%v", ids)
		}
		w.clock = w.clock.Add(userOld / 2)
		w.tip.Time = w.clock
	}
}

func TestRegistry(t *testing.T) {
	w := newWorld()
	var found []Found
	w.Add(func() []Found { return found })
	found = []Found{{ConsumerLagging, "b", "x", "mend it"}, {ActorWedged, "manager", "y", ""}, {ConsumerLagging, "a", "x", ""}, {"no_such_kind", "", "", ""}}
	list := w.Conditions(t.Context())
	var got []string
	for _, c := range list {
		got = append(got, c.ID+" "+c.Subject)
	}
	if !slices.Equal(got, []string{ActorWedged + " manager", ConsumerLagging + " a", ConsumerLagging + " b"}) {
		t.Errorf("%v", got)
	}
	if kind, _ := KindOf(ConsumerLagging); list[1].Remedy != kind.Remedy || list[2].Remedy != "mend it" {
		t.Errorf("%+v", list)
	}
	first := w.asked
	w.Conditions(t.Context())
	if w.asked != first {
		t.Error("asked the node again at once")
	}
	found = nil
	if list := w.Conditions(t.Context()); len(list) != 0 || strings.Count(w.log.String(), "condition is over") != 3 {
		t.Errorf("%v\n%s", list, w.log.String())
	}
	if !strings.Contains(w.log.String(), "no_such_kind") {
		t.Error("an unknown kind is not complained of")
	}
}

func TestHTTP(t *testing.T) {
	w := newWorld()
	get := func(verdict func([]Condition) bool, method string) (int, page) {
		t.Helper()
		rec := httptest.NewRecorder()
		w.Handler(verdict).ServeHTTP(rec, httptest.NewRequest(method, "/x", nil))
		var p page
		if rec.Code != http.StatusMethodNotAllowed {
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
		}
		return rec.Code, p
	}
	if code, p := get(Ready, "GET"); code != 200 || !p.OK || p.Conditions == nil {
		t.Errorf("%d %+v", code, p)
	}
	w.clock = w.clock.Add(MaxAge)
	w.funds.Synced = false
	w.ids(t)
	w.clock = w.clock.Add(lostAfter)
	if code, p := get(Ready, "GET"); code != 503 || p.OK || p.Conditions[0].ID != NotSynced || p.Conditions[0].Severity != "warning" {
		t.Errorf("%d %+v", code, p)
	}
	if code, p := get(Alive, "GET"); code != 200 || !p.OK || len(p.Conditions) != 1 {
		t.Errorf("%d %+v", code, p)
	}
	if code, _ := get(Alive, "POST"); code != 405 {
		t.Error(code)
	}
}

// Every kind says what to do, and ids are words of one form.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	last := Critical
	for _, k := range Kinds {
		if k.Title == "" || k.Remedy == "" || seen[k.ID] || strings.Trim(k.ID, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%+v", k)
		}
		if k.Severity > last {
			t.Errorf("%s is critical, and behind a warning", k.ID)
		}
		last, seen[k.ID] = k.Severity, true
	}
}

// A source that hangs keeps what it found, and hangs nobody.
func TestSourceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		hang, asked := make(chan struct{}), 0
		r.Add(func() []Found {
			if asked++; asked == 2 {
				<-hang
				return nil
			}
			return []Found{{ID: DeadLetters, Subject: "x"}}
		})
		r.Add(func() []Found { return []Found{{ID: ConsumerLagging}} })
		for i := range 4 {
			if list := r.Conditions(t.Context()); len(list) != 2 {
				t.Fatalf("asked for the %d. time: %v", i+1, list)
			}
		}
		close(hang)
		synctest.Wait()
		if list := r.Conditions(t.Context()); len(list) != 1 || asked != 2 {
			t.Errorf("asked %d times: %v", asked, list)
		}
	})
}
