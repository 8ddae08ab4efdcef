package btcdtest

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/mining"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// Tip is the best block.
func (n *Node) Tip(t testing.TB) (hash chainhash.Hash, height int32) {
	t.Helper()
	best, height, err := n.RPC.GetBestBlock()
	if err != nil {
		t.Fatalf("best block: %v", err)
	}
	return *best, height
}

// HashAt is the best chain's block at a height.
func (n *Node) HashAt(t testing.TB, height int32) chainhash.Hash {
	t.Helper()
	hash, err := n.RPC.GetBlockHash(int64(height))
	if err != nil {
		t.Fatalf("hash at %d: %v", height, err)
	}
	return *hash
}

// Mine adds count blocks; the first takes what the mempool holds.
func (n *Node) Mine(t testing.TB, count int) []chainhash.Hash {
	t.Helper()
	mined, err := n.RPC.Generate(uint32(count))
	if err != nil {
		t.Fatalf("mine: %v", err)
	}
	hashes := make([]chainhash.Hash, len(mined))
	for i, hash := range mined {
		hashes[i] = *hash
	}
	return hashes
}

// Reorg replaces the last depth blocks by count > depth new ones, as a miner
// with more work does: the new branch becomes the best with its last block.
// The i-th new block holds with[i], all others are empty.
func (n *Node) Reorg(t testing.TB, depth, count int, with ...[]*wire.MsgTx) []chainhash.Hash {
	t.Helper()
	_, tip := n.Tip(t)
	fork := tip - int32(depth)
	hashes := n.Branch(t, n.HashAt(t, fork), fork, count, with...)
	if best, _ := n.Tip(t); best != hashes[len(hashes)-1] {
		t.Fatalf("the branch of %d blocks over %d did not become the best", count, depth)
	}
	return hashes
}

// Branch adds blocks on top of any block, given with its height.
func (n *Node) Branch(t testing.TB, prev chainhash.Hash, height int32, count int, with ...[]*wire.MsgTx) (hashes []chainhash.Hash) {
	t.Helper()
	header, err := n.RPC.GetBlockHeader(&prev)
	if err != nil {
		t.Fatalf("header %v: %v", prev, err)
	}
	for i := range count {
		var txs []*wire.MsgTx
		if i < len(with) {
			txs = with[i]
		}
		block := n.newBlock(t, header, height+1+int32(i), txs)
		if err := n.RPC.SubmitBlock(btcutil.NewBlock(block), nil); err != nil {
			t.Fatalf("submit block %d: %v", height+1+int32(i), err)
		}
		header = &block.Header
		hashes = append(hashes, block.BlockHash())
	}
	return hashes
}

// newBlock builds and solves a block, which takes two attempts on average.
func (n *Node) newBlock(t testing.TB, parent *wire.BlockHeader, height int32, txs []*wire.MsgTx) *wire.MsgBlock {
	t.Helper()
	n.serial++ // no two blocks are equal
	script, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddInt64(n.serial).AddData([]byte(n.P2PAddr)).Script()
	if err != nil {
		t.Fatal(err)
	}
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), script, nil))
	coinbase.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(height, n.Params), Script()))

	all := []*btcutil.Tx{btcutil.NewTx(coinbase)}
	for _, tx := range txs {
		all = append(all, btcutil.NewTx(tx))
	}
	mining.AddWitnessCommitment(all[0], all)
	all[0] = btcutil.NewTx(coinbase)

	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version: 0x20000000, PrevBlock: parent.BlockHash(), MerkleRoot: blockchain.CalcMerkleRoot(all, false),
		Timestamp: parent.Timestamp.Add(time.Second), Bits: n.Params.PowLimitBits,
	})
	for _, tx := range all {
		if err := block.AddTransaction(tx.MsgTx()); err != nil {
			t.Fatal(err)
		}
	}
	for target := blockchain.CompactToBig(block.Header.Bits); ; block.Header.Nonce++ {
		hash := block.BlockHash()
		if blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			return block
		}
	}
}

// InvalidateBlock takes a block and all that follow out of the best chain,
// which becomes shorter.
func (n *Node) InvalidateBlock(t testing.TB, hash chainhash.Hash) {
	t.Helper()
	if err := n.RPC.InvalidateBlock(&hash); err != nil {
		t.Fatalf("invalidate block %v: %v", hash, err)
	}
}
