package kit

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// Alarm is something that must not happen and did, or by which money of a channel may be lost. Nothing in the node acts on it: a person has to.
type Alarm struct {
	Channel ln.ChannelID
	What    string // without secrets, amounts and payments: it is shown to whoever may see the node's health
	About   string // what in the channel it is about, such as "htlc_id=3": two that differ in it are two alarms
	At      time.Time
}

// maxAlarms bounds what is remembered; the oldest alarm makes room.
const maxAlarms = 1024

type alarmKey struct {
	channel     ln.ChannelID
	what, about string
}

// alarms outlive the actors that raise them, not the process. The same one may be raised again after a restart.
type alarms struct {
	mu     sync.Mutex
	newest map[alarmKey]Alarm
	raised uint64
}

// Alarm remembers what a person should look at. It may be called on any goroutine, and logs nothing.
func (e *Env) Alarm(channel ln.ChannelID, what, about string) {
	at := e.Clock.Now()
	key := alarmKey{channel, what, about}
	a := &e.alarms
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.newest[key]; !known && len(a.newest) >= maxAlarms {
		oldest := key
		for k, other := range a.newest {
			if before := a.newest[oldest]; oldest == key || other.At.Before(before.At) {
				oldest = k
			}
		}
		delete(a.newest, oldest)
	}
	if a.newest == nil {
		a.newest = map[alarmKey]Alarm{}
	}
	a.newest[key] = Alarm{channel, what, about, at}
	a.raised++
}

// Alarms are those that were raised, each as it was the last time, by channel, and how many times any was raised.
func (e *Env) Alarms() (newest []Alarm, raised uint64) {
	a := &e.alarms
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.newest {
		newest = append(newest, one)
	}
	slices.SortFunc(newest, func(a, b Alarm) int {
		return cmp.Or(bytes.Compare(a.Channel[:], b.Channel[:]), a.At.Compare(b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.About, b.About))
	})
	return newest, a.raised
}
