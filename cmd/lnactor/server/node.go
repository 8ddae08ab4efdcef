package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// Node is what the API needs of a node; see Of.
type Node interface {
	ID() lnactor.NodeID
	ListenAddress() string

	NewAddress(ctx context.Context) (string, error)
	WalletBalance(ctx context.Context) (lnactor.WalletBalance, error)
	Coins(ctx context.Context) ([]lnactor.Coin, error)
	Send(ctx context.Context, address string, amountSat uint64, o lnactor.SendOptions) (lnactor.Sent, error)

	BumpFee(ctx context.Context, txid chainhash.Hash, o lnactor.SendOptions) (lnactor.Sent, error)

	Connect(ctx context.Context, id lnactor.NodeID, address string) error
	Disconnect(ctx context.Context, id lnactor.NodeID) error
	Peers(ctx context.Context) ([]lnactor.Peer, error)

	OpenChannel(ctx context.Context, p lnactor.OpenParams) (lnactor.ChannelID, error)
	CloseChannel(ctx context.Context, id lnactor.ChannelID) error
	ForceCloseChannel(ctx context.Context, id lnactor.ChannelID) error
	SetChannelFee(ctx context.Context, id lnactor.ChannelID, feePerKw uint32) error
	SetPolicy(ctx context.Context, id lnactor.ChannelID, p lnactor.ForwardingPolicy) error
	Policies(ctx context.Context) ([]lnactor.OwnPolicies, error)
	Forwarding() lnactor.ForwardingPolicy
	Channels(ctx context.Context) ([]lnactor.Channel, error)
	ClosedChannels(ctx context.Context, page []byte, limit int) (list []lnactor.ClosedChannel, next []byte, err error)
	Quarantined(ctx context.Context) ([]lnactor.ChannelID, error)

	CreateInvoice(ctx context.Context, p lnactor.InvoiceParams) (lnactor.Invoice, error)
	// StartPayment is Pay, StartKeysend is Keysend.
	StartPayment(ctx context.Context, bolt11 string, p PayParams) error
	StartKeysend(ctx context.Context, payee lnactor.NodeID, p PayParams) error
	AbandonPayment(ctx context.Context, id lnactor.PaymentID) error
	GetPayment(ctx context.Context, id lnactor.PaymentID) (lnactor.Payment, error)
	Payments(ctx context.Context, page []byte, limit int) (list []lnactor.Payment, next []byte, err error)
	ClaimPayment(ctx context.Context, hash lnactor.Hash) error
	ClaimPaymentWith(ctx context.Context, preimage lnactor.Preimage) error
	RefusePayment(ctx context.Context, hash lnactor.Hash) error
	Received(ctx context.Context, page []byte, limit int) (list []lnactor.Received, next []byte, err error)
	GetReceived(ctx context.Context, hash lnactor.Hash) (lnactor.Received, error)
	CancelInvoice(ctx context.Context, hash lnactor.Hash) error

	Balance(ctx context.Context) (lnactor.Balance, error)
	FeeHealth() lnactor.FeeHealth
	FundsStatus(ctx context.Context) (lnactor.FundsStatus, error)
}

// Of is a node as the API needs it.
func Of(n *lnactor.Node) Node { return node{n} }

type node struct{ *lnactor.Node }

// PayParams are the options of a payment. Zero fields are left to the node.
type PayParams struct {
	ID         lnactor.PaymentID
	AmountMsat uint64
	MaxFeeMsat *uint64
	MaxPercent *float64
	MaxParts   int
	Timeout    time.Duration
}

func (p *PayParams) options() []lnactor.PayOption {
	opts := []lnactor.PayOption{lnactor.WithPaymentID(p.ID), lnactor.WithMaxParts(p.MaxParts), lnactor.WithTimeout(p.Timeout)}
	if p.AmountMsat != 0 {
		opts = append(opts, lnactor.WithAmount(p.AmountMsat))
	}
	if p.MaxFeeMsat != nil {
		opts = append(opts, lnactor.WithMaxFee(*p.MaxFeeMsat))
	} else if p.MaxPercent != nil {
		opts = append(opts, lnactor.WithMaxFeePercent(*p.MaxPercent))
	}
	return opts
}

func (n node) StartPayment(ctx context.Context, bolt11 string, p PayParams) error {
	_, err := n.Pay(ctx, bolt11, p.options()...)
	return err
}

func (n node) StartKeysend(ctx context.Context, payee lnactor.NodeID, p PayParams) error {
	_, err := n.Keysend(ctx, payee, p.AmountMsat, p.options()...)
	return err
}

// Chain is what the Regtest service needs of the embedded chain.
type Chain interface {
	Pay(outs ...*wire.TxOut) (*wire.MsgTx, error)
	Mine(n int) ([]*wire.MsgBlock, error)
	Height() int32
}

// Config says what is served.
type Config struct {
	Node    Node
	Params  *chaincfg.Params
	Source  string // of the chain, for GetInfo: "embedded", "btcd" and so on
	Version string

	// Feed is the feed of events; nil: it is not open, and its calls are refused.
	Feed *feed.Feed

	// Ops is for GetHealth and ListActors; nil: they are refused.
	Ops *Ops

	// Recovery is for Backup, TrustRestored, ExplainHTLC and Diagnose; nil: they are refused.
	Recovery Recovery

	// Chain is the embedded chain; nil: there is none, and no Regtest service.
	Chain Chain

	// Stop begins the end of the process. It must return at once.
	Stop func()

	// Log gets a line for each call that failed inside and each that was not allowed. Nil discards them.
	Log *slog.Logger

	// Timeout bounds a call that brings no deadline of its own; 0: one minute.
	Timeout time.Duration

	// Now is the clock that invoices are judged by; nil: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Stop == nil {
		c.Stop = func() {}
	}
	return c
}
