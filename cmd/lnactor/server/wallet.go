package server

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func (s *service) NewAddress(ctx context.Context, _ *apiv1.NewAddressRequest) (*apiv1.NewAddressResponse, error) {
	address, err := s.cfg.Node.NewAddress(ctx)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.NewAddressResponse{Address: address}, nil
}

func (s *service) WalletBalance(ctx context.Context, _ *apiv1.WalletBalanceRequest) (*apiv1.WalletBalanceResponse, error) {
	b, err := s.cfg.Node.WalletBalance(ctx)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.WalletBalanceResponse{
		ConfirmedSat: uint64(b.Confirmed), UnconfirmedSat: uint64(b.Unconfirmed),
		ReservedSat: uint64(b.Reserved), ImmatureSat: uint64(b.Immature),
	}, nil
}

func (s *service) ListCoins(ctx context.Context, _ *apiv1.ListCoinsRequest) (*apiv1.ListCoinsResponse, error) {
	coins, err := s.cfg.Node.Coins(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListCoinsResponse{}
	for _, c := range coins {
		coin := &apiv1.Coin{
			Outpoint: c.OutPoint.String(), AmountSat: uint64(c.Value), Address: c.Address, Height: c.Height, Immature: c.Immature, Reserved: c.Reserved,
		}
		if c.SpentBy != (chainhash.Hash{}) {
			coin.SpentBy = c.SpentBy.String()
		}
		out.Coins = append(out.Coins, coin)
	}
	return out, nil
}

func (s *service) Send(ctx context.Context, r *apiv1.SendRequest) (*apiv1.SendResponse, error) {
	amount := r.GetAmountSat()
	switch {
	case r.GetAddress() == "":
		return nil, invalid("no address", "say where the coins go")
	case r.GetAll() && amount != 0:
		return nil, invalid("both an amount and all", "give one of them")
	case r.GetAll():
		amount = lnactor.SendAll
	case amount == 0 || amount == lnactor.SendAll:
		return nil, invalid("no amount", "give amount_sat, or all")
	}
	sent, err := s.cfg.Node.Send(ctx, r.GetAddress(), amount, lnactor.SendOptions{
		FeePerKw: r.GetFeePerKw(), Target: r.GetTargetBlocks(), UseReserve: r.GetUseReserve(),
	})
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.SendResponse{Txid: sent.Txid.String(), AmountSat: sent.AmountSat, FeeSat: sent.FeeSat, Accepted: sent.Accepted}, nil
}

func (s *service) BumpFee(ctx context.Context, r *apiv1.BumpFeeRequest) (*apiv1.BumpFeeResponse, error) {
	txid, err := chainhash.NewHashFromStr(r.GetTxid())
	if err != nil || len(r.GetTxid()) != 2*chainhash.HashSize {
		return nil, invalid(fmt.Sprintf("%.80q is not a transaction id", r.GetTxid()), "it has 64 hexadecimal digits; Send returns it, and ListCoins shows it")
	}
	sent, err := s.cfg.Node.BumpFee(ctx, *txid, lnactor.SendOptions{FeePerKw: r.GetFeePerKw(), Target: r.GetTargetBlocks(), UseReserve: r.GetUseReserve()})
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.BumpFeeResponse{Txid: sent.Txid.String(), AmountSat: sent.AmountSat, FeeSat: sent.FeeSat, Accepted: sent.Accepted}, nil
}
