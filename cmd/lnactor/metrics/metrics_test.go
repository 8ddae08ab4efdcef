package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/messages"
)

// scrape is the samples by name and labels.
func scrape(t *testing.T, c Config) map[string]float64 {
	t.Helper()
	return read(t, Handler(c))
}

// fixed is what is put of a snapshot.
type fixed struct{ s *health.Snapshot }

func (f fixed) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, out) }
func (f fixed) Collect(out chan<- prometheus.Metric) { snapshot(put{out}, f.s) }

func read(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	raw, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != 200 {
		t.Fatal(rec.Code, err, string(raw))
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatal(line, err)
		}
		out[line[:at]] = v
	}
	return out
}

func TestMetrics(t *testing.T) {
	n, err := lnactor.Open(t.Context(), lnactor.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	events := &Events{}
	for kind, times := range map[string]int{"PaymentSent": 3, "PaymentFailed": 1, "PaymentClaimed": 2, "PaymentForwarded": 4, "ChannelReady": 5} {
		for range times {
			events.Count(kind)
		}
	}
	cfg := Config{
		Node: n, Health: health.New(health.Config{Node: n}), Version: "v1", Network: "regtest", Chain: "embedded", Events: events,
		Crashes: func() (map[string]uint64, map[string]uint64) {
			return map[string]uint64{"manager": 2, "opening": 1}, map[string]uint64{"manager": 3}
		},
	}
	got := scrape(t, cfg)
	for name, want := range map[string]float64{
		`lnactor_info{chain="embedded",network="regtest",version="v1"}`: 1,
		`lnactor_actors{kind="manager"}`:                                1,
		`lnactor_actor_restarts_total{kind="manager"}`:                  2,
		`lnactor_actor_restarts_total{kind="opening"}`:                  1,
		`lnactor_actor_restarts_total{kind="persister"}`:                0,
		`lnactor_actor_crashes_total{kind="manager"}`:                   3,
		`lnactor_mailbox_depth{kind="persister"}`:                       0,
		`lnactor_channels_quarantined`:                                  0,
		`lnactor_monitor_events_unacked`:                                0,
		`lnactor_user_events_oldest_seconds`:                            0,
		`lnactor_htlcs{direction="inbound"}`:                            0,
		`lnactor_htlcs_due{within_blocks="18"}`:                         0,
		`lnactor_htlcs_due{within_blocks="+Inf"}`:                       0,
		`lnactor_alarms_total`:                                          0,
		`lnactor_chain_up`:                                              1,
		`lnactor_chain_lag_blocks{of="channels"}`:                       0,
		`lnactor_fees_ok`:                                               1,
		`lnactor_fee_reserve_wanted_sat`:                                0,
		`lnactor_payments_total{outcome="sent"}`:                        3,
		`lnactor_payments_total{outcome="failed"}`:                      1,
		`lnactor_payments_total{outcome="received"}`:                    2,
		`lnactor_payments_total{outcome="forwarded"}`:                   4,
		`lnactor_other_events_total`:                                    5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"lnactor_store_syncs_total", "lnactor_store_file_bytes", "lnactor_disk_free_bytes", "go_goroutines"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, seconds := range []float64{0.0001, 0.002, 0.0021, 100} {
		n.AppendStats().Latency.Observe(seconds, &persister.LatencyBounds)
	}
	got = scrape(t, cfg)
	for bucket, want := range map[string]float64{"0.0005": 1, "0.002": 2, "0.005": 3, "5": 3, "+Inf": 4} {
		if v := got[`lnactor_store_append_seconds_bucket{le="`+bucket+`"}`]; v != want {
			t.Errorf("%v appends took at most %s, want %v", v, bucket, want)
		}
	}
	if sum := got["lnactor_store_append_seconds_sum"]; sum < 100.0041 || sum > 100.0043 {
		t.Error(sum)
	}
	// Nothing names a channel, a peer or a payment.
	for name := range got {
		if regexp.MustCompile(`[0-9a-f]{16}`).MatchString(name) {
			t.Error(name)
		}
	}
}

type hung struct {
	release chan struct{}
	asked   int
}

func (h *hung) EachActor(func(lnactor.ActorVitals)) {}
func (h *hung) Alarms() ([]lnactor.Alarm, uint64)   { return nil, 0 }
func (h *hung) AppendStats() *lnactor.AppendStats   { return &lnactor.AppendStats{} }
func (h *hung) StoreStats() lnactor.StoreStats {
	h.asked++
	<-h.release
	return lnactor.StoreStats{Syncs: 7}
}

// A disk that hangs does not hang the scrape, nor do scrapes pile up before it.
func TestDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{release: make(chan struct{})}
		c := &collector{cfg: Config{Node: h, Health: health.New(health.Config{})}}
		for range 3 {
			if _, ok := c.disk(); ok {
				t.Fatal("an answer")
			}
		}
		if h.asked != 1 {
			t.Errorf("asked %d times", h.asked)
		}
		close(h.release)
		synctest.Wait()
		if s, ok := c.disk(); !ok || s.Syncs != 7 {
			t.Errorf("%v %v", s, ok)
		}
	})
}

// What there is of channels is added up, and HTLCs that are due soon are among those that are due later.
func TestSnapshot(t *testing.T) {
	s := &health.Snapshot{
		Channels: []lnactor.Channel{
			{Phase: lnactor.PhaseOpen, InboundHTLCs: 2, OutboundHTLCs: 3, Deadlines: messages.Deadlines{1, 0, 2}},
			{Phase: lnactor.PhaseOpen, InboundHTLCs: 1, Deadlines: messages.Deadlines{6: 4}},
			{Phase: lnactor.PhaseClosed},
		},
		Quarantined: []lnactor.ChannelID{{1}}, UnackedEvents: 9, OldestUnacked: 90 * time.Second, Lag: 5, Tip: lnactor.ChainTip{Height: 7},
	}
	s.Funds.Height, s.Funds.ReserveWantedSat, s.Funds.ReserveHaveSat = 4, 100, 5000
	r := prometheus.NewRegistry()
	r.MustRegister(fixed{s})
	got := read(t, promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	for name, want := range map[string]float64{
		`lnactor_channels{phase="open"}`: 2, `lnactor_channels{phase="closed"}`: 1, `lnactor_channels_quarantined`: 1, `lnactor_htlcs{direction="inbound"}`: 3, `lnactor_htlcs{direction="outbound"}`: 3,
		`lnactor_htlcs_due{within_blocks="6"}`: 1, `lnactor_htlcs_due{within_blocks="18"}`: 1, `lnactor_htlcs_due{within_blocks="36"}`: 3, `lnactor_htlcs_due{within_blocks="288"}`: 3, `lnactor_htlcs_due{within_blocks="+Inf"}`: 7,
		"lnactor_monitor_events_unacked": 9, "lnactor_monitor_events_oldest_seconds": 90, `lnactor_chain_lag_blocks{of="wallet"}`: 3, `lnactor_chain_lag_blocks{of="channels"}`: 5,
		"lnactor_fee_reserve_wanted_sat": 100, "lnactor_fee_reserve_have_sat": 100,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, want)
		}
	}
}

func TestConsumers(t *testing.T) {
	now := time.Unix(1000, 0)
	got := read(t, promhttp.HandlerFor(func() *prometheus.Registry {
		r := prometheus.NewRegistry()
		r.MustRegister(lag{now: now, list: []feed.Status{
			{Name: "shop", State: feed.Waiting, Lag: 7, Oldest: now.Add(-time.Minute)},
			{Name: "audit", State: feed.CaughtUp},
			{Name: "blind", State: feed.Damaged, Lag: 2},
		}})
		return r
	}(), promhttp.HandlerOpts{}))
	for name, want := range map[string]float64{
		`lnactor_events_consumers{state="waiting"}`: 1, `lnactor_events_consumers{state="caught_up"}`: 1, `lnactor_events_consumers{state="expired"}`: 0,
		`lnactor_events_consumer_lag{consumer="shop"}`: 7, `lnactor_events_consumer_lag{consumer="audit"}`: 0,
		`lnactor_events_consumer_oldest_seconds{consumer="shop"}`: 60, `lnactor_events_consumer_oldest_seconds{consumer="audit"}`: 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %v, %v; want %v", name, v, ok, want)
		}
	}
	if v, ok := got[`lnactor_events_consumer_oldest_seconds{consumer="blind"}`]; ok {
		t.Errorf("an age that nobody knows: %v", v)
	}
}

// lag is what is put of consumers.
type lag struct {
	list []feed.Status
	now  time.Time
}

func (l lag) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(l, out) }
func (l lag) Collect(out chan<- prometheus.Metric) { feedLag(put{out}, l.list, l.now) }
