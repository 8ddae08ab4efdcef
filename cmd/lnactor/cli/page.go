package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// page shows an answer to people: facts one below the other, or a table.
type page struct {
	w   *tabwriter.Writer
	err error
}

func newPage(w io.Writer) *page { return &page{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (p *page) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = printable(fmt.Sprint(c))
	}
	if _, err := fmt.Fprintln(p.w, strings.TrimRight(strings.Join(texts, "\t"), "\t ")); err != nil && p.err == nil {
		p.err = err
	}
}

// none says that a list is empty.
func (p *page) none(what string) { p.row("no " + what) }

func (p *page) flush() error {
	if err := p.w.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	return p.err
}

// printable takes out what could play tricks with a terminal: texts come from peers and invoices.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// printableLines is printable for a text of several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// encodeJSON is for what commands find out by themselves; printJSON is for the API's answers.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func sat(n uint64) string { return digits(n) + " sat" }

// msat shows millisatoshis as satoshis.
func msat(n uint64) string {
	if n%1000 == 0 {
		return sat(n / 1000)
	}
	return fmt.Sprintf("%s.%03d sat", digits(n/1000), n%1000)
}

// digits sets a space between groups of three, which group does for ints.
func digits(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// parseMsat reads an amount: satoshis, or with a unit: 21000, 21000sat, 1500msat, 0.001btc.
func parseMsat(text string) (uint64, error) {
	wrong := &usageError{fmt.Errorf("%q is not an amount", text), "give satoshis, or a unit: 21000, 21000sat, 1500msat, 0.001btc"}
	lower := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	number, factor, decimals := lower, uint64(1000), 0
	switch {
	case strings.HasSuffix(lower, "msat"):
		number, factor = strings.TrimSuffix(lower, "msat"), 1
	case strings.HasSuffix(lower, "sat"):
		number = strings.TrimSuffix(lower, "sat")
	case strings.HasSuffix(lower, "btc"):
		number, decimals, factor = strings.TrimSuffix(lower, "btc"), 11, 1
	}
	whole, fraction, dot := strings.Cut(number, ".")
	if len(fraction) > decimals || dot && fraction == "" || len(fraction) > 0 && whole == "" {
		return 0, wrong
	}
	fraction += strings.Repeat("0", decimals-len(fraction))
	n, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || strings.HasPrefix(whole, "+") || n > math.MaxUint64/factor/2 {
		return 0, wrong
	}
	return n * factor, nil
}

// parseSat reads an amount that must be whole satoshis.
func parseSat(text string) (uint64, error) {
	n, err := parseMsat(text)
	if err == nil && n%1000 != 0 {
		err = &usageError{fmt.Errorf("%q is not a whole number of satoshis", text), "there are no fractions of a satoshi on chain"}
	}
	return n / 1000, err
}
