package cli

import (
	"io"
	"os"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// style is how a writer shows things: with colours on a terminal, plain elsewhere. Only the terminal's own 16 colours are used, so they fit
// whatever theme it has.
type style struct {
	terminal               bool // lines can be rewritten
	colours                bool
	strong, faint          lipgloss.Style
	good, bad, again, node lipgloss.Style
}

func styleFor(w io.Writer) style {
	plain := lipgloss.NewStyle()
	st := style{strong: plain, faint: plain, good: plain, bad: plain, again: plain, node: plain}
	if st.terminal = width(w) > 0; !st.terminal || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return st
	}
	st.colours = true
	st.strong = plain.Bold(true)
	st.faint = plain.Faint(true)
	st.good = plain.Foreground(lipgloss.Green)
	st.bad = plain.Foreground(lipgloss.Red)
	st.again = plain.Foreground(lipgloss.Yellow)
	st.node = plain.Foreground(lipgloss.Cyan)
	return st
}

// width is how many columns a terminal has, 0 if the writer is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80
	}
	return columns
}
