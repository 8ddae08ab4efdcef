package health

import (
	"fmt"
	"os"
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
	want.WriteString("| condition | | what it means | what to do |\n|---|---|---|---|\n")
	for _, k := range Kinds {
		effect := ""
		switch {
		case k.Dead:
			effect = ", not alive"
		case k.Unready:
			effect = ", not ready"
		}
		fmt.Fprintf(&want, "| `%s` | %s%s | %s | %s |\n", k.ID, k.Severity, effect, k.Title, strings.ReplaceAll(k.Remedy, "'", "`"))
	}
	if !strings.Contains(string(doc), want.String()) {
		t.Errorf("docs/operations.md lacks this table:\n%s", want.String())
	}
}
