package redact

import (
	"bytes"
	"strings"
)

// Stack is a text of stacks as the runtime prints them, without the values of arguments: an array that is passed by value, such as a key, is there in
// pieces.
func Stack(raw []byte) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(raw)) {
		text := strings.TrimRight(line, "\n")
		open := strings.LastIndexByte(text, '(')
		switch {
		case strings.HasPrefix(text, "\t"), strings.HasPrefix(text, "created by "), text == "":
		case frame(text) && open > 0:
			text = text[:open] + "(...)"
		default:
			text = Text(text)
		}
		out.WriteString(text + "\n")
	}
	return out.Bytes()
}

// frame tells a line that names a function from what is said around the stacks.
func frame(line string) bool {
	if !strings.HasSuffix(line, ")") {
		return false
	}
	name, _, _ := strings.Cut(line, "(")
	return !strings.ContainsAny(name, " :[")
}
