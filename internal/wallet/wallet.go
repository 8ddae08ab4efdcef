package wallet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/txsort"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/wallet/txauthor"
	"github.com/btcsuite/btcwallet/wallet/txrules"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// Wallet is what a node needs of its on-chain money. It is safe for concurrent use.
type Wallet interface {
	// NewAddress is an address never shown before; its index is durable by now.
	NewAddress() (btcutil.Address, error)

	// NewScript is NewAddress as an output script, for upfront_shutdown_script and shutdown.
	NewScript() ([]byte, error)

	// FundTx makes and signs the transaction that pays outputs, and reserves its inputs under lock until Release. It is not broadcast, nor counted
	// as spent: call AddUnconfirmed when it is.
	FundTx(outputs []*wire.TxOut, feeRate chainfee.SatPerKWeight, lock LockID) (*Funded, error)

	// Reserve holds the inputs of a transaction made before a restart. The coins need not be known yet.
	Reserve(lock LockID, tx *wire.MsgTx) error

	// Release gives back what lock holds. An unknown lock is a no-op.
	Release(lock LockID)

	// Balance is what the wallet holds as of the tip.
	Balance() Balance

	// ConnectBlock applies the block after the tip, DisconnectBlock undoes the tip. Errors: *OutOfOrderError, ErrReorgTooDeep.
	ConnectBlock(height uint32, hash chainhash.Hash, block *wire.MsgBlock) error
	DisconnectBlock(height uint32, hash chainhash.Hash) error

	// Rescan forgets all blocks, after ErrReorgTooDeep.
	Rescan() error

	// Tip is the last block applied; ok is false before the first.
	Tip() (height uint32, hash chainhash.Hash, ok bool)

	// AddUnconfirmed tells of a transaction that was broadcast. Others' transactions and confirmed ones are ignored. Before the blocks up to the
	// tip are connected, Reserve is what protects a transaction's inputs.
	AddUnconfirmed(tx *wire.MsgTx) error

	// IsOurs says whether an output script pays to this wallet.
	IsOurs(pkScript []byte) bool

	// Pay, Bump, Resend, Sent, Abandon and Unconfirmed are for payments to others; see HD.
	Pay(p *Payment) (*Funded, error)
	Bump(txid chainhash.Hash, rate chainfee.SatPerKWeight, keep btcutil.Amount) (*Funded, error)
	Resend(tx *wire.MsgTx) error
	Sent() []*wire.MsgTx
	Abandon(txid chainhash.Hash)
	Unconfirmed() []*wire.MsgTx

	// Snapshot is the wallet for Restore.
	Snapshot() ([]byte, error)

	// BuildClaim, ReserveClaim and ReleaseClaim are for transactions that spend outputs of channels; see HD.
	BuildClaim(c *ClaimSpec) (*BuiltClaim, error)
	ReserveClaim(lock LockID, tx *wire.MsgTx) error
	ReleaseClaim(lock LockID)

	// HasCoins tells whether all of these are outputs of ours that no block has spent.
	HasCoins(ops []wire.OutPoint) bool
}

var _ Wallet = (*HD)(nil)

const (
	// DefaultLookahead is BIP 44's address gap limit.
	DefaultLookahead = 20

	maxLookahead = 100_000 // what a snapshot may ask for

	// UndoDepth is how many blocks back a reorganisation can be followed.
	UndoDepth = 144

	// maxFeeRate stops a fee typed in the wrong unit: 10,000 satoshis per virtual byte.
	maxFeeRate = 2_500_000
)

// Config is what a wallet is built from.
type Config struct {
	Params *chaincfg.Params
	Keys   KeySource

	// Next are the indexes that SaveIndexes last made durable.
	Next Indexes

	// SaveIndexes makes indexes durable; it is called before an address is returned or a change output is signed, with the wallet locked, so it must
	// not call back. If it is nil, the owner writes Indexes() itself before it lets an address out.
	SaveIndexes func(Indexes) error

	// Lookahead is how many unused addresses are watched; zero is DefaultLookahead. A snapshot keeps it, so that a wallet that looks for coins of which
	// nothing is known but the seed goes on to do so after a restart.
	Lookahead uint32

	// SpendUnconfirmedChange lets FundTx spend change of our own transactions before it confirms.
	SpendUnconfirmedChange bool
}

// HD is the wallet on the node's own seed.
type HD struct {
	cfg Config

	mu     sync.Mutex
	ledger *ledger

	// claimScripts are where claims pay to, so that a replacement uses up no other address.
	claimScripts map[LockID][]byte
}

// New is an empty wallet. It learns its coins from the blocks connected.
func New(cfg Config) (*HD, error) {
	if cfg.Params == nil || cfg.Keys == nil {
		return nil, errors.New("wallet: chain parameters or keys are missing")
	}
	if cfg.Lookahead == 0 {
		cfg.Lookahead = DefaultLookahead
	}
	s, err := newScripts(cfg.Keys, cfg.Params, cfg.Lookahead, cfg.Next)
	if err != nil {
		return nil, err
	}
	return &HD{cfg: cfg, ledger: newLedger(s, UndoDepth), claimScripts: make(map[LockID][]byte)}, nil
}

// Funded is a signed transaction of ours.
type Funded struct {
	Tx *wire.MsgTx

	// Outputs are the positions in Tx of the outputs asked for, in their order.
	Outputs []uint32

	// ChangeIndex is the position of the change, negative if there is none.
	ChangeIndex int

	Fee btcutil.Amount

	// PrevOuts are the outputs that Tx spends, in the order of its inputs.
	PrevOuts []*wire.TxOut
}

// NewAddress implements Wallet.
func (w *HD) NewAddress() (btcutil.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr, _, err := w.newAddress()
	return addr, err
}

// NewScript implements Wallet.
func (w *HD) NewScript() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, script, err := w.newAddress()
	return script, err
}

func (w *HD) newAddress() (btcutil.Address, []byte, error) {
	ref := keyRef{branchReceive, w.ledger.scripts.next.Receive}
	addr, script, err := w.ledger.scripts.address(ref)
	if err != nil {
		return nil, nil, err
	}
	if err := w.take(ref); err != nil {
		return nil, nil, err
	}
	return addr, script, nil
}

// take uses up an index, durably first. After an error the index may be durable as used, which costs nothing.
func (w *HD) take(ref keyRef) error {
	next := w.ledger.scripts.next.raised(ref.branch, ref.index+1)
	if w.cfg.SaveIndexes != nil {
		if err := w.cfg.SaveIndexes(next); err != nil {
			return fmt.Errorf("wallet: save address index: %w", err)
		}
	}
	return w.ledger.scripts.advance(next)
}

// Indexes are the next unused indexes, for an owner that makes them durable by itself.
func (w *HD) Indexes() Indexes {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.scripts.next
}

// FundTx implements Wallet. Errors: *InsufficientFundsError, ErrBadOutput, ErrBadFeeRate, ErrLockInUse.
func (w *HD) FundTx(outputs []*wire.TxOut, feeRate chainfee.SatPerKWeight, lock LockID) (*Funded, error) {
	if err := checkFeeRate(feeRate); err != nil {
		return nil, err
	}
	wanted := make([]*wire.TxOut, len(outputs))
	for i, out := range outputs {
		if err := txrules.CheckOutput(out, txrules.DefaultRelayFeePerKb); err != nil {
			return nil, fmt.Errorf("%w: output %d: %w", ErrBadOutput, i, err)
		}
		wanted[i] = wire.NewTxOut(out.Value, out.PkScript)
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrBadOutput)
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ledger.byLock[lock]) != 0 {
		return nil, ErrLockInUse
	}
	scripts := w.ledger.scripts
	changeRef := keyRef{branchChange, scripts.next.Change}
	_, changeScript, err := scripts.address(changeRef)
	if err != nil {
		return nil, err
	}
	coins := w.ledger.spendable(w.cfg.SpendUnconfirmedChange)
	authored, err := author(coins, w.script, wanted, feeRate, changeScript)
	if err != nil {
		return nil, err
	}
	if authored.ChangeIndex >= 0 {
		if err := w.take(changeRef); err != nil {
			return nil, err
		}
	}
	funded, err := w.sign(authored, wanted)
	if err != nil {
		return nil, err
	}
	// Last, so that an error reserves nothing.
	return funded, w.ledger.lock(lock, spentOutPoints(funded.Tx))
}

func (w *HD) script(ref keyRef) ([]byte, error) {
	return w.ledger.scripts.ordered[ref.branch][ref.index], nil
}

// sign sorts the transaction (BIP 69, so that the change does not stand out), signs it, and runs every script.
func (w *HD) sign(authored *txauthor.AuthoredTx, wanted []*wire.TxOut) (*Funded, error) {
	tx := authored.Tx
	prev := make(map[wire.OutPoint]*wire.TxOut, len(tx.TxIn))
	for i, in := range tx.TxIn {
		prev[in.PreviousOutPoint] = wire.NewTxOut(int64(authored.PrevInputValues[i]), authored.PrevScripts[i])
	}
	f := &Funded{Tx: tx, ChangeIndex: -1, Fee: authored.TotalInput - txauthor.SumOutputValues(tx.TxOut), Outputs: make([]uint32, len(wanted))}
	var change *wire.TxOut
	if authored.ChangeIndex >= 0 {
		change = tx.TxOut[authored.ChangeIndex]
	}
	txsort.InPlaceSort(tx)
	for i, out := range tx.TxOut { // outputs are found again by identity: two may be equal
		if out == change {
			f.ChangeIndex = i
		}
		for j := range wanted {
			if out == wanted[j] {
				f.Outputs[j] = uint32(i)
			}
		}
	}
	pkScripts, values := make([][]byte, len(tx.TxIn)), make([]btcutil.Amount, len(tx.TxIn))
	for i, in := range tx.TxIn {
		out := prev[in.PreviousOutPoint]
		f.PrevOuts = append(f.PrevOuts, out)
		pkScripts[i], values[i] = out.PkScript, btcutil.Amount(out.Value)
	}
	if err := txauthor.AddAllInputScripts(tx, pkScripts, values, secrets{w.ledger.scripts}); err != nil {
		return nil, fmt.Errorf("wallet: sign: %w", err)
	}
	return f, verify(tx, f.PrevOuts)
}

// verify runs every input's script. A transaction that nodes would refuse must not get as far as a channel.
func verify(tx *wire.MsgTx, prevOuts []*wire.TxOut) error {
	fetcher := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		fetcher.AddPrevOut(in.PreviousOutPoint, prevOuts[i])
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	for i, out := range prevOuts {
		if err := runScript(tx, i, out, hashes, fetcher); err != nil {
			return err
		}
	}
	return nil
}

func runScript(tx *wire.MsgTx, i int, out *wire.TxOut, hashes *txscript.TxSigHashes, fetcher txscript.PrevOutputFetcher) error {
	engine, err := txscript.NewEngine(out.PkScript, tx, i, txscript.StandardVerifyFlags, nil, hashes, out.Value, fetcher)
	if err == nil {
		err = engine.Execute()
	}
	if err != nil {
		return fmt.Errorf("wallet: input %d does not verify: %w", i, err)
	}
	return nil
}

// secrets gives txauthor the keys it asks for.
type secrets struct {
	scripts *scripts
}

// ChainParams implements txauthor.SecretsSource.
func (s secrets) ChainParams() *chaincfg.Params { return s.scripts.params }

// GetKey implements txauthor.SecretsSource.
func (s secrets) GetKey(addr btcutil.Address) (*btcec.PrivateKey, bool, error) {
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, false, err
	}
	ref, ok := s.scripts.lookup(script)
	if !ok {
		return nil, false, fmt.Errorf("no key for %v", addr)
	}
	key, err := s.scripts.keys.WalletKey(ref.branch, ref.index)
	return key, true, err
}

// GetScript implements txauthor.SecretsSource; P2WPKH has no redeem scripts.
func (s secrets) GetScript(addr btcutil.Address) ([]byte, error) {
	return nil, fmt.Errorf("no script for %v", addr)
}

func spentOutPoints(tx *wire.MsgTx) []wire.OutPoint {
	ops := make([]wire.OutPoint, len(tx.TxIn))
	for i, in := range tx.TxIn {
		ops[i] = in.PreviousOutPoint
	}
	return ops
}
