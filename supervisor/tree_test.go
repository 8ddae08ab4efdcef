package supervisor

import (
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"
)

// TestTreeChecksOpenings: terms that this node does not take are refused before the manager spends a key index on them.
func TestTreeChecksOpenings(t *testing.T) {
	var p Parts
	p.setDefaults()
	if p.Manager.CheckOpen == nil {
		t.Fatal("a peer's open_channel is not looked at")
	}
	if err := p.Manager.CheckOpen(&lnwire.OpenChannel{}); err == nil {
		t.Error("no terms at all are acceptable")
	}
}
