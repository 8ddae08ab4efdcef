package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	store "github.com/lnactor/lnactor/internal/graph"
)

// errOtherScript says that the output at a channel's place is not of that channel.
var errOtherScript = errors.New("graph: the output does not pay to the channel's keys")

// verify checks the signatures of a batch and looks its channels up in the chain. It touches nothing but the jobs, so it may run anywhere.
func verify(ctx context.Context, outputs Outputs, b *batch) {
	for _, j := range b.jobs {
		if ctx.Err() != nil {
			j.err = ctx.Err()
			continue
		}
		switch {
		case j.channel != nil:
			// Signatures first: a stranger must not have us read blocks for nothing.
			if j.err = j.channel.Verify(); j.err == nil {
				j.funding, j.err = lookUp(ctx, outputs, j.channel)
			}
		case j.update != nil:
			j.err = j.update.Verify(j.signer)
		case j.node != nil:
			j.err = j.node.Verify()
		}
	}
}

// lookUp finds the funding output of a channel.
func lookUp(ctx context.Context, outputs Outputs, m *store.ChannelMsg) (store.Funding, error) {
	want, err := store.FundingScript(m.BitcoinKeys)
	if err != nil {
		return store.Funding{}, err
	}
	out, at, err := outputs.Output(ctx, store.Height(m.SCID), store.TxIndex(m.SCID), store.Output(m.SCID))
	if err != nil {
		return store.Funding{}, fmt.Errorf("funding output: %w", err)
	}
	if !bytes.Equal(out.PkScript, want) || out.Value <= 0 {
		return store.Funding{}, errOtherScript
	}
	return store.Funding{Outpoint: at, CapacitySat: uint64(out.Value)}, nil
}
