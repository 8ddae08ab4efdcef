package cli

import (
	"fmt"
	"image/color"
	"io"
	"strings"
	"time"

	"charm.land/bubbles/v2/progress"
	"charm.land/lipgloss/v2"

	"github.com/lnactor/lnactor/cmd/lnactor/demo"
)

// screen shows a demo: a line for everything that happens and, on a terminal, a last line that shows how far it is.
type screen struct {
	w    io.Writer
	st   style
	opts demo.Options
	bar  progress.Model
	last demo.Progress
	note string // what is waited for, instead of the numbers
	live bool   // the last line is the bar
	tens int    // where there is no bar: how many tenths were said
}

func newScreen(w io.Writer, opts demo.Options) *screen {
	s := &screen{w: w, st: styleFor(w), opts: opts}
	full, empty := color.Color(lipgloss.Green), color.Color(lipgloss.BrightBlack)
	if !s.st.colours {
		full, empty = lipgloss.NoColor{}, lipgloss.NoColor{}
	}
	s.bar = progress.New(
		progress.WithWidth(24), progress.WithoutPercentage(), progress.WithFillCharacters('█', '░'), progress.WithColors(full))
	s.bar.EmptyColor = empty
	s.line("%s", s.st.strong.Render("lnactor demo")+
		s.st.faint.Render(fmt.Sprintf("  %s payments, %s crashes, seed %d", group(opts.Payments), group(opts.Crashes), opts.Seed)))
	s.line("")
	return s
}

// show is told what happens.
func (s *screen) show(n demo.News) {
	switch n := n.(type) {
	case demo.Opening:
		s.note = "starting " + n.What
		s.redraw()
	case demo.Opened:
		s.introduce(n)
	case demo.Crashed:
		what, fate := n.Kind+" crashed", "which is lost"
		if n.Handled {
			fate = "just handled"
		}
		if n.Kind == demo.WholeNode {
			what, fate = "whole node killed", "in the middle of it"
		}
		s.event(n.At, n.Node, s.st.bad.Render("✗ "+pad(what, 20)), fmt.Sprintf("over %s, %s", shortType(n.Message), fate))
	case demo.Returned:
		s.event(n.At, n.Node, s.st.good.Render("▲ "+pad("node is back", 20)), "after "+short(n.After)+", from what was on disk")
	case demo.Reemitted:
		s.event(n.At, n.Node, s.st.again.Render("↻ "+pad(plural(n.Count, "event")+" again", 20)), "emitted, since not acknowledged before the crash")
	case demo.Reacked:
		s.event(n.At, n.Node, s.st.good.Render("✓ "+pad(plural(n.Count, "event")+" acked", 20)), short(n.After)+" after coming again")
	case demo.Retried:
		s.event(n.At, n.Node, s.st.again.Render("! "+pad(plural(n.Count, "payment")+" failed", 20)), "and paid again: "+n.Reason)
	case demo.Routed:
		s.event(n.At, n.Payer, s.st.good.Render("→ "+pad("paid "+n.Payee, 20)), routed(n))
	case demo.Progress:
		s.last = n
		s.progress()
	case demo.Closing:
		s.closing(n)
	case demo.Did:
		s.did(n)
	case demo.BlockMined:
		s.block(n)
	case demo.Settling:
		s.note = "waiting for " + n.What
		s.redraw()
	}
}

func (s *screen) introduce(o demo.Opened) {
	s.note = ""
	row := func(name, id, what string) {
		s.line("  %s %s  %s", s.st.node.Render(pad(name, 8)), pad(id, 12), what)
	}
	money := func(name string) string {
		b := o.Before[name]
		return fmt.Sprintf("%s sat in channels, %s sat on chain", group(b.ChannelMsat/1000), group(b.OnChainSat))
	}
	origin := "just opened"
	if o.Continued {
		origin = "of an earlier run"
	}
	row("chain", "regtest", fmt.Sprintf("inside this process, at block %d", o.Height))
	for _, n := range o.Nodes {
		row(n.Name, head(n.ID), money(n.Name))
	}
	for _, c := range o.Channels {
		what := fmt.Sprintf("%s sat, %s", group(c.CapacitySat), origin)
		if len(o.Channels) > 1 {
			what = fmt.Sprintf("%s - %s, %s", c.Between[0], c.Between[1], what)
		}
		row("channel", head(c.ID), what)
	}
	s.line("")
}

// event is a line of the log that the demo is.
func (s *screen) event(at time.Duration, node, what, more string) {
	text := fmt.Sprintf("  %s  %s %s %s",
		s.st.faint.Render(fmt.Sprintf("%6.2fs", at.Seconds())), s.st.node.Render(pad(node, 5)), what, s.st.faint.Render(more))
	s.line("%s", s.fit(text))
}

// routed says how a payment went.
func routed(n demo.Routed) string {
	text := fmt.Sprintf("%s sat over %s", sats(n.Msat), pluralOf(n.Hops, "hop", "hops"))
	if n.Parts > 1 {
		text += fmt.Sprintf(" in %d parts", n.Parts)
	}
	return text + fmt.Sprintf(", fee %d msat", n.FeeMsat)
}

// progress moves the bar, or says every tenth where there is none.
func (s *screen) progress() {
	if s.st.terminal {
		s.redraw()
		return
	}
	if tens := 10 * s.last.Done / max(s.last.Of, 1); tens > s.tens {
		s.tens = tens
		s.line("  %s", s.numbers())
	}
}

func (s *screen) numbers() string {
	p := s.last
	forwarded := ""
	if p.Payments.Forwarded > 0 {
		forwarded = ", " + group(p.Payments.Forwarded) + " forwarded"
	}
	return fmt.Sprintf("%s of %s paid%s, %s, %d events again, %s acked",
		group(p.Done), group(p.Of), forwarded, pluralOf(p.Crashes, "crash", "crashes"), p.Events.Reemitted, group(p.Events.Acked))
}

// line prints a line above the bar. It may wrap, unlike the bar.
func (s *screen) line(format string, args ...any) {
	s.clear()
	fmt.Fprintln(s.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	if s.note != "" || s.last.Of > 0 {
		s.redraw()
	}
}

// redraw draws the last line anew.
func (s *screen) redraw() {
	if !s.st.terminal {
		return
	}
	text := s.note
	if s.last.Of > 0 {
		text = s.bar.ViewAs(float64(s.last.Done)/float64(s.last.Of)) + "  " + s.numbers()
		if s.note != "" {
			text += "  " + s.st.faint.Render(s.note)
		}
	}
	fmt.Fprint(s.w, "\r\x1b[2K"+s.fit("  "+text))
	s.live = true
}

// clear takes the last line away.
func (s *screen) clear() {
	if s.live {
		fmt.Fprint(s.w, "\r\x1b[2K")
		s.live = false
	}
}

// fit cuts what would wrap: the bar could not be rewritten.
func (s *screen) fit(text string) string {
	if columns := width(s.w); columns > 0 {
		return lipgloss.NewStyle().MaxWidth(columns - 1).Render(text)
	}
	return text
}
