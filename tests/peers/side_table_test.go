package peers

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// none is a figure that was not measured.
var none = math.NaN()

// resumed is the second line of a call in an output of strace.
var resumed = regexp.MustCompile(`<\.\.\. .* resumed>`)

func splitLines(text []byte) [][]byte {
	return bytes.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// printSides prints the results as a table, each figure with its ratio to the first column.
func printSides(w io.Writer, results []sideResult) {
	fmt.Fprintf(w, "\n%s, %s\n\n| |", time.Now().UTC().Format("2006-01-02 15:04 UTC"), machine())
	for _, r := range results {
		fmt.Fprintf(w, " %s pays %s |", r.kinds[0], r.kinds[1])
	}
	fmt.Fprintf(w, "\n|---%s|\n", strings.Repeat("|---", len(results)))
	row := func(name, format string, value func(*sideResult) float64) {
		fmt.Fprintf(w, "| %s |", name)
		for i := range results {
			v, base := value(&results[i]), value(&results[0])
			switch {
			case math.IsNaN(v):
				fmt.Fprint(w, " not measured |")
			case i == 0 || math.IsNaN(base) || base == 0:
				fmt.Fprintf(w, " "+format+" |", v)
			default:
				fmt.Fprintf(w, " "+format+" (%.2f) |", v, v/base)
			}
		}
		fmt.Fprintln(w)
	}
	for i, l := range sideLevels {
		at := func(part func(sideLevel) float64) func(*sideResult) float64 {
			return func(r *sideResult) float64 { return part(r.levels[i]) }
		}
		in := fmt.Sprintf(", %d in flight", l.inFlight)
		row("payments/s"+in, "%.1f", at(func(l sideLevel) float64 { return l.rate }))
		row("median ms"+in, "%.1f", at(func(l sideLevel) float64 { return l.medianMs }))
		row("CPU ms per payment"+in, "%.1f", at(func(l sideLevel) float64 { return l.cpuMs }))
		row("kB written per payment"+in, "%.1f", at(func(l sideLevel) float64 { return l.bytes / 1000 }))
		row("syncs per payment"+in, "%.2f", at(func(l sideLevel) float64 { return l.syncs }))
	}
	row("memory of the payer, MB", "%.0f", func(r *sideResult) float64 { return r.payerRSS })
	row("memory of the payee, MB", "%.0f", func(r *sideResult) float64 { return r.payeeRSS })
	row("payer's start to its first payment, s", "%.2f", func(r *sideResult) float64 { return r.startSeconds })
	fmt.Fprint(w, "| payer killed in a burst: of those begun, sent / failed / never begun / stuck / lost |")
	for _, r := range results {
		fmt.Fprintf(w, " %d: %d / %d / %d / %d / %d |", r.started, r.sent, r.failed, r.unknown, r.stuck, r.lost+r.sad)
	}
	fmt.Fprintln(w)
}

// machine says what the figures were taken with and on.
func machine() string {
	said := []string{"lnd " + version("github.com/lightningnetwork/lnd"), "btcd " + version("github.com/btcsuite/btcd"), runtime.Version()}
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		said = append(said, "lnactor "+strings.TrimSpace(string(out)))
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			said = append(said, strings.TrimSpace(model))
			break
		}
	}
	said = append(said, fmt.Sprintf("%d cores", runtime.NumCPU()))
	if kb, ok := procNumber("/proc/meminfo", "MemTotal:"); ok {
		said = append(said, fmt.Sprintf("%d GB", kb/1_000_000))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		said = append(said, "load average at the end "+strings.Join(strings.Fields(string(text))[:3], " "))
	}
	return strings.Join(said, ", ")
}

func version(module string) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(out))
}
