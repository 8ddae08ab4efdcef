package rpc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// noClock lets blocks of any time pass: whether one is too far in the future
// is for the node to say.
type noClock struct{}

func (noClock) AdjustedTime() time.Time         { return time.Unix(1<<40, 0) }
func (noClock) AddTimeSample(string, time.Time) {}
func (noClock) Offset() time.Duration           { return 0 }

// checkHeader holds a header to the hash that was asked for and to its proof
// of work.
func checkHeader(params *chaincfg.Params, header *wire.BlockHeader, want chainhash.Hash) error {
	if hash := header.BlockHash(); hash != want {
		return fmt.Errorf("%w: asked for %v, got %v", chain.ErrInvalidBlock, want, hash)
	}
	if want == *params.GenesisHash {
		return nil
	}
	if err := blockchain.CheckBlockHeaderSanity(header, params.PowLimit, noClock{}, blockchain.BFNone); err != nil {
		return fmt.Errorf("%w: header %v: %w", chain.ErrInvalidBlock, want, err)
	}
	return nil
}

// parseBlock decodes a block and holds it to the hash that was asked for and
// to what it says of itself, witnesses included.
func parseBlock(params *chaincfg.Params, text string, want chainhash.Hash) (*wire.MsgBlock, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: block %v: %w", chain.ErrBadAnswer, want, err)
	}
	r := bytes.NewReader(raw)
	block := new(wire.MsgBlock)
	if err := block.Deserialize(r); err != nil {
		return nil, fmt.Errorf("%w: block %v: %w", chain.ErrBadAnswer, want, err)
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%w: block %v: %d bytes too many", chain.ErrBadAnswer, want, r.Len())
	}
	if err := checkHeader(params, &block.Header, want); err != nil {
		return nil, err
	}
	if want == *params.GenesisHash {
		return block, nil
	}
	b := btcutil.NewBlock(block)
	if err := blockchain.CheckBlockSanity(b, params.PowLimit, noClock{}); err != nil {
		return nil, fmt.Errorf("%w: %v: %w", chain.ErrInvalidBlock, want, err)
	}
	if err := blockchain.ValidateWitnessCommitment(b); err != nil {
		return nil, fmt.Errorf("%w: %v: %w", chain.ErrInvalidBlock, want, err)
	}
	return block, nil
}

// verboseHeader is getblockheader's answer, from which the header is made
// again. The pointers are fields that must be there.
type verboseHeader struct {
	Height     *int32  `json:"height"`
	Version    *int32  `json:"version"`
	Previous   string  `json:"previousblockhash"`
	MerkleRoot string  `json:"merkleroot"`
	Time       *int64  `json:"time"`
	Bits       string  `json:"bits"`
	Nonce      *uint32 `json:"nonce"`
}

func (v *verboseHeader) header() (h wire.BlockHeader, height int32, err error) {
	if v.Height == nil || v.Version == nil || v.Time == nil || v.Nonce == nil {
		return h, 0, fmt.Errorf("%w: header with fields missing", chain.ErrBadAnswer)
	}
	if *v.Height < 0 {
		return h, 0, fmt.Errorf("%w: header with height %d", chain.ErrBadAnswer, *v.Height)
	}
	h = wire.BlockHeader{Version: *v.Version, Timestamp: time.Unix(*v.Time, 0), Nonce: *v.Nonce}
	if v.Previous != "" {
		if h.PrevBlock, err = parseHash(v.Previous); err != nil {
			return h, 0, err
		}
	}
	if h.MerkleRoot, err = parseHash(v.MerkleRoot); err != nil {
		return h, 0, err
	}
	bits, err := strconv.ParseUint(v.Bits, 16, 32)
	if err != nil {
		return h, 0, fmt.Errorf("%w: bits: %w", chain.ErrBadAnswer, err)
	}
	h.Bits = uint32(bits)
	return h, *v.Height, nil
}

func parseHeader(text string) (h wire.BlockHeader, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return h, fmt.Errorf("%w: header: %w", chain.ErrBadAnswer, err)
	}
	if len(raw) != wire.MaxBlockHeaderPayload {
		return h, fmt.Errorf("%w: header of %d bytes", chain.ErrBadAnswer, len(raw))
	}
	if err := h.Deserialize(bytes.NewReader(raw)); err != nil {
		return h, fmt.Errorf("%w: header: %w", chain.ErrBadAnswer, err)
	}
	return h, nil
}

func parseHash(text string) (chainhash.Hash, error) {
	if len(text) != 2*chainhash.HashSize {
		return chainhash.Hash{}, fmt.Errorf("%w: hash of %d digits", chain.ErrBadAnswer, len(text))
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return chainhash.Hash{}, fmt.Errorf("%w: hash: %w", chain.ErrBadAnswer, err)
	}
	return *hash, nil
}
