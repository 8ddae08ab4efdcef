package neutrino

import (
	"strings"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// reasons are parts of what btcd, and bitcoind before 0.20, say in a reject message, in the order in which they are looked for.
var reasons = []struct {
	part string
	code chain.BroadcastCode
}{
	{"txn-mempool-conflict", chain.BroadcastConflict},
	{"already spent", chain.BroadcastConflict},
	{"double spend", chain.BroadcastConflict},
	{"already have transaction", chain.BroadcastInMempool},
	{"txn-already-in-mempool", chain.BroadcastInMempool},
	{"transaction already exists", chain.BroadcastConfirmed},
	{"txn-already-known", chain.BroadcastConfirmed},
	{"missingorspent", chain.BroadcastMissingInputs},
	{"missing-inputs", chain.BroadcastMissingInputs},
	{"orphan", chain.BroadcastMissingInputs},
	{"not finalized", chain.BroadcastNotFinal},
	{"non-final", chain.BroadcastNotFinal},
	{"sequence lock", chain.BroadcastNotFinal},
	{"non-BIP68-final", chain.BroadcastNotFinal},
}

// codeOf maps a peer's refusal.
func codeOf(m *wire.MsgReject) chain.BroadcastCode {
	for _, r := range reasons {
		if strings.Contains(m.Reason, r.part) {
			return r.code
		}
	}
	switch m.Code {
	case wire.RejectInsufficientFee:
		return chain.BroadcastFeeTooLow
	case wire.RejectDuplicate:
		return chain.BroadcastConflict
	default:
		return chain.BroadcastRejected
	}
}
