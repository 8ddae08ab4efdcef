package chainwatch

import (
	"context"
	"fmt"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// query puts a question of the core to the source. It may block.
func query(ctx context.Context, src chain.Source, q ask) (a answer) {
	a.id = q.id
	switch {
	case q.tip:
		var tip chain.BlockID
		tip, a.err = src.Tip(ctx)
		a.tip = blockID{height: uint32(tip.Height), hash: tip.Hash}
	case q.headers != nil:
		a.headers, a.err = queryHeaders(ctx, src, *q.headers)
	case q.hashAt != nil:
		a.hash, a.err = src.HashAt(ctx, int32(*q.hashAt))
	case q.block != nil:
		a.block, a.err = src.Block(ctx, *q.block)
		if a.err == nil && a.block.BlockHash() != *q.block {
			a.err = fmt.Errorf("%w: it answered for block %v with another", chain.ErrUnreachable, *q.block)
		}
	case q.broadcast != nil:
		a.err = src.Broadcast(ctx, q.broadcast)
	}
	return a
}

// queryHeaders returns what it got if the source forgets the branch on the way.
func queryHeaders(ctx context.Context, src chain.Source, q askHeaders) ([]blockID, error) {
	var ids []blockID
	for hash := q.hash; len(ids) < q.count; {
		header, height, err := src.Header(ctx, hash)
		if err != nil {
			return ids, err
		}
		ids = append(ids, blockID{height: uint32(height), hash: hash})
		if height == 0 {
			break
		}
		hash = header.PrevBlock
	}
	return ids, nil
}
