package metrics

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/messages"
)

// Node is what is measured, beside what package health knows of it.
type Node interface {
	EachActor(f func(lnactor.ActorVitals))
	AppendStats() *lnactor.AppendStats
	StoreStats() lnactor.StoreStats
	Alarms() (newest []lnactor.Alarm, raised uint64)
}

// Config says what is measured.
type Config struct {
	Node    Node
	Health  *health.Registry
	Crashes func() (restarts, crashes map[string]uint64) // by kind of actor
	Events  *Events
	// Consumers are those of the feed of events, of which there are 100 at most; nil: the feed is not open yet.
	Consumers func() []feed.Status

	Version, Network, Chain string
}

// Events counts what was told to users. Its methods are safe for concurrent use; nil counts nothing.
type Events struct{ sent, failed, received, forwarded, other atomic.Uint64 }

// Count takes in an event by the name of its kind.
func (e *Events) Count(kind string) {
	if e == nil {
		return
	}
	switch kind {
	case "PaymentSent":
		e.sent.Add(1)
	case "PaymentFailed":
		e.failed.Add(1)
	case "PaymentClaimed":
		e.received.Add(1)
	case "PaymentForwarded":
		e.forwarded.Add(1)
	default:
		e.other.Add(1)
	}
}

// Handler answers scrapes.
func Handler(c Config) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{cfg: c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lnactor_"+name, help, labels, nil)
}

var (
	info            = desc("info", "Always 1; the labels say what runs.", "version", "network", "chain")
	actorCount      = desc("actors", "Actors by kind.", "kind")
	actorRestarts   = desc("actor_restarts_total", "Restarts of actors, those that were restarted with another included.", "kind")
	actorCrashes    = desc("actor_crashes_total", "Crashes of actors.", "kind")
	mailboxDepth    = desc("mailbox_depth", "Messages that wait, in all mailboxes of a kind.", "kind")
	mailboxDeepest  = desc("mailbox_depth_max", "Messages that wait in the fullest mailbox of a kind.", "kind")
	channelCount    = desc("channels", "Channels by phase.", "phase")
	quarantined     = desc("channels_quarantined", "Channels that stay down until somebody looks.")
	unacked         = desc("monitor_events_unacked", "Events of channels that are not acknowledged: HTLCs and payments under way.")
	unackedAge      = desc("monitor_events_oldest_seconds", "For how long this process has seen the oldest of them.")
	unhandled       = desc("user_events_unhandled", "User events that no consumer has taken.")
	unhandledAge    = desc("user_events_oldest_seconds", "For how long this process has seen the oldest of them.")
	consumers       = desc("events_consumers", "Consumers of the feed of events by state; see 'lnactor events consumers'.", "state")
	consumerLag     = desc("events_consumer_lag", "Events that a consumer has not acknowledged.", "consumer")
	consumerAge     = desc("events_consumer_oldest_seconds", "Age of the oldest of them; not there if that is not known.", "consumer")
	appendSeconds   = desc("store_append_seconds", "From the first append of a batch until the batch is durable.")
	batchAppends    = desc("store_batch_appends", "Appends in a batch.")
	appendsTotal    = desc("store_appends_total", "Appends that were taken.")
	appendsRefused  = desc("store_appends_refused_total", "Appends that were refused.")
	appendsQueued   = desc("store_appends_queued", "Appends that are not durable yet.")
	syncsTotal      = desc("store_syncs_total", "Syncs of the disk.")
	writtenTotal    = desc("store_written_bytes_total", "Bytes written to the store.")
	fileBytes       = desc("store_file_bytes", "Size of the store's file.")
	logBytes        = desc("store_log_bytes", "Bytes of records in the log: live ones are read at a restart, dead ones wait to be removed.", "state")
	htlcCount       = desc("htlcs", "HTLCs in channels.", "direction")
	htlcsDue        = desc("htlcs_due", "HTLCs that make the node close their channel within so many blocks unless they end.", "within_blocks")
	chainUp         = desc("chain_up", "1 if the chain source answered last time.")
	chainHeight     = desc("chain_height", "Height of the chain source's tip.")
	chainLag        = desc("chain_lag_blocks", "Blocks that the wallet, or the slowest channel, is behind the source's tip.", "of")
	feesOK          = desc("fees_ok", "1 if there are fresh fee estimates.")
	feePerKw        = desc("fee_per_kw", "Fee rate for sweeps, in satoshis per 1000 weight units.")
	reserveWanted   = desc("fee_reserve_wanted_sat", "What the channels may need for fees when they close.")
	reserveHave     = desc("fee_reserve_have_sat", "What the wallet can spend now, counted up to what is wanted.")
	paymentsTotal   = desc("payments_total", "Payments by outcome, since the process started: sent, failed, received, forwarded.", "outcome")
	otherTotal      = desc("other_events_total", "User events that are no payment's outcome, since the process started.")
	alarmsTotal     = desc("alarms_total", "Times since the process started at which money of a channel was lost or at risk; see the condition money_at_risk.")
	conditionsCount = desc("condition", "Conditions there are now, by id; see 'lnactor status'.", "id", "severity")
	ready           = desc("ready", "1 if the node can be given work, as /readyz says.")
	diskFree        = desc("disk_free_bytes", "Room on the disk of the data directory.")
)

// all is every metric, for Describe and for the documentation.
var all = []*prometheus.Desc{
	info, actorCount, actorRestarts, actorCrashes, mailboxDepth, mailboxDeepest, channelCount, quarantined, unacked, unackedAge, unhandled, unhandledAge, consumers, consumerLag, consumerAge,
	appendSeconds, batchAppends, appendsTotal, appendsRefused, appendsQueued, syncsTotal, writtenTotal, fileBytes, logBytes, htlcCount, htlcsDue, chainUp, chainHeight,
	chainLag, feesOK, feePerKw, reserveWanted, reserveHave, paymentsTotal, otherTotal, alarmsTotal, conditionsCount, ready, diskFree,
}

type collector struct {
	cfg Config

	mu    sync.Mutex
	asked chan lnactor.StoreStats // a question that is not answered yet
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range all {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	p := put{out}
	p.gauge(info, 1, c.cfg.Version, c.cfg.Network, c.cfg.Chain)
	c.actors(p)
	c.store(p)
	if e := c.cfg.Events; e != nil {
		p.counter(paymentsTotal, e.sent.Load(), "sent")
		p.counter(paymentsTotal, e.failed.Load(), "failed")
		p.counter(paymentsTotal, e.received.Load(), "received")
		p.counter(paymentsTotal, e.forwarded.Load(), "forwarded")
		p.counter(otherTotal, e.other.Load())
	}
	if c.cfg.Consumers != nil {
		feedLag(p, c.cfg.Consumers(), time.Now())
	}
	_, raised := c.cfg.Node.Alarms()
	p.counter(alarmsTotal, raised)
	ctx := context.Background() // bounded by the snapshot itself
	conditions := c.cfg.Health.Conditions(ctx)
	type key struct{ id, severity string }
	counts := map[key]int{}
	for _, cond := range conditions {
		counts[key{cond.ID, cond.Severity.String()}]++
	}
	for k, n := range counts {
		p.gauge(conditionsCount, float64(n), k.id, k.severity)
	}
	p.gauge(ready, truth(health.Ready(conditions)))
	if s := c.cfg.Health.Snapshot(ctx); s != nil {
		snapshot(p, s)
	}
}

func (c *collector) actors(p put) {
	type sum struct{ actors, queued, deepest int }
	kinds := map[string]sum{}
	c.cfg.Node.EachActor(func(v lnactor.ActorVitals) {
		kind := lnactor.ActorKind(v.Name)
		s := kinds[kind]
		s.actors, s.queued, s.deepest = s.actors+1, s.queued+v.Queued, max(s.deepest, v.Queued)
		kinds[kind] = s
	})
	for kind, s := range kinds {
		p.gauge(actorCount, float64(s.actors), kind)
		p.gauge(mailboxDepth, float64(s.queued), kind)
		p.gauge(mailboxDeepest, float64(s.deepest), kind)
	}
	if c.cfg.Crashes == nil {
		return
	}
	restarts, crashes := c.cfg.Crashes()
	for kind := range kinds { // a series is there before its first restart
		p.counter(actorRestarts, restarts[kind], kind)
		p.counter(actorCrashes, crashes[kind], kind)
		delete(restarts, kind)
		delete(crashes, kind)
	}
	for kind, n := range restarts {
		p.counter(actorRestarts, n, kind)
	}
	for kind, n := range crashes {
		p.counter(actorCrashes, n, kind)
	}
}

// feedLag shows how far behind the consumers of events are. A consumer is a name that the operator gave; there are few.
func feedLag(p put, list []feed.Status, now time.Time) {
	states := map[feed.State]int{}
	for i := range list {
		s := &list[i]
		states[s.State]++
		p.gauge(consumerLag, float64(s.Lag), s.Name)
		switch {
		case s.Lag == 0:
			p.gauge(consumerAge, 0, s.Name)
		case !s.Oldest.IsZero():
			p.gauge(consumerAge, max(0, now.Sub(s.Oldest).Seconds()), s.Name)
		}
	}
	for _, state := range feed.States {
		p.gauge(consumers, float64(states[state]), strings.ReplaceAll(string(state), " ", "_"))
	}
}

func (c *collector) store(p put) {
	s := c.cfg.Node.AppendStats()
	p.histogram(appendSeconds, &s.Latency, persister.LatencyBounds[:])
	p.histogram(batchAppends, &s.BatchSize, persister.BatchBounds[:])
	p.counter(appendsTotal, s.Appends.Load())
	p.counter(appendsRefused, s.Refused.Load())
	p.gauge(appendsQueued, float64(s.Queued.Load()))
	p.gauge(logBytes, float64(s.LiveBytes.Load()), "live")
	p.gauge(logBytes, float64(s.DeadBytes.Load()), "dead")
	if disk, ok := c.disk(); ok {
		p.counter(syncsTotal, disk.Syncs)
		p.counter(writtenTotal, disk.BytesWritten)
		p.gauge(fileBytes, float64(disk.FileBytes))
	}
}

// patience is how long a scrape waits for the store, which answers between two commits: one that hangs must not hang the scrape.
const patience = time.Second

func (c *collector) disk() (lnactor.StoreStats, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		asked := make(chan lnactor.StoreStats, 1)
		c.asked = asked
		go func() { asked <- c.cfg.Node.StoreStats() }()
	}
	select {
	case s := <-c.asked:
		c.asked = nil
		return s, true
	case <-time.After(patience):
		return lnactor.StoreStats{}, false
	}
}

func snapshot(p put, s *health.Snapshot) {
	phases := map[string]int{}
	var in, outgoing int
	var due messages.Deadlines
	for i := range s.Channels {
		ch := &s.Channels[i]
		phases[ch.Phase.String()]++
		in, outgoing = in+ch.InboundHTLCs, outgoing+ch.OutboundHTLCs
		for b, n := range ch.Deadlines {
			due[b] += n
		}
	}
	for phase, n := range phases {
		p.gauge(channelCount, float64(n), phase)
	}
	p.gauge(quarantined, float64(len(s.Quarantined)))
	p.gauge(htlcCount, float64(in), "inbound")
	p.gauge(htlcCount, float64(outgoing), "outbound")
	total := uint32(0)
	for b, n := range due {
		total += n
		within := "+Inf"
		if b < len(messages.DeadlineBounds) {
			within = strconv.FormatUint(uint64(messages.DeadlineBounds[b]), 10)
		}
		p.gauge(htlcsDue, float64(total), within)
	}
	p.gauge(unacked, float64(s.UnackedEvents))
	p.gauge(unackedAge, s.OldestUnacked.Seconds())
	p.gauge(unhandled, float64(s.UnhandledEvents))
	p.gauge(unhandledAge, s.OldestUnhandled.Seconds())
	p.gauge(chainUp, truth(s.ChainErr == nil))
	p.gauge(chainHeight, float64(s.Tip.Height))
	p.gauge(chainLag, float64(s.Tip.Height-min(s.Tip.Height, s.Funds.Height)), "wallet")
	p.gauge(chainLag, float64(s.Lag), "channels")
	p.gauge(feesOK, truth(s.Fees.State.String() == "ok"))
	p.gauge(feePerKw, float64(s.Funds.FeePerKw))
	p.gauge(reserveWanted, float64(s.Funds.ReserveWantedSat))
	p.gauge(reserveHave, float64(min(s.Funds.ReserveHaveSat, s.Funds.ReserveWantedSat)))
	if s.DiskKnown {
		p.gauge(diskFree, float64(s.DiskFree))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// put makes metrics.
type put struct{ out chan<- prometheus.Metric }

func (p put) gauge(d *prometheus.Desc, v float64, labels ...string) {
	p.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (p put) counter(d *prometheus.Desc, v uint64, labels ...string) {
	p.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (p put) histogram(d *prometheus.Desc, h *persister.Histogram, bounds []float64) {
	buckets, count := map[float64]uint64{}, uint64(0)
	for i := range h.Buckets {
		count += h.Buckets[i].Load()
		if i < len(bounds) {
			buckets[bounds[i]] = count
		}
	}
	p.out <- prometheus.MustNewConstHistogram(d, count, math.Float64frombits(h.Sum.Load()), buckets)
}
