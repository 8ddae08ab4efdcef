package health

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

var alarmTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func alarmAt(channel byte, about string, after time.Duration) lnactor.Alarm {
	return lnactor.Alarm{Channel: lnactor.ChannelID{channel}, What: "its amount is lost", About: about, At: alarmTime.Add(after)}
}

func book(t *testing.T, dir string) *Book {
	t.Helper()
	return OpenBook(dir, slog.New(slog.DiscardHandler))
}

func ack(t *testing.T, b *Book, channel byte, after time.Duration, want int) {
	t.Helper()
	if n, err := b.Ack(lnactor.ChannelID{channel}, alarmTime.Add(after)); err != nil || n != want {
		t.Fatalf("acknowledged %d, %v; want %d", n, err, want)
	}
}

// told is what a registry with the book has.
func told(t *testing.T, b *Book) (subjects string) {
	t.Helper()
	r := New(Config{Now: func() time.Time { return alarmTime }})
	r.Add(b.Conditions)
	for _, c := range r.Conditions(t.Context()) {
		if c.ID != MoneyAtRisk || c.Severity != Critical || !strings.Contains(c.Cause, "its amount is lost") {
			t.Errorf("%+v", c)
		}
		subjects += c.Subject[:2] + " "
		if _, more, ok := strings.Cut(c.Cause, "; and "); ok {
			subjects += "(" + more[:1] + " more) "
		}
	}
	return strings.TrimSpace(subjects)
}

func expectTold(t *testing.T, b *Book, want string) {
	t.Helper()
	if got := told(t, b); got != want {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// TestAlarmsStay: an alarm is a condition of its channel until a person acknowledges it, over restarts, however long that takes.
func TestAlarmsStay(t *testing.T) {
	dir := t.TempDir()
	b := book(t, dir)
	expectTold(t, b, "")
	first := []lnactor.Alarm{alarmAt(1, "htlc_id=1", 0), alarmAt(1, "htlc_id=2", time.Second), alarmAt(2, "", 0)}
	b.Note(first)
	b.Note(first)
	expectTold(t, b, "01 (1 more) 02")
	b = book(t, dir)
	expectTold(t, b, "01 (1 more) 02")
	ack(t, b, 3, time.Hour, 0)
	ack(t, b, 1, time.Hour, 2)
	ack(t, b, 1, time.Hour, 0)
	expectTold(t, b, "02")
	b = book(t, dir)
	expectTold(t, b, "02")
}

// TestAlarmsAgain: what was acknowledged is not told again because a start raises it again, but because it happens again, and another one is.
func TestAlarmsAgain(t *testing.T) {
	dir := t.TempDir()
	b := book(t, dir)
	b.Note([]lnactor.Alarm{alarmAt(1, "payment_id=1", 0)})
	ack(t, b, 1, time.Minute, 1)
	b.Note([]lnactor.Alarm{alarmAt(1, "payment_id=1", 0)}) // told as before
	expectTold(t, b, "")

	b = book(t, dir)
	b.Note([]lnactor.Alarm{alarmAt(1, "payment_id=1", time.Hour)}) // the start
	expectTold(t, b, "")
	b.Note([]lnactor.Alarm{alarmAt(1, "payment_id=1", time.Hour), alarmAt(1, "payment_id=2", time.Hour)})
	expectTold(t, b, "01")
	ack(t, b, 1, 2*time.Hour, 1)
	b.Note([]lnactor.Alarm{alarmAt(1, "payment_id=1", 3*time.Hour), alarmAt(1, "payment_id=2", time.Hour)}) // it happened once more
	expectTold(t, b, "01")
	expectTold(t, book(t, dir), "01")
}

// TestAlarmsUnreadable: a damaged book keeps no node from starting, and is kept.
func TestAlarmsUnreadable(t *testing.T) {
	for _, bad := range []string{"{", "[null]", `[{"channel_id":"5"}]`} {
		dir := t.TempDir()
		path := filepath.Join(dir, AlarmsFile)
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		b := book(t, dir)
		expectTold(t, b, "")
		b.Note([]lnactor.Alarm{alarmAt(1, "", 0)})
		expectTold(t, book(t, dir), "01")
		if kept, err := os.ReadFile(path + ".unreadable"); err != nil || string(kept) != bad {
			t.Errorf("%q: %v", kept, err)
		}
	}
}

// TestAlarmsNotWritten: what can't be written is told all the same and written later; what can't be acknowledged for good is not acknowledged.
func TestAlarmsNotWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	b := book(t, dir)
	b.Note([]lnactor.Alarm{alarmAt(1, "", 0)})
	expectTold(t, b, "01")
	if n, err := b.Ack(lnactor.ChannelID{1}, alarmTime); err == nil || n != 0 {
		t.Errorf("acknowledged %d", n)
	}
	expectTold(t, b, "01")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.Note(nil)
	expectTold(t, book(t, dir), "01")
}

// TestAlarmsBound: what was acknowledged makes room, then the oldest.
func TestAlarmsBound(t *testing.T) {
	dir := t.TempDir()
	b := book(t, dir)
	var many []lnactor.Alarm
	for i := range maxKept - 1 {
		many = append(many, alarmAt(1, fmt.Sprint(i), time.Second))
	}
	b.Note(append([]lnactor.Alarm{alarmAt(2, "", 0)}, many...))
	ack(t, b, 1, time.Hour, maxKept-1)
	b.Note([]lnactor.Alarm{alarmAt(3, "", 2*time.Hour)})
	expectTold(t, b, "02 03")
	for i := range many {
		many[i].Channel, many[i].At = lnactor.ChannelID{4}, alarmTime.Add(3*time.Hour)
	}
	b.Note(many)
	if len(b.kept) != maxKept || b.kept[0].Channel != (lnactor.ChannelID{3}) {
		t.Errorf("%d entries, first %+v", len(b.kept), b.kept[0])
	}
}
