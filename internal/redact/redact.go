// Package redact takes out of a text what may be secret: the text of a panic can hold whatever was at hand, and it ends up in logs, crash reports
// and answers of the API.
//
// A number of 16 bytes or more, in hexadecimal or as a list of decimal numbers as %v prints bytes, is cut down to its beginning: that is enough to
// recognise an id by and of no use to a thief. A text of 16 words or more out of small letters alone, of 3 to 8 each, goes altogether: so look the
// words of a seed. Base64 of 24 bytes or more is cut down as well. Names of actors, Go types, paths and addresses stay.
package redact

import (
	"regexp"
	"strings"
)

const shown = 8 // digits of a number that stay

var (
	// Separators of groups are none: a number is one run.
	hexadecimal = regexp.MustCompile(`\b(?:0[xX])?[0-9a-fA-F]{32,}`)
	decimals    = regexp.MustCompile(`\b(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})(?:,? +(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})){7,}`)
	words       = regexp.MustCompile(`\b(?:[a-z]{3,8} ){15,}[a-z]{3,8}\b`)
	b64         = regexp.MustCompile(`[A-Za-z0-9+/_-]{32,}={0,2}`)
)

// Text is a text without what may be secret.
func Text(s string) string {
	s = hexadecimal.ReplaceAllStringFunc(s, cut)
	s = decimals.ReplaceAllStringFunc(s, func(list string) string {
		first, _, _ := strings.Cut(list, " ")
		return strings.TrimSuffix(first, ",") + " …"
	})
	s = words.ReplaceAllString(s, "…")
	return b64.ReplaceAllStringFunc(s, func(run string) string {
		if !mixed(run) {
			return run // a path, a name, a Go type
		}
		return cut(run)
	})
}

func cut(run string) string { return run[:shown] + "…" }

// mixed tells whether a run has capitals, small letters and digits, as random base64 of this length nearly always has, and no more slashes than that.
func mixed(run string) bool {
	return strings.ContainsAny(run, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && strings.ContainsAny(run, "abcdefghijklmnopqrstuvwxyz") &&
		strings.ContainsAny(run, "0123456789") && 8*strings.Count(run, "/") < len(run)
}
