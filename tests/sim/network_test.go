package sim

import "testing"

func TestTopologies(t *testing.T) {
	for _, n := range append([]*network{lineNet, thickNet, hiddenNet, diamondNet, starNet}, randomNets...) {
		n.get()
	}
}
