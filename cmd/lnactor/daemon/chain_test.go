package daemon

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// TestStartErrors: what passes by itself after a power cut is not taken for a wrong configuration, which a service manager does not start again.
func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, inUse := net.Listen("tcp", taken.Addr().String())
	_, notThere := net.Listen("tcp", "192.0.2.1:0")
	_, wrong := net.Listen("tcp", "127.0.0.1:none")
	for i, c := range []struct {
		err  error
		want error
	}{
		{inUse, ErrAddress},
		{notThere, ErrAddress},
		{wrong, lnactor.ErrConfig},
		{fmt.Errorf("%w: %w: no cookie yet", chain.ErrUnreachable, chain.ErrAccess), ErrUnreachable},
		{chain.ErrAccess, lnactor.ErrConfig},
		{chain.ErrWrongChain, lnactor.ErrConfig},
	} {
		got := startError(c.err)
		if c.err == nil || !errors.Is(got, c.want) || !errors.Is(got, c.err) || c.want != lnactor.ErrConfig && errors.Is(got, lnactor.ErrConfig) {
			t.Errorf("%d: %v becomes %v", i, c.err, got)
		}
	}
}
