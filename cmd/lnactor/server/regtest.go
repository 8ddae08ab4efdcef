package server

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/wallet"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// regtestService drives the embedded chain.
type regtestService struct{ cfg Config }

// mostBlocks bounds one call of Mine.
const mostBlocks = 1000

func (s *regtestService) Mine(_ context.Context, r *apiv1.MineRequest) (*apiv1.MineResponse, error) {
	n := r.GetBlocks()
	if n < 1 || n > mostBlocks {
		return nil, invalid(fmt.Sprintf("%d blocks", n), fmt.Sprintf("mine 1 to %d at once", mostBlocks))
	}
	if _, err := s.cfg.Chain.Mine(int(n)); err != nil {
		return nil, failed(err)
	}
	return &apiv1.MineResponse{Height: uint32(s.cfg.Chain.Height())}, nil //nolint:gosec // heights are not negative
}

func (s *regtestService) Fund(_ context.Context, r *apiv1.FundRequest) (*apiv1.FundResponse, error) {
	script, err := wallet.ParseAddress(r.GetAddress(), s.cfg.Params)
	if err != nil {
		return nil, failed(err)
	}
	const most = 100 * btcutil.SatoshiPerBitcoin
	if r.GetAmountSat() < 1000 || r.GetAmountSat() > most {
		return nil, invalid(fmt.Sprintf("an amount of %d sat", r.GetAmountSat()), fmt.Sprintf("1000 to %d are possible", uint64(most)))
	}
	tx, err := s.cfg.Chain.Pay(wire.NewTxOut(int64(r.GetAmountSat()), script)) //nolint:gosec // bounded above
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.FundResponse{Txid: tx.TxHash().String()}, nil
}
