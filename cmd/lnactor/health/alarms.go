package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

// AlarmsFile is where the book is, in the data directory.
const AlarmsFile = "alarms.json"

// maxKept bounds the book. What was acknowledged makes room first, then the oldest.
const maxKept = 1000

// Book keeps the alarms of a node until a person acknowledges them, over restarts. A node that starts raises some again: what was acknowledged stays so.
// It is not authoritative: no payment rests on it, and the log has what it has. It is safe for concurrent use.
type Book struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	kept    []*kept // the oldest first
	told    map[alarmKey]time.Time
	dirty   bool
	failing bool // to write
}

type alarmKey struct {
	channel     lnactor.ChannelID
	what, about string
}

// kept is an entry of the file.
type kept struct {
	Channel lnactor.ChannelID `json:"-"`
	ID      string            `json:"channel_id"`
	What    string            `json:"what"`
	About   string            `json:"about,omitempty"`
	At      time.Time         `json:"at"` // the first time
	Acked   time.Time         `json:"acknowledged,omitzero"`
}

func (k *kept) key() alarmKey { return alarmKey{k.Channel, k.What, k.About} }

// OpenBook reads the book of a data directory. One that can't be read is put aside, and a new one begins.
func OpenBook(dir string, log *slog.Logger) *Book {
	b := &Book{path: filepath.Join(dir, AlarmsFile), log: log, told: map[alarmKey]time.Time{}}
	if err := b.read(); err != nil {
		aside := b.path + ".unreadable"
		log.Error("the alarms of this node can't be read; a new file begins, and what they told is in the log only",
			"path", b.path, "kept_as", aside, "error", errors.Join(err, os.Rename(b.path, aside)))
		b.kept = nil
	}
	return b
}

func (b *Book) read() error {
	raw, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &b.kept)
	}
	for _, k := range b.kept {
		switch {
		case err != nil:
		case k == nil:
			err = errors.New("an empty entry")
		default:
			k.Channel, err = lnactor.ParseChannelID(k.ID)
		}
	}
	return err
}

// Note takes up what a node raised.
func (b *Book) Note(raised []lnactor.Alarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range raised {
		key := alarmKey{a.Channel, a.What, a.About}
		before, known := b.told[key]
		if known && !a.At.After(before) {
			continue
		}
		if len(b.told) >= 4*maxKept {
			clear(b.told) // the worst of it: something is told once more
		}
		b.told[key] = a.At
		i := slices.IndexFunc(b.kept, func(k *kept) bool { return k.key() == key })
		switch {
		case i < 0:
			b.kept = append(b.kept, &kept{Channel: a.Channel, ID: a.Channel.String(), What: a.What, About: a.About, At: a.At})
			b.dirty = true
		case known && !b.kept[i].Acked.IsZero() && a.At.After(b.kept[i].Acked):
			// It happened once more. The first time in a process may only be what a start tells again.
			again := b.kept[i]
			again.At, again.Acked, b.dirty = a.At, time.Time{}, true
			b.kept = append(slices.Delete(b.kept, i, i+1), again)
		}
	}
	for len(b.kept) > maxKept {
		i := max(slices.IndexFunc(b.kept, func(k *kept) bool { return !k.Acked.IsZero() }), 0)
		b.kept = slices.Delete(b.kept, i, i+1)
	}
	if b.dirty {
		err := b.write()
		if err != nil && !b.failing {
			b.log.Error("alarms can't be written, so the next process will not tell them; it is tried again", "path", b.path, "error", err)
		}
		b.failing = err != nil
	}
}

func (b *Book) write() error {
	raw, err := json.MarshalIndent(b.kept, "", "  ")
	if err == nil {
		err = atomicfile.Write(b.path, append(raw, '\n'))
	}
	b.dirty = err != nil
	return err
}

// Ack takes note that a person knows of a channel's alarms, and tells how many there were. It is durable when it returns without an error.
func (b *Book) Ack(id lnactor.ChannelID, now time.Time) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var acked []*kept
	for _, k := range b.kept {
		if k.Channel == id && k.Acked.IsZero() {
			k.Acked = now
			acked = append(acked, k)
		}
	}
	if len(acked) == 0 {
		return 0, nil
	}
	if err := b.write(); err != nil {
		for _, k := range acked {
			k.Acked = time.Time{}
		}
		return 0, fmt.Errorf("not acknowledged: %w", err)
	}
	return len(acked), nil
}

// Conditions are what nobody has acknowledged: one for each channel, with its newest alarm.
func (b *Book) Conditions() (out []Found) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[lnactor.ChannelID]bool{}
	for i, k := range slices.Backward(b.kept) {
		if !k.Acked.IsZero() || seen[k.Channel] {
			continue
		}
		seen[k.Channel] = true
		more := 0
		for _, older := range b.kept[:i] {
			if older.Channel == k.Channel && older.Acked.IsZero() {
				more++
			}
		}
		cause := k.What + " (" + k.At.UTC().Format(time.RFC3339) + ")"
		if more > 0 {
			cause += fmt.Sprintf("; and %d earlier, see %s", more, AlarmsFile)
		}
		out = append(out, Found{ID: MoneyAtRisk, Subject: k.ID, Cause: cause})
	}
	return out
}
