package wallet

import (
	"bytes"
	"sort"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/wallet/txauthor"
	"github.com/btcsuite/btcwallet/wallet/txrules"
	"github.com/btcsuite/btcwallet/wallet/txsizes"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// Balance is what the wallet holds. The four sums are disjoint.
type Balance struct {
	// Confirmed can be spent.
	Confirmed btcutil.Amount

	// Unconfirmed is paid to us by transactions in no block yet.
	Unconfirmed btcutil.Amount

	// Reserved is confirmed and held for transactions that are not broadcast yet.
	Reserved btcutil.Amount

	// Immature are block rewards less than 100 blocks deep.
	Immature btcutil.Amount
}

// Total is the sum of all.
func (b Balance) Total() btcutil.Amount {
	return b.Confirmed + b.Unconfirmed + b.Reserved + b.Immature
}

func (l *ledger) balance() Balance {
	var b Balance
	for op, c := range l.coins { // a sum: the order is of no matter
		_, spent := l.spentBy[op]
		_, reserved := l.locks[op]
		switch {
		case spent:
		case c.height == 0:
			b.Unconfirmed += c.value
		case !l.mature(c):
			b.Immature += c.value
		case reserved:
			b.Reserved += c.value
		default:
			b.Confirmed += c.value
		}
	}
	return b
}

// mature says whether consensus lets the next block spend c.
func (l *ledger) mature(c *coin) bool {
	return !c.coinbase || l.tip().height+1 >= c.height+uint32(l.scripts.params.CoinbaseMaturity)
}

// spendable are the coins that may be selected, in the order of selection: the largest first, so that a channel takes few inputs, and
// coins of equal value by outpoint. Unconfirmed coins count only if they are change of our own and change is true: nobody else can replace those.
func (l *ledger) spendable(change bool) []*coin {
	var coins []*coin
	for op, c := range l.coins {
		_, spent := l.spentBy[op]
		_, reserved := l.locks[op]
		confirmed := c.height != 0 && l.mature(c)
		if !spent && !reserved && (confirmed || change && l.ownChange(c)) {
			coins = append(coins, c)
		}
	}
	sortCoins(coins)
	return coins
}

// sortCoins puts the largest first, and coins of equal value by outpoint.
func sortCoins(coins []*coin) {
	sort.Slice(coins, func(i, j int) bool {
		a, b := coins[i], coins[j]
		if a.value != b.value {
			return a.value > b.value
		}
		if d := bytes.Compare(a.op.Hash[:], b.op.Hash[:]); d != 0 {
			return d < 0
		}
		return a.op.Index < b.op.Index
	})
}

func (l *ledger) ownChange(c *coin) bool {
	return c.height == 0 && c.ref.branch == branchChange
}

// author makes the unsigned transaction that pays outputs at feeRate from the first of coins that suffice.
func author(coins []*coin, scriptOf func(keyRef) ([]byte, error), outputs []*wire.TxOut, feeRate chainfee.SatPerKWeight, changeScript []byte) (*txauthor.AuthoredTx, error) {
	perKVByte := btcutil.Amount(feeRate.FeePerKVByte())
	inputCost := txrules.FeeForSerializeSize(perKVByte, txsizes.RedeemP2WPKHInputSize+(txsizes.RedeemP2WPKHInputWitnessWeight+3)/4)

	var (
		total   btcutil.Amount
		inputs  []*wire.TxIn
		values  []btcutil.Amount
		scripts [][]byte
		need    btcutil.Amount
	)
	source := func(target btcutil.Amount) (btcutil.Amount, []*wire.TxIn, []btcutil.Amount, [][]byte, error) {
		need = target
		for total < target && len(inputs) < len(coins) {
			c := coins[len(inputs)]
			if c.value <= inputCost {
				break // it and all after it cost more than they bring
			}
			script, err := scriptOf(c.ref)
			if err != nil {
				return 0, nil, nil, nil, err
			}
			total += c.value
			inputs = append(inputs, wire.NewTxIn(&c.op, nil, nil))
			values = append(values, c.value)
			scripts = append(scripts, script)
		}
		if total < target {
			return 0, nil, nil, nil, &InsufficientFundsError{Need: need, Have: total}
		}
		return total, inputs, values, scripts, nil
	}
	change := &txauthor.ChangeSource{
		ScriptSize: txsizes.P2WPKHPkScriptSize,
		NewScript:  func() ([]byte, error) { return changeScript, nil },
	}
	return txauthor.NewUnsignedTransaction(outputs, perKVByte, source, change)
}
