package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lnactor/lnactor/cmd/lnactor/demo"
)

// summary shows what a run found.
func (s *screen) summary(r *demo.Report) {
	s.clear()
	s.note, s.last = "", demo.Progress{}
	row := func(name, text string) { s.line("  %s %s", s.st.node.Render(pad(name, 9)), text) }
	bad := func(n int, what string) string {
		text := fmt.Sprintf("%s %s", group(n), what)
		if n > 0 {
			return s.st.bad.Render(text)
		}
		return text
	}
	s.line("")
	p, e, c := r.Payments, r.Events, r.Crashes
	row("payments", fmt.Sprintf("%s attempted: %s sent, %s failed; %s claimed; %s, %s",
		group(p.Attempted), group(p.Sent), group(p.Failed), group(p.Claimed), bad(p.Lost, "lost"), bad(p.Duplicates, "doubled")))
	if p.Forwarded > 0 {
		row("forwards", group(p.Forwarded)+" HTLCs of others seen through")
	}
	row("events", fmt.Sprintf("%s emitted, %s times again; %s acked, %s",
		group(e.Emitted), group(e.Reemitted), group(e.Acked), bad(e.Unacked, "left")))
	var by []string
	for _, kind := range demo.Kinds {
		if n := c.ByActor[kind]; n > 0 {
			by = append(by, fmt.Sprintf("%s %d", kind, n))
		}
	}
	crashes := group(c.Made)
	if c.Made < c.Planned {
		crashes += fmt.Sprintf(" of %s planned", group(c.Planned))
	}
	if len(by) > 0 {
		crashes += ": " + strings.Join(by, ", ")
	}
	row("crashes", crashes)
	if r.OnChain != nil {
		s.onChain(r.OnChain)
	} else {
		for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
			b, n := r.Balances[name], r.Nodes[name]
			text := fmt.Sprintf("%s sat in channels, %s before", sats(b.After.ChannelMsat), sats(b.Before.ChannelMsat))
			if len(r.Nodes) > 2 {
				text += fmt.Sprintf("; sent %d, claimed %d, forwarded %d for %d msat, paid %d msat for it; crashed %s",
					n.Sent, n.Claimed, n.Forwarded, n.EarnedMsat, n.PaidMsat, pluralOf(n.Crashes, "time", "times"))
			}
			row(name, text)
		}
	}
	row("time", fmt.Sprintf("%.1f s, seed %d", r.Seconds, r.Seed))
	if r.Dir != "" {
		row("data", r.Dir)
	}
	s.line("")
	switch {
	case r.OK && r.OnChain != nil:
		s.line("  %s", s.st.good.Render("✓ Nothing lost or doubled; to the satoshi, what went in is in the wallets, was paid as fees or is listed above."))
		return
	case r.OK:
		s.line("  %s", s.st.good.Render("✓ Nothing lost, doubled or left over; every millisatoshi is in its place."))
		return
	}
	s.line("  %s", s.st.bad.Render("✗ The books do not balance."))
}

// sats shows millisatoshis as satoshis, to the last digit.
func sats(msat uint64) string { return fmt.Sprintf("%s.%03d", group(msat/1000), msat%1000) }

// group writes a number with a comma every three digits.
func group[T int | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, one string) string { return pluralOf(n, one, one+"s") }

func pluralOf(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return group(n) + " " + more
}

// pad fills with spaces up to a number of columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(text)))
}

// head is the beginning of an id.
func head(id string) string {
	if len(id) <= 11 {
		return id
	}
	return id[:11] + "…"
}

// shortType is the name of a Go type without what only its package's authors want to see.
func shortType(name string) string {
	name = strings.TrimPrefix(name, "*")
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// short writes a duration as people do.
func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
