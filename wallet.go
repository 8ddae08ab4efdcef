package lnactor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/funds"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// Why a call about the wallet was refused.
var (
	ErrBadAddress  = wallet.ErrBadAddress // not an address, or one of another chain
	ErrBadOutput   = wallet.ErrBadOutput  // an amount that nodes do not relay, such as dust
	ErrBadFeeRate  = wallet.ErrBadFeeRate
	ErrNoFeeRate   = funds.ErrNoFeeRate
	ErrNotSynced   = funds.ErrNotSynced
	ErrSendRefused = funds.ErrRefused

	ErrNotPending     = wallet.ErrNotPending
	ErrHasChild       = wallet.ErrHasChild
	ErrNotReplaceable = wallet.ErrNotReplaceable

	ErrPassphrase = seed.ErrPassphrase
	ErrSeedExists = seed.ErrExists
)

// ReserveError says that a payment would leave less than what is kept for the fees of channels; see SendOptions.UseReserve.
type ReserveError = wallet.ReserveError

// FundsStatus is what an operator should know of the wallet: the fee reserve, fee estimates, sweeps under way, claims that lack coins.
type FundsStatus = funds.Status

// Coin is an output of the wallet.
type Coin = wallet.Coin

// WalletBalance is the wallet's money. The four sums are disjoint.
type WalletBalance = wallet.Balance

// SendAll as the amount of Send is all there is, less the fee and the reserve.
const SendAll uint64 = math.MaxUint64

// SendOptions are the particulars of a payment on chain. The zero value is right for most.
type SendOptions struct {
	FeePerKw   uint32 // satoshis per 1000 weight units; 0: an estimate for Target
	Target     uint32 // blocks within which it should confirm; 0: 6
	UseReserve bool   // spend also what is kept for the fees of closing channels
}

// Sent is a payment on chain. It is offered to the chain with every block until it confirms, also after a restart.
type Sent struct {
	Txid      chainhash.Hash
	AmountSat uint64
	FeeSat    uint64
	Accepted  bool // the chain source has it; if not, the source could not be asked yet
}

// NewAddress is an address of the wallet that was never given before.
func (n *Node) NewAddress(_ context.Context) (string, error) {
	a, err := n.wallet.NewAddress()
	if err != nil {
		return "", n.fail("new address", err)
	}
	return a.EncodeAddress(), nil
}

// WalletBalance is what the wallet holds on chain, without channels.
func (n *Node) WalletBalance(_ context.Context) (WalletBalance, error) {
	return n.wallet.Balance(), nil
}

// Coins lists the wallet's coins, the largest first.
func (n *Node) Coins(_ context.Context) ([]Coin, error) {
	coins, err := n.wallet.Coins()
	return coins, n.fail("list coins", err)
}

// Unconfirmed lists the wallet's transactions that are in no block, parents before children.
func (n *Node) Unconfirmed(_ context.Context) ([]*wire.MsgTx, error) {
	return n.wallet.Unconfirmed(), nil
}

// FundsStatus tells how the wallet's actor is doing.
func (n *Node) FundsStatus(_ context.Context) (FundsStatus, error) { return n.board.Status(), nil }

// Send pays an amount, or SendAll, to an address. With an error nothing was sent, but for errors of the context and messages.Fault: then look at
// Unconfirmed. Errors: ErrBadAddress, ErrBadOutput, ErrBadFeeRate, ErrNoFeeRate, ErrNotSynced, ErrSendRefused, *InsufficientFundsError, *ReserveError.
func (n *Node) Send(ctx context.Context, address string, amountSat uint64, o SendOptions) (Sent, error) {
	const op = "send"
	script, err := wallet.ParseAddress(address, n.cfg.Params)
	if err != nil {
		return Sent{}, n.fail(op, err)
	}
	switch {
	case amountSat == SendAll:
		amountSat = 0 // in the message
	case amountSat == 0 || amountSat > btcutil.MaxSatoshi:
		return Sent{}, n.fail(op, fmt.Errorf("%w: %d satoshis", ErrBadOutput, amountSat))
	}
	reply, err := ask[messages.SendReply](ctx, n, messages.FundsAddr, func(to messages.Addr) any {
		return messages.SendFunds{
			PkScript: script, AmountSat: amountSat, FeePerKw: o.FeePerKw, Target: o.Target, UseReserve: o.UseReserve, ReplyTo: to,
		}
	})
	if err == nil {
		err = reply.Err
	}
	return Sent{reply.Txid, reply.AmountSat, reply.FeeSat, reply.Accepted}, n.fail(op, err)
}

// BumpFee raises the fee of a transaction of ours that is in no block: of a Send, or of the sweep of a closed channel's outputs. Another transaction takes
// its place, which pays the same; Target is 2 if it is not given. Closing transactions and claims of channels raise their own fees as their deadlines
// come near. Errors: ErrNotPending, ErrHasChild, ErrNotReplaceable, and those of Send.
func (n *Node) BumpFee(ctx context.Context, txid chainhash.Hash, o SendOptions) (Sent, error) {
	reply, err := ask[messages.SendReply](ctx, n, messages.FundsAddr, func(to messages.Addr) any {
		return messages.BumpFee{Txid: txid, FeePerKw: o.FeePerKw, Target: o.Target, UseReserve: o.UseReserve, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return Sent{reply.Txid, reply.AmountSat, reply.FeeSat, reply.Accepted}, n.fail("bump fee", err)
}

// SeedWords are the 24 words of the seed in a data directory: all that it takes to have the wallet's coins again, together with the passphrase. They
// are the money: write them on paper and show them to nobody.
func SeedWords(dir string, passphrase []byte, params *chaincfg.Params) ([]string, error) {
	root, err := seed.Open(filepath.Join(dir, seedFile), passphrase, orRegtest(params))
	if err != nil {
		return nil, &Error{Op: "seed words", Err: err}
	}
	words, err := root.Words()
	if err != nil {
		return nil, &Error{Op: "seed words", Err: err}
	}
	return words, nil
}

// Restore writes the seed of 24 words to a data directory that has none; the passphrase is the one that the words were made under. A node opened there
// finds the coins of the wallet on chain, and uses no channel key again. Channels are not in the words: for those restore a backup into the directory, or
// keep the store: one that belongs to the seed may be there. Errors: ErrSeedExists, ErrStoreExists, ErrPassphrase, ErrInUse, ErrRestoreUnfinished,
// ErrCorrupt (of that store).
func Restore(dir string, words []string, passphrase []byte, params *chaincfg.Params) error {
	if dir == "" {
		return &Error{Op: "restore", Err: fmt.Errorf("%w: no data directory", ErrConfig)}
	}
	root, err := seed.FromWords(words, passphrase, orRegtest(params))
	if err != nil {
		return &Error{Op: "restore", Err: err}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{Op: "restore", Err: err}
	}
	release, err := takeFor(dir, root)
	if err != nil {
		return &Error{Op: "restore", Err: err}
	}
	_, err = seed.Restore(filepath.Join(dir, seedFile), words, passphrase, orRegtest(params))
	if err = errors.Join(err, release()); err != nil {
		return &Error{Op: "restore", Err: err}
	}
	return nil
}

// takeFor keeps nodes out of a data directory into which a seed may be written: it has no store, or that of this seed.
func takeFor(dir string, root *seed.Root) (release func() error, err error) {
	if err := CheckRestore(dir); err != nil {
		return nil, err
	}
	if err := noStore(dir); err == nil {
		lock, err := bboltstore.Take(dir, lockWait)
		if err != nil {
			return nil, err
		}
		return lock.Release, nil
	} else if !errors.Is(err, ErrStoreExists) {
		return nil, err
	}
	key, err := root.NodeKey()
	if err != nil {
		return nil, err
	}
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		return nil, err
	}
	row, _, err := s.Get(messages.BucketNode, identityKey)
	if err == nil && !bytes.HasPrefix(row.Value, key.PubKey().SerializeCompressed()) {
		err = fmt.Errorf("%w, and it is not of this seed: %s", ErrStoreExists, dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s.Close, nil
}

func orRegtest(params *chaincfg.Params) *chaincfg.Params {
	if params == nil {
		return regtest.Params()
	}
	return params
}

// PassphraseEnv is the environment variable that PassphraseFromEnv reads.
const PassphraseEnv = "LNACTOR_PASSPHRASE"

// PassphraseFromEnv is the seed's passphrase from the environment, for unattended starts where a file will not do: ok is false if the variable is not
// set. It is removed from the environment, so that no child process inherits it. Give it to Config.Passphrase.
func PassphraseFromEnv() (passphrase []byte, ok bool, err error) {
	value, ok := os.LookupEnv(PassphraseEnv)
	if !ok {
		return nil, false, nil
	}
	return []byte(value), true, os.Unsetenv(PassphraseEnv)
}

// maxPassphrase bounds what is read of a passphrase file.
const maxPassphrase = 4096

// readPassphrase is the content of a file without its last line break.
func readPassphrase(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: passphrase file: %w", ErrConfig, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%w: passphrase file %s can be read by everybody; run: chmod 600 %q", ErrConfig, path, path)
	}
	if info.Size() > maxPassphrase {
		return nil, fmt.Errorf("%w: passphrase file %s has %d bytes, at most %d are read", ErrConfig, path, info.Size(), maxPassphrase)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: passphrase file: %w", ErrConfig, err)
	}
	return bytes.TrimRight(content, "\r\n"), nil
}

func (n *Node) openWallet(ctx context.Context, root *seed.Root) error {
	next, save, err := walletIndexes(n.cfg.Dir)
	if err != nil {
		return err
	}
	cfg := wallet.Config{Params: n.cfg.Params, Keys: root, Next: next, SaveIndexes: save, SpendUnconfirmedChange: true}
	if raw := n.readWalletCache(); raw != nil {
		if n.wallet, err = wallet.Restore(cfg, raw); err == nil {
			return nil
		}
		n.cfg.Log.Warn("the wallet's cache is of no use; reading the chain from the seed's birthday", "error", err)
	}
	if time.Since(root.Birthday()) > birthdayMargin {
		cfg.Lookahead = recoveryLookahead
	}
	if n.wallet, err = wallet.New(cfg); err != nil {
		return err
	}
	if name := n.cfg.Params.Name; name == chaincfg.RegressionNetParams.Name || name == chaincfg.SimNetParams.Name {
		return nil // their clocks are not the world's, and they are short
	}
	n.walletFrom, err = heightAt(ctx, n.chain, root.Birthday().Add(-birthdayMargin))
	return err
}

// birthdayMargin covers the clocks of miners, and of the machine that made the seed.
const birthdayMargin = 48 * time.Hour

// recoveryLookahead is the gap of unused addresses up to which coins are found where the chain is read for a seed that is not new, perhaps of its words
// alone. A restore of a backup leaves a gap of addressesAhead, and so does each restore after it if the node in between was paid nothing. Addresses are
// given up otherwise too: with each opening that fails, and each claim that is replaced by none.
const recoveryLookahead = 2*addressesAhead + 500

// heightAt is the height of the last block whose time is before t, by search; 0 if there is none.
func heightAt(ctx context.Context, source ChainSource, t time.Time) (uint32, error) {
	tip, err := source.Tip(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the block of the seed's birthday: %w", err)
	}
	low, high := int32(0), tip.Height // before t, or 0; the last candidate
	for low < high {
		middle := low + (high-low+1)/2
		hash, err := source.HashAt(ctx, middle)
		if err == nil {
			var header wire.BlockHeader
			if header, _, err = source.Header(ctx, hash); err == nil {
				if header.Timestamp.Before(t) {
					low = middle
				} else {
					high = middle - 1
				}
				continue
			}
		}
		if !errors.Is(err, chain.ErrNotFound) { // it left the chain meanwhile
			return 0, fmt.Errorf("find the block of the seed's birthday: %w", err)
		}
		high = middle - 1
	}
	return uint32(low), nil
}

// walletCache is a cache: the wallet's coins and recent blocks, and what was sent and is not buried. Without it the chain is read again. Its first
// line names the node.
const walletCache = "wallet-cache"

func (n *Node) readWalletCache() []byte {
	if n.cfg.Dir == "" {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(n.cfg.Dir, walletCache))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	id, raw, ok := bytes.Cut(content, []byte("\n"))
	if err != nil || !ok || string(id) != hex.EncodeToString(n.id[:]) {
		n.cfg.Log.Warn("the wallet's cache can't be read or is another node's; reading the chain from the seed's birthday", "error", err)
		return nil
	}
	return raw
}

func (n *Node) writeWalletCache(raw []byte) error {
	return atomicfile.Write(filepath.Join(n.cfg.Dir, walletCache), append([]byte(hex.EncodeToString(n.id[:])+"\n"), raw...))
}

// fundsConfig is what the wallet's actor needs beside the wallet and the chain.
func (n *Node) fundsConfig() funds.Config {
	cfg := funds.Config{Board: &n.board, Fallback: n.cfg.FeePerKw, MaxCommitmentFee: n.cfg.MaxCommitmentFeePerKw}
	if !n.cfg.KeepCommitmentFees {
		cfg.Estimates = func() bool {
			h := n.fees.Health()
			return h.State == fees.OK && (h.Origin == fees.FromChain || h.Origin == fees.FromURL)
		}
	}
	if n.cfg.Dir != "" {
		cfg.Save = n.writeWalletCache
	}
	return cfg
}
