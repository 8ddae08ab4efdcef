package crash

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// lines remembers the last lines of the log.
type lines struct {
	mu   sync.Mutex
	last []string
}

// Write takes one line, as slog's handlers write.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, strings.TrimRight(string(p), "\n"))
	if len(l.last) > remembered {
		l.last = append(l.last[:0], l.last[len(l.last)-remembered:]...)
	}
	return len(p), nil
}

func (l *lines) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.last...)
}

// Log is a logger that the recorder remembers the last lines of, and that writes them where the given one does. Stacks are in reports already.
func (r *Recorder) Log(to *slog.Logger) *slog.Logger {
	text := slog.NewTextHandler(&r.lines, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "stack" {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(both{to.Handler(), text})
}

// both handles what the first one takes.
type both struct{ to, memory slog.Handler }

func (b both) Enabled(ctx context.Context, level slog.Level) bool { return b.to.Enabled(ctx, level) }

func (b both) Handle(ctx context.Context, rec slog.Record) error {
	_ = b.memory.Handle(ctx, rec.Clone()) // memory does not fail
	return b.to.Handle(ctx, rec)
}

func (b both) WithAttrs(as []slog.Attr) slog.Handler {
	return both{b.to.WithAttrs(as), b.memory.WithAttrs(as)}
}

func (b both) WithGroup(name string) slog.Handler {
	return both{b.to.WithGroup(name), b.memory.WithGroup(name)}
}
