package commitment

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"
)

// Close is what both sides agreed on for a mutual close (BOLT 2, Closing
// Negotiation). Balances are the final ones, before the fee, which the funder
// pays; what is below a satoshi goes to the fee.
type Close struct {
	HolderScript, CounterpartyScript []byte // of the shutdown messages
	HolderMsat, CounterpartyMsat     lnwire.MilliSatoshi
	Fee                              btcutil.Amount
}

// CloseTx is an unsigned mutual close. It is read-only.
type CloseTx struct {
	Tx            *wire.MsgTx
	Capacity      btcutil.Amount
	FundingScript []byte

	// HolderIndex and CounterpartyIndex are -1 when the output is left out.
	HolderIndex, CounterpartyIndex int
}

// MutualClose builds the closing transaction this node offers: outputs below
// the holder's own dust limit are left out (BOLT 3, Closing Transaction).
// Errors: ErrInvalid, ErrUnbalanced, ErrFunderCannotPay, ErrNoOutputs,
// ErrDustOutput.
func MutualClose(s *Static, c *Close) (*CloseTx, error) {
	holder, counterparty, err := closeAmounts(s, c)
	if err != nil {
		return nil, err
	}
	dust := max(s.HolderDustLimit, 1)
	return closeTx(s, c, holder, counterparty, holder >= dust, counterparty >= dust)
}

// VerifyMutualClose finds the closing transaction that the counterparty signed.
// BOLT 3 lets the signer leave out outputs below its own dust limit, and its own
// output whatever it is worth, so there is more than one candidate; they are
// tried in a fixed order. The holder's output is missed only where it is dust to
// one of the two. To answer with the same fee, sign the transaction returned.
// The error is a *SignatureError if no candidate fits; candidates that would not
// relay are none.
func VerifyMutualClose(s *Static, c *Close, sig lnwire.Sig) (*CloseTx, error) {
	holder, counterparty, err := closeAmounts(s, c)
	if err != nil {
		return nil, err
	}
	mayMiss := holder < max(s.HolderDustLimit, s.CounterpartyDustLimit, 1)
	reason := ErrNoOutputs
	for _, has := range [...]struct{ holder, counterparty bool }{
		{true, true}, {true, false}, {false, true},
	} {
		if (has.holder && holder == 0) || (has.counterparty && counterparty == 0) ||
			(!has.holder && !mayMiss) {
			continue
		}
		t, err := closeTx(s, c, holder, counterparty, has.holder, has.counterparty)
		if errors.Is(err, ErrDustOutput) {
			reason = err
			continue
		}
		if err != nil {
			return nil, err
		}
		hash, err := t.SigHash()
		if err != nil {
			return nil, err
		}
		if reason = verifySig(hash, sig, s.Counterparty.Funding); reason == nil {
			return t, nil
		}
	}
	return nil, &SignatureError{Of: OfMutualClose, Reason: reason}
}

// SigHash is what both sides sign of the mutual close.
func (t *CloseTx) SigHash() ([]byte, error) {
	return sigHashAll(t.Tx, 0, t.FundingScript, int64(t.Capacity))
}

// Complete returns a copy of the mutual close with its witness.
func (t *CloseTx) Complete(s *Static, holderSig, counterpartySig lnwire.Sig) (*wire.MsgTx, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return completeFunding(t.Tx, t.FundingScript, s.Holder.Funding, holderSig, s.Counterparty.Funding, counterpartySig)
}

// closeAmounts checks a close, takes the fee from the funder and rounds down.
func closeAmounts(s *Static, c *Close) (holder, counterparty btcutil.Amount, err error) {
	if err := s.Check(); err != nil {
		return 0, 0, err
	}
	total := lnwire.NewMSatFromSatoshis(s.Capacity)
	switch {
	case c == nil:
		return 0, 0, invalid("no close")
	case len(c.HolderScript) == 0 || len(c.CounterpartyScript) == 0:
		return 0, 0, invalid("a shutdown script is missing")
	case c.Fee < 0 || c.Fee > s.Capacity:
		return 0, 0, invalid("closing fee of %d sat", int64(c.Fee))
	case c.HolderMsat > total || c.CounterpartyMsat != total-c.HolderMsat:
		return 0, 0, ErrUnbalanced
	}
	holder, counterparty = c.HolderMsat.ToSatoshis(), c.CounterpartyMsat.ToSatoshis()
	funder, balance := &holder, c.HolderMsat
	if !s.HolderIsFunder {
		funder, balance = &counterparty, c.CounterpartyMsat
	}
	if *funder < c.Fee {
		return 0, 0, &FunderError{Balance: balance, Fee: c.Fee}
	}
	*funder -= c.Fee
	return holder, counterparty, nil
}

// closeTx builds the transaction with the given outputs, ordered as in BIP 69.
func closeTx(s *Static, c *Close, holder, counterparty btcutil.Amount, hasHolder, hasCounterparty bool) (*CloseTx, error) {
	if !hasHolder && !hasCounterparty {
		return nil, ErrNoOutputs
	}
	script, _, err := FundingScript(s.Holder.Funding, s.Counterparty.Funding)
	if err != nil {
		return nil, err
	}
	t := &CloseTx{Capacity: s.Capacity, FundingScript: script, HolderIndex: -1, CounterpartyIndex: -1}
	outs := make([]output, 0, 2)
	if hasHolder {
		outs = append(outs, output{value: int64(holder), script: c.HolderScript, index: &t.HolderIndex})
	}
	if hasCounterparty {
		outs = append(outs, output{value: int64(counterparty), script: c.CounterpartyScript, index: &t.CounterpartyIndex})
	}
	slices.SortStableFunc(outs, func(a, b output) int {
		return cmp.Or(cmp.Compare(a.value, b.value), bytes.Compare(a.script, b.script))
	})
	t.Tx = wire.NewMsgTx(2)
	t.Tx.TxIn = []*wire.TxIn{{PreviousOutPoint: s.Funding, Sequence: wire.MaxTxInSequenceNum}}
	for i, o := range outs {
		if btcutil.Amount(o.value) < ScriptDust(o.script) {
			return nil, ErrDustOutput
		}
		t.Tx.TxOut = append(t.Tx.TxOut, &wire.TxOut{Value: o.value, PkScript: bytes.Clone(o.script)})
		*o.index = i
	}
	return t, nil
}
