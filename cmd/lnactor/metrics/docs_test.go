package metrics

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumented: the table in docs/operations.md is that of the code.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| metric | labels | what it is |\n|---|---|---|\n")
	for _, d := range all {
		m := regexp.MustCompile(`fqName: "(\w+)", help: "(.*)", constLabels: {}, variableLabels: {(.*)}}`).FindStringSubmatch(d.String())
		if m == nil {
			t.Fatal(d)
		}
		labels := ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", m[1], labels, strings.ReplaceAll(m[2], "'", "`"))
	}
	if !strings.Contains(string(doc), want.String()) {
		t.Errorf("docs/operations.md lacks this table:\n%s", want.String())
	}
}
