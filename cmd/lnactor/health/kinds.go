package health

// Severity says how bad a condition is.
type Severity uint8

// Severities.
const (
	Warning  Severity = iota + 1 // look at it in daylight
	Critical                     // a person is needed now: money or the node is at stake
)

// String is "warning" or "critical".
func (s Severity) String() string {
	if s == Critical {
		return "critical"
	}
	return "warning"
}

// Kind is a condition that there can be.
type Kind struct {
	ID       string
	Severity Severity
	Title    string // what it means, for the documentation
	Remedy   string

	Dead    bool // a restart of the process helps: /healthz says so
	Unready bool // no work should be given to the node: /readyz says so
}

// IDs of conditions.
const (
	ChannelQuarantined = "channel_quarantined"
	MoneyAtRisk        = "money_at_risk"
	ChannelBehind      = "channel_behind"
	ChannelUnverified  = "channel_unverified"
	ChannelUnburied    = "channel_unburied"
	ClaimStarving      = "claim_starving"
	SweepInvalid       = "sweep_invalid"
	ReserveTooSmall    = "reserve_too_small"
	FeesStale          = "fees_stale"
	FeesMissing        = "fees_missing"
	ChainLost          = "chain_lost"
	ChainStalled       = "chain_stalled"
	NotSynced          = "not_synced"
	ChannelsLag        = "channels_lag"
	MonitorEventsOld   = "monitor_events_old"
	UserEventsOld      = "user_events_old"
	ActorCrashed       = "actor_crashed"
	ActorRestarts      = "actor_restarts"
	ActorWedged        = "actor_wedged"
	ManagerSilent      = "manager_silent"
	StoreFailed        = "store_failed"
	StoreSlow          = "store_slow"
	DiskLow            = "disk_low"
	DiskFull           = "disk_full"
	FeedFailed         = "feed_failed"
	EventsDamaged      = "events_damaged"
	ConsumerExpired    = "consumer_expired"
	ConsumerStopped    = "consumer_stopped"
	ConsumerLagging    = "consumer_lagging"
	WebhookBlocked     = "webhook_blocked"
	WebhookStopped     = "webhook_stopped"
	WebhookFailing     = "webhook_failing"
	DeadLetters        = "dead_letters"
	Stopping           = "stopping"
)

// Kinds is the table. The order is that of answers, within a severity.
var Kinds = []Kind{
	{ID: StoreFailed, Severity: Critical, Dead: true, Unready: true, Title: "The store could not write; the node stops.", Remedy: "make room on the disk or replace it, then start the node again: the disk decides what is durable"},
	{ID: ActorWedged, Severity: Critical, Dead: true, Unready: true, Title: "An actor does not get on: it hangs, or does not keep up. The crash report has the stacks.", Remedy: "restart the process, which loses nothing, and report the file in crashes/"},
	{ID: ManagerSilent, Severity: Critical, Unready: true, Title: "The manager does not say how the channels are; what is told of them is old.", Remedy: "look at 'lnactor actors'; if it lasts, restart the process"},
	{ID: ChannelQuarantined, Severity: Critical, Title: "A channel's part of the node failed again and again and stays down; payments that it may hold wait. It is watched on chain.", Remedy: "keep a copy of the data directory, read the log from the first failure on, and start the node again with a release that fixes it"},
	{ID: MoneyAtRisk, Severity: Critical, Title: "Something happened by which money of a channel is lost or may be: an HTLC that can't be claimed any more, or that an unverified channel does not claim, a payment of which this node will not find out whether it was made, or a transaction that left the chain although it was deep.", Remedy: "read the cause, and the channel's lines in the log from then on; see 'lnactor htlcs explain'. Keep a copy of the data directory if it can't be explained, and report it. When it is dealt with: lnactor status ack CHANNEL_ID"},
	{ID: ChannelBehind, Severity: Critical, Title: "The peer has proven that our state of a channel is old; nothing of it is broadcast.", Remedy: "ask the peer to close the channel; what is ours is swept then"},
	{ID: ChannelUnverified, Severity: Critical, Title: "A channel was restored from a copy, and its peer has not shown yet whether that is current: nothing of it is broadcast or signed, not even at a deadline of an HTLC.", Remedy: "connect to the peer; it shows at once how the channel stands"},
	{ID: ChannelUnburied, Severity: Critical, Title: "A reorganisation took the funding transaction of a channel in use out of the chain; the channel takes no new HTLCs until it is as deep again.", Remedy: "wait for blocks, and look at the chain backend: if another transaction spends the same coins, the channel is worth nothing; what it holds for payments ends at their deadlines"},
	{ID: ClaimStarving, Severity: Critical, Title: "A claim on chain has no coins for its fee, and time is running.", Remedy: "pay coins to an address of the wallet (lnactor address)"},
	{ID: SweepInvalid, Severity: Critical, Title: "Outputs of closed channels can't be swept: a fault of this program.", Remedy: "keep the data directory and report it"},
	{ID: ChainLost, Severity: Critical, Unready: true, Title: "The chain source has not answered for half a minute. Deadlines of HTLCs pass unseen.", Remedy: "look at the chain backend; the node goes on by itself when it answers"},
	{ID: DiskFull, Severity: Critical, Title: "Less than 128 MiB are left on the disk of the data directory.", Remedy: "make room now: acknowledging and closing need space too, and a full disk stops the node"},
	{ID: FeedFailed, Severity: Critical, Unready: true, Title: "The journal of events can't be written.", Remedy: "make room on the disk or replace it, then start the node again"},
	{ID: EventsDamaged, Severity: Critical, Title: "A part of the journal of events can't be read.", Remedy: "look at payments and channels themselves for what happened then"},
	{ID: ConsumerExpired, Severity: Critical, Title: "A consumer of events fell so far behind that its reads fail.", Remedy: "find out why nobody reads; then move it (lnactor events consumer set)"},
	{ID: ConsumerStopped, Severity: Critical, Title: "A consumer of events can't go on: its next event can't be read.", Remedy: "move it behind the damage (lnactor events consumer set)"},
	{ID: WebhookBlocked, Severity: Critical, Title: "A webhook's list of dead letters is full; it waits.", Remedy: "mend the endpoint, then: lnactor events retry"},

	{ID: NotSynced, Severity: Warning, Unready: true, Title: "The wallet has not followed the chain up to the source's tip.", Remedy: "wait; if the height stays the same, look at the chain backend and the log"},
	{ID: ChannelsLag, Severity: Warning, Title: "A channel's monitor is three blocks or more behind the source's tip, for a minute.", Remedy: "wait; if it lasts, look at 'lnactor actors' for the monitor, and restart the process"},
	{ID: ChainStalled, Severity: Warning, Title: "The source's newest block is over three hours old: the source may have lost its network.", Remedy: "compare its height with a block explorer, and look at its peers"},
	{ID: FeesStale, Severity: Warning, Title: "Fee estimates are old; no channels are opened.", Remedy: "look at the chain backend and at fee-url; fee-per-kw sets a rate for the time being"},
	{ID: FeesMissing, Severity: Warning, Title: "There are no fee estimates; no channels are opened, and claims use a guess.", Remedy: "set fee-url or fee-per-kw, or look at the chain backend"},
	{ID: ReserveTooSmall, Severity: Warning, Title: "The wallet has less than the channels may need for fees when they close.", Remedy: "pay coins to an address of the wallet (lnactor address)"},
	{ID: UserEventsOld, Severity: Warning, Title: "The oldest user event has not been handled for ten minutes.", Remedy: "look at the log for what holds up the journal of events"},
	{ID: MonitorEventsOld, Severity: Warning, Title: "A channel's event has not been acknowledged for a day: an HTLC or a payment does not end.", Remedy: "look at the channel's HTLCs and at payments that wait for a decision (lnactor claim, lnactor refuse)"},
	{ID: ActorRestarts, Severity: Warning, Title: "An actor was restarted three times or more within ten minutes.", Remedy: "look at its last fault (lnactor actors) and report it; payments go on, slower"},
	{ID: ActorCrashed, Severity: Warning, Title: "An actor crashed within a day; it was restarted and nothing is lost.", Remedy: "report the file in crashes/"},
	{ID: StoreSlow, Severity: Warning, Title: "Commits take a second or more on average.", Remedy: "look at the disk: every payment waits for several commits"},
	{ID: DiskLow, Severity: Warning, Title: "Less than 1 GiB is left on the disk of the data directory.", Remedy: "make room"},
	{ID: ConsumerLagging, Severity: Warning, Title: "A consumer of events is half of the way to its limit behind.", Remedy: "find out why it does not acknowledge; over the limit it is expired"},
	{ID: WebhookFailing, Severity: Warning, Title: "A webhook's endpoint did not take an event three times.", Remedy: "look at the endpoint; the attempts go on"},
	{ID: WebhookStopped, Severity: Warning, Title: "Events wait for a webhook that is no longer in the configuration.", Remedy: "take it into the configuration again, or: lnactor events consumer remove"},
	{ID: DeadLetters, Severity: Warning, Title: "A webhook has events that its endpoint refused.", Remedy: "lnactor events dead-letters, then events retry or events discard"},
	{ID: Stopping, Severity: Warning, Unready: true, Title: "The node is stopping.", Remedy: "wait"},
}

// rank is where a kind is in the table.
var rank = func() map[string]int {
	m := map[string]int{}
	for i, k := range Kinds {
		m[k.ID] = i
	}
	return m
}()

// KindOf finds a kind by its id.
func KindOf(id string) (Kind, bool) {
	i, ok := rank[id]
	if !ok {
		return Kind{}, false
	}
	return Kinds[i], true
}
