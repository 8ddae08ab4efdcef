package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// longestBranch is how far a block off the best chain is counted down to its
// fork.
const longestBranch = 2016

// Node answers the questions of chain.Source but for Subscribe and Local.
type Node struct {
	client *Client
	params *chaincfg.Params

	// right: the node follows the right chain, as far as known since it was
	// last away. It may come back as another one.
	right atomic.Bool

	mu  sync.Mutex
	tip chain.BlockID // the last answer of Tip

	known heights
}

// Open connects and checks that the node follows the right chain.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	client, err := NewClient(cfg)
	if err != nil {
		return nil, err
	}
	n := &Node{client: client, params: cfg.Params}
	if _, err := n.Tip(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close ends all calls, now and later, with chain.ErrClosed.
func (n *Node) Close() { n.client.Close() }

// call makes a call to a node that follows the right chain.
func (n *Node) call(ctx context.Context, limit int64, result any, method string, params ...any) error {
	if !n.right.Load() {
		genesis, err := n.genesis(ctx)
		if err != nil {
			return err
		}
		if genesis != *n.params.GenesisHash {
			return fmt.Errorf("%w: its first block is %v, that of %s is %v",
				chain.ErrWrongChain, genesis, n.params.Name, n.params.GenesisHash)
		}
		n.right.Store(true)
	}
	err := n.client.Call(ctx, limit, result, method, params...)
	if errors.Is(err, chain.ErrUnreachable) {
		n.right.Store(false)
	}
	return err
}

func (n *Node) genesis(ctx context.Context) (chainhash.Hash, error) {
	var text string
	if err := n.client.Call(ctx, maxAnswer, &text, "getblockhash", 0); err != nil {
		return chainhash.Hash{}, general(err)
	}
	return parseHash(text)
}

// Genesis implements chain.Source.
func (n *Node) Genesis(ctx context.Context) (chainhash.Hash, error) { return n.HashAt(ctx, 0) }

// Tip implements chain.Source.
func (n *Node) Tip(ctx context.Context) (chain.BlockID, error) {
	var text string
	if err := n.call(ctx, maxAnswer, &text, "getbestblockhash"); err != nil {
		return chain.BlockID{}, general(err)
	}
	hash, err := parseHash(text)
	if err != nil {
		return chain.BlockID{}, err
	}
	n.mu.Lock()
	tip := n.tip
	n.mu.Unlock()
	if tip.Hash == hash {
		return tip, nil
	}
	_, height, err := n.Header(ctx, hash)
	if errors.Is(err, chain.ErrNotFound) {
		return chain.BlockID{}, fmt.Errorf("%w: no header of the best block %v", chain.ErrInvalidBlock, hash)
	} else if err != nil {
		return chain.BlockID{}, err
	}
	tip = chain.BlockID{Height: height, Hash: hash}
	n.mu.Lock()
	n.tip = tip
	n.mu.Unlock()
	return tip, nil
}

// HashAt implements chain.Source.
func (n *Node) HashAt(ctx context.Context, height int32) (chainhash.Hash, error) {
	if height < 0 {
		return chainhash.Hash{}, fmt.Errorf("hash at %d: %w", height, chain.ErrNotFound)
	}
	var text string
	err := n.call(ctx, maxAnswer, &text, "getblockhash", height)
	if code(err, btcjson.ErrRPCInvalidParameter, btcjson.ErrRPCOutOfRange) {
		return chainhash.Hash{}, fmt.Errorf("hash at %d: %w", height, chain.ErrNotFound)
	} else if err != nil {
		return chainhash.Hash{}, general(err)
	}
	return parseHash(text)
}

// Header implements chain.Source.
func (n *Node) Header(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	header, height, err := n.verbose(ctx, hash)
	if !refused(err) {
		return header, height, general(err)
	}
	// btcd off its best chain.
	if header, err = n.rawHeader(ctx, hash); err != nil {
		return header, 0, err
	}
	prev := header.PrevBlock
	for above := int32(1); above <= longestBranch; above++ {
		_, height, err := n.verbose(ctx, prev)
		switch {
		case err == nil:
			return header, height + above, nil
		case !refused(err):
			return header, 0, general(err)
		}
		parent, err := n.rawHeader(ctx, prev)
		if err != nil {
			return header, 0, err
		}
		prev = parent.PrevBlock
	}
	return header, 0, fmt.Errorf("header %v, %d blocks off the best chain: %w", hash, longestBranch, chain.ErrNotFound)
}

// verbose returns a header with its height.
func (n *Node) verbose(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	var v verboseHeader
	if err := n.call(ctx, maxAnswer, &v, "getblockheader", hash.String(), true); err != nil {
		return wire.BlockHeader{}, 0, n.absent("header", hash, err)
	}
	header, height, err := v.header()
	if err != nil {
		return header, 0, err
	}
	if err := checkHeader(n.params, &header, hash); err != nil {
		return header, 0, err
	}
	if (height == 0) != (hash == *n.params.GenesisHash) {
		return header, 0, fmt.Errorf("%w: %v is said to have height %d", chain.ErrInvalidBlock, hash, height)
	}
	if err := n.known.add(hash, header.PrevBlock, height); err != nil {
		return header, 0, err
	}
	return header, height, nil
}

func (n *Node) rawHeader(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, error) {
	var text string
	if err := n.call(ctx, maxAnswer, &text, "getblockheader", hash.String(), false); err != nil {
		return wire.BlockHeader{}, general(n.absent("header", hash, err))
	}
	header, err := parseHeader(text)
	if err != nil {
		return header, err
	}
	return header, checkHeader(n.params, &header, hash)
}

// Block implements chain.Source.
func (n *Node) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	var text string
	err := n.call(ctx, maxBlockAnswer, &text, "getblock", hash.String(), 0)
	var rpcErr *btcjson.RPCError
	switch {
	case err == nil:
		return parseBlock(n.params, text, hash)
	case errors.As(err, &rpcErr) && strings.Contains(rpcErr.Message, "pruned"):
		return nil, fmt.Errorf("block %v: %w", hash, chain.ErrPruned)
	case code(err, btcjson.ErrRPCInvalidAddressOrKey) && n.pruned(ctx, hash):
		return nil, fmt.Errorf("block %v: %w", hash, chain.ErrPruned)
	case errors.As(err, &rpcErr) && rpcErr.Code == btcjson.ErrRPCMisc:
		// bitcoind knows the header and does not have the block yet.
		return nil, fmt.Errorf("block %v: %w: %w", hash, chain.ErrNotFound, rpcErr)
	}
	return nil, general(n.absent("block", hash, err))
}

// pruned tells whether a block is missing because the node prunes.
func (n *Node) pruned(ctx context.Context, hash chainhash.Hash) bool {
	if _, err := n.rawHeader(ctx, hash); err != nil {
		return false
	}
	var info struct {
		Pruned bool `json:"pruned"`
	}
	return n.call(ctx, maxAnswer, &info, "getblockchaininfo") == nil && info.Pruned
}

// absent names the error of a block that the node does not know.
func (n *Node) absent(what string, hash chainhash.Hash, err error) error {
	if code(err, btcjson.ErrRPCInvalidAddressOrKey) {
		return fmt.Errorf("%s %v: %w", what, hash, chain.ErrNotFound)
	}
	return err
}
