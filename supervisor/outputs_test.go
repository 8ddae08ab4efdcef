package supervisor

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/graph"
)

// blockSource is a chain of blocks by height, read as often as it counts.
type blockSource struct {
	chain.Source
	blocks map[int32]*wire.MsgBlock
	err    error
	reads  int
}

func (s *blockSource) HashAt(_ context.Context, height int32) (chainhash.Hash, error) {
	if s.err != nil {
		return chainhash.Hash{}, s.err
	}
	if b := s.blocks[height]; b != nil {
		return b.BlockHash(), nil
	}
	return chainhash.Hash{}, chain.ErrNotFound
}

func (s *blockSource) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	s.reads++
	for _, b := range s.blocks {
		if b.BlockHash() == hash {
			return b, nil
		}
	}
	return nil, chain.ErrNotFound
}

func TestOutputs(t *testing.T) {
	src := &blockSource{blocks: map[int32]*wire.MsgBlock{}}
	for h := range int32(keepBlocks + 2) {
		tx := wire.NewMsgTx(2)
		tx.LockTime = uint32(h)
		tx.AddTxOut(wire.NewTxOut(5, []byte{1}))
		tx.AddTxOut(wire.NewTxOut(int64(100+h), []byte{2}))
		b := wire.NewMsgBlock(&wire.BlockHeader{Nonce: uint32(h)})
		_ = b.AddTransaction(wire.NewMsgTx(1))
		_ = b.AddTransaction(tx)
		src.blocks[h] = b
	}
	o := outputsOf(src)
	ctx := context.Background()
	for range 2 {
		for h := range uint32(keepBlocks) {
			out, at, err := o.Output(ctx, h, 1, 1)
			want := wire.OutPoint{Hash: src.blocks[int32(h)].Transactions[1].TxHash(), Index: 1}
			if err != nil || out.Value != int64(100+h) || at != want {
				t.Fatal(h, out, at, err)
			}
		}
	}
	if src.reads != keepBlocks {
		t.Fatal("blocks are read again and again", src.reads)
	}
	for h := range uint32(keepBlocks + 2) {
		if _, _, err := o.Output(ctx, h, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range [][3]uint32{{99, 0, 0}, {1, 2, 0}, {1, 1, 2}, {1, 1 << 23, 1 << 15}} {
		if _, _, err := o.Output(ctx, place[0], place[1], place[2]); !errors.Is(err, graph.ErrNoOutput) {
			t.Error(place, err)
		}
	}
	src.err = chain.ErrUnreachable
	if _, _, err := o.Output(ctx, 1, 1, 1); !errors.Is(err, chain.ErrUnreachable) || errors.Is(err, graph.ErrNoOutput) {
		t.Error("a chain that is away is no proof", err)
	}
}
