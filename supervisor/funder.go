package supervisor

import (
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/wallet"
)

// funder is the wallet as an opening needs it.
type funder struct{ wallet.Wallet }

// FundTx implements opening.Funder.
func (f funder) FundTx(out *wire.TxOut, feePerKw uint32, lock ln.ChannelID) (*wire.MsgTx, uint32, error) {
	funded, err := f.Wallet.FundTx([]*wire.TxOut{out}, chainfee.SatPerKWeight(feePerKw), wallet.LockID(lock))
	if err != nil {
		return nil, 0, err
	}
	return funded.Tx, funded.Outputs[0], nil
}

// Release implements opening.Funder.
func (f funder) Release(lock ln.ChannelID) { f.Wallet.Release(wallet.LockID(lock)) }
