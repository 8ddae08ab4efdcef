package daemon

import (
	"os"
	"regexp"
	"testing"

	"github.com/lnactor/lnactor/cmd/lnactor/health"
)

// TestFeedsConditions: whatever the feed finds is in the table of conditions, as severe as the feed says.
func TestFeedsConditions(t *testing.T) {
	source, err := os.ReadFile("../feed/status.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`add\((true|false), "(\w+)"`).FindAllSubmatch(source, -1)
	if len(found) < 5 {
		t.Fatalf("found %d", len(found))
	}
	for _, m := range found {
		kind, ok := health.KindOf(string(m[2]))
		if !ok || (kind.Severity == health.Critical) != (string(m[1]) == "true") {
			t.Errorf("%s: %+v", m[0], kind)
		}
	}
}
