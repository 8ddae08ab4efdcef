package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// maxDead bounds a list of dead letters. A webhook whose list is full waits: it neither forgets nor skips. Tests have a shorter one.
var maxDead = 1000

// DeadLetter is an event that a webhook's endpoint did not take. It is kept as a whole, for the journal forgets.
type DeadLetter struct {
	Entry    Entry     `json:"event"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error"`
	Time     time.Time `json:"time"` // of the last attempt
}

type deadFile struct {
	Version int          `json:"version"`
	Letters []DeadLetter `json:"letters"`
}

func (f *Feed) deadPath(name string) string { return f.path("dead-" + name + ".json") }

func (f *Feed) loadDead(name string) ([]DeadLetter, error) {
	raw, err := os.ReadFile(f.deadPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeFailed(err)
	}
	var d deadFile
	if err := journal.Unseal(raw, &d); err != nil || d.Version != 1 {
		return nil, fmt.Errorf("%w: %s: %w; put a copy in its place, or move it away to go on without these dead letters; then start the node again", lnactor.ErrCorrupt, f.deadPath(name), err)
	}
	return d.Letters, nil
}

// setDead writes a list and only then has it in memory.
func (f *Feed) setDead(c *consumer, list []DeadLetter) error {
	text, err := journal.Seal(deadFile{Version: 1, Letters: list})
	if err != nil {
		return err
	}
	if err := writeFile(f.deadPath(c.Name), text); err != nil {
		return storeFailed(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.dead = list
	return nil
}

// bury puts an event on the list of dead letters, durably: only then does the cursor move past it (rule 24). It reports false if the list is full.
func (f *Feed) bury(c *consumer, d DeadLetter) (bool, error) {
	f.saving.Lock() // one writer of the list at a time
	defer f.saving.Unlock()
	f.mu.Lock()
	list := slices.Clone(c.dead)
	f.mu.Unlock()
	// After a crash between this and the cursor's write the event comes again.
	list = slices.DeleteFunc(list, func(old DeadLetter) bool { return old.Entry.ID == d.Entry.ID })
	if len(list) >= maxDead {
		return false, fmt.Errorf("the list of dead letters is full; the last attempt: %s", d.Error)
	}
	err := f.setDead(c, append(list, d))
	return err == nil, err
}

// hookOf is a webhook by name.
func (f *Feed) hookOf(name string) (*consumer, error) {
	if f.lost != nil {
		return nil, f.lost
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.consumers[name]
	switch {
	case c == nil:
		return nil, ErrNoConsumer
	case c.Webhook == nil:
		return nil, ErrNotWebhook
	}
	return c, nil
}

// DeadLetters are the events that a webhook's endpoint did not take, the oldest first.
func (f *Feed) DeadLetters(name string) ([]DeadLetter, error) {
	c, err := f.hookOf(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(c.dead), nil
}

// Retry sends dead letters once more, all of them if no ids are given, and takes those off the list that the endpoint took. It returns how many those were,
// and what the first that was not taken failed with.
func (f *Feed) Retry(ctx context.Context, name string, ids []string) (taken int, err error) {
	c, letters, err := f.choose(name, ids)
	if err != nil {
		return 0, err
	}
	for i := range letters {
		if _, err := f.post(ctx, c, &letters[i].Entry); err != nil {
			return taken, err
		}
		if err := f.forget(c, letters[i].Entry.ID); err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}

// Discard takes dead letters off the list.
func (f *Feed) Discard(name string, ids []string) (int, error) {
	c, letters, err := f.choose(name, ids)
	if err != nil {
		return 0, err
	}
	all := make([]string, len(letters))
	for i := range letters {
		all[i] = letters[i].Entry.ID
	}
	return len(all), f.forget(c, all...)
}

// choose are the letters with the ids, or all.
func (f *Feed) choose(name string, ids []string) (*consumer, []DeadLetter, error) {
	c, err := f.hookOf(name)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(ids) == 0 {
		return c, slices.Clone(c.dead), nil
	}
	var out []DeadLetter
	for _, id := range ids {
		i := slices.IndexFunc(c.dead, func(d DeadLetter) bool { return d.Entry.ID == id })
		if i < 0 {
			return nil, nil, fmt.Errorf("%w: %.100q is no dead letter", ErrNoEvent, id)
		}
		out = append(out, c.dead[i])
	}
	return c, out, nil
}

func (f *Feed) forget(c *consumer, ids ...string) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(c.dead), func(d DeadLetter) bool { return slices.Contains(ids, d.Entry.ID) })
	f.mu.Unlock()
	return f.setDead(c, list)
}

// removeFiles takes away what a removed webhook leaves.
func (f *Feed) removeFiles(name string) error {
	for _, path := range []string{f.deadPath(name), f.SecretFile(name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeFailed(err)
		}
	}
	return nil
}
