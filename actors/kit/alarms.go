package kit

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// Alarm is something that must not happen and did, or by which money of a channel may be lost. Nothing in the node acts on it: a person has to.
type Alarm struct {
	Channel ln.ChannelID
	What    string // without secrets
	At      time.Time
}

// maxAlarms bounds the channels that are remembered; the oldest alarm makes room.
const maxAlarms = 1024

// alarms outlive the actors that raise them, not the process. The same one may be raised again after a restart.
type alarms struct {
	mu     sync.Mutex
	newest map[ln.ChannelID]Alarm
	raised uint64
}

// Alarm remembers what a person should look at. It may be called on any goroutine, and logs nothing.
func (e *Env) Alarm(channel ln.ChannelID, what string) {
	at := e.Clock.Now()
	a := &e.alarms
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.newest[channel]; !known && len(a.newest) >= maxAlarms {
		oldest := channel
		for id, other := range a.newest {
			if before := a.newest[oldest]; oldest == channel || other.At.Before(before.At) {
				oldest = id
			}
		}
		delete(a.newest, oldest)
	}
	if a.newest == nil {
		a.newest = map[ln.ChannelID]Alarm{}
	}
	a.newest[channel] = Alarm{channel, what, at}
	a.raised++
}

// Alarms are the newest of each channel, by channel, and how many were raised in all.
func (e *Env) Alarms() (newest []Alarm, raised uint64) {
	a := &e.alarms
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.newest {
		newest = append(newest, one)
	}
	slices.SortFunc(newest, func(a, b Alarm) int { return bytes.Compare(a.Channel[:], b.Channel[:]) })
	return newest, a.raised
}
