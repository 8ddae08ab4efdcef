package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

// Where a consumer begins, besides at the id of an event.
const (
	Beginning = "beginning" // the oldest event within the limit
	End       = "end"       // with the next event
)

// maxConsumers bounds what names are remembered: each costs a little with every acknowledgement.
const maxConsumers = 100

// ConsumersFile holds the consumers and their cursors.
const ConsumersFile = "consumers.json"

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// record is a consumer on disk. Authoritative: nothing else knows the cursor.
type record struct {
	Name    string     `json:"name"`
	Acked   uint64     `json:"acked"` // position up to which all is acknowledged
	AckedID string     `json:"acked_id,omitempty"`
	Created time.Time  `json:"created"`
	Expired *time.Time `json:"expired,omitempty"`
	Webhook *hook      `json:"webhook,omitempty"`
}

// consumer is a consumer in memory.
type consumer struct {
	record
	epoch   uint64 // streams and deliveries of another one are over
	streams int
	pump    *pump
	dead    []DeadLetter
	failing failing
}

// file is consumers.json, sealed.
type file struct {
	Version   int      `json:"version"`
	Consumers []record `json:"consumers"`
}

// load reads the consumers and their dead letters. It returns the last position that any has acknowledged.
func (f *Feed) load() (last uint64, err error) {
	raw, err := os.ReadFile(f.path(ConsumersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, storeFailed(err)
	}
	var all file
	if err = journal.Unseal(raw, &all); err == nil && all.Version != 1 {
		err = fmt.Errorf("version %d", all.Version)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w; put a copy in its place, or move it away: consumers are then made anew where they say they begin; then start the node again", lnactor.ErrCorrupt, f.path(ConsumersFile), err)
	}
	for _, r := range all.Consumers {
		c := &consumer{record: r}
		if r.Webhook != nil {
			if c.dead, err = f.loadDead(r.Name); err != nil {
				return 0, err
			}
		}
		f.consumers[r.Name] = c
		last = max(last, r.Acked)
	}
	return last, nil
}

func storeFailed(err error) error {
	return fmt.Errorf("%w: feed of events: %w", lnactor.ErrStoreFailed, err)
}

// persist returns when the consumers are on disk as of the version, or later. Whoever waits here while another writes finds that done for him, too: that is
// the group commit.
func (f *Feed) persist(version uint64) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	if f.saved >= version {
		f.mu.Unlock()
		return nil
	}
	version = f.version
	all := file{Version: 1, Consumers: []record{}}
	for _, name := range slices.Sorted(maps.Keys(f.consumers)) {
		all.Consumers = append(all.Consumers, f.consumers[name].record)
	}
	text, err := journal.Seal(all)
	f.mu.Unlock()
	if err == nil {
		// The file is replaced as a whole: after an error the old one or the new one is there, and the next write settles it.
		if err = writeFile(f.path(ConsumersFile), text); err != nil {
			err = storeFailed(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.saveErr = err; err == nil {
		f.saved = version
	}
	return err
}

// writeFile is how consumers and dead letters become durable. Tests have it fail.
var writeFile = atomicfile.Write

// change applies a change to a consumer and returns when it is on disk.
func (f *Feed) change(apply func() error) error {
	if f.lost != nil {
		return f.lost
	}
	f.mu.Lock()
	if err := apply(); err != nil {
		f.mu.Unlock()
		return err
	}
	f.version++
	f.rouseLocked()
	v := f.version
	f.mu.Unlock()
	return f.persist(v)
}

// position is the cursor of a consumer that begins there.
func (f *Feed) position(start string) (acked uint64, err error) {
	_, next := f.log.Bounds()
	f.mu.Lock()
	horizon := f.horizonLocked()
	f.mu.Unlock()
	switch start {
	case "", Beginning:
		return horizon - 1, nil
	case End:
		return next - 1, nil
	}
	seq, found, err := f.log.Find(start)
	if err == nil && (!found || seq < horizon) {
		err = fmt.Errorf("%w: %.100q", ErrNoEvent, start)
	}
	return seq - 1, err
}

// ensure makes a consumer that is not there. It is on disk before anything is delivered: otherwise a crash would let it begin at another end.
func (f *Feed) ensure(name, start string) error {
	if !names.MatchString(name) {
		return ErrName
	}
	f.mu.Lock()
	_, there := f.consumers[name]
	f.mu.Unlock()
	if there {
		return nil
	}
	acked, err := f.position(start)
	if err != nil {
		return err
	}
	return f.change(func() error { return f.addLocked(record{Name: name, Acked: acked, Created: f.o.Now().UTC()}) })
}

// addLocked makes a consumer. Those of the configuration are not bounded: a client that uses up all names must not keep them out.
func (f *Feed) addLocked(r record) error {
	switch {
	case f.consumers[r.Name] != nil:
		return nil // somebody was faster
	case len(f.consumers) >= maxConsumers && (r.Webhook == nil || !r.Webhook.Configured):
		return fmt.Errorf("%w: %d are the most", ErrTooMany, maxConsumers)
	}
	f.consumers[r.Name] = &consumer{record: r}
	return nil
}

// Set makes a consumer, or moves one: it goes on at the start, and is no longer expired. Streams that read it end.
func (f *Feed) Set(name, start string) error {
	if !names.MatchString(name) {
		return ErrName
	}
	acked, err := f.position(start)
	if err != nil {
		return err
	}
	return f.change(func() error {
		if err := f.addLocked(record{Name: name, Acked: acked, Created: f.o.Now().UTC()}); err != nil {
			return err
		}
		c := f.consumers[name]
		c.Acked, c.AckedID, c.Expired = acked, "", nil
		c.epoch++
		f.restartPump(c)
		return nil
	})
}

// Remove forgets a consumer, with the dead letters and the secret of a webhook.
func (f *Feed) Remove(name string) error {
	var running *pump
	err := f.change(func() error {
		c := f.consumers[name]
		switch {
		case c == nil:
			return ErrNoConsumer
		case c.Webhook != nil && c.Webhook.Configured && !c.Webhook.Stopped:
			return ErrConfigured
		}
		c.epoch++
		running = c.pump
		f.stopPump(c)
		delete(f.consumers, name)
		return nil
	})
	if err != nil {
		return err
	}
	if running != nil {
		<-running.done // it could still bury an event
	}
	return f.removeFiles(name)
}

// Ack says that a consumer has handled an event and all before it, durably. No name means the one consumer that is no webhook. An event that was
// acknowledged before is fine.
func (f *Feed) Ack(name, id string) error {
	if f.lost != nil {
		return f.lost
	}
	if name == "" {
		var err error
		if name, err = f.only(); err != nil {
			return err
		}
	}
	seq, found, err := f.log.Find(id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	c, epoch := f.consumers[name], uint64(0)
	switch {
	case c == nil:
		err = ErrNoConsumer
	case c.Webhook != nil:
		err = ErrIsWebhook
	case !found:
		err = fmt.Errorf("%w: %.100q", ErrNoEvent, id)
	default:
		epoch = c.epoch
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err = f.advance(c, epoch, seq, id); errors.Is(err, ErrTakenOver) {
		return f.Ack(name, id) // it was moved, or a stream began: an acknowledgement counts all the same
	}
	return err
}

// only is the name of the one consumer that acknowledges by calls.
func (f *Feed) only() (name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, c := range f.consumers {
		if c.Webhook != nil {
			continue
		}
		if name != "" {
			return "", ErrWhichConsumer
		}
		name = n
	}
	if name == "" {
		return "", ErrWhichConsumer
	}
	return name, nil
}

// advance moves a cursor and returns when that is on disk. It never moves back.
func (f *Feed) advance(c *consumer, epoch, seq uint64, id string) error {
	f.mu.Lock()
	switch {
	case f.consumers[c.Name] != c:
		f.mu.Unlock()
		return ErrNoConsumer
	case c.epoch != epoch:
		f.mu.Unlock()
		return ErrTakenOver
	case c.Expired != nil:
		defer f.mu.Unlock()
		return f.expiredLocked(c)
	}
	if seq > c.Acked {
		c.Acked, c.AckedID = seq, id
		f.version++
	}
	v := f.version
	f.mu.Unlock()
	return f.persist(v)
}

func (f *Feed) expiredLocked(c *consumer) *ExpiredError {
	first, next := f.log.Bounds()
	e := &ExpiredError{Consumer: c.Name, Lag: next - 1 - c.Acked}
	if c.Expired != nil {
		e.Since = *c.Expired
	}
	if first > c.Acked+1 {
		e.Removed = first - 1 - c.Acked
	}
	return e
}
