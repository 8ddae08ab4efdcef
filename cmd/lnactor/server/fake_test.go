package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	"github.com/lnactor/lnactor/internal/invoice"
)

// fake is a node that remembers what it was told to do.
type fake struct {
	mu       sync.Mutex
	self     lnactor.NodeID
	other    lnactor.NodeID
	key      *btcec.PrivateKey
	payments map[lnactor.PaymentID]lnactor.Payment
	paid     int
	calls    []string
	blind    int // so many looks at payments find nothing
	crash    bool
	err      error
	ivs      byte
	policy   lnactor.ForwardingPolicy
	params   server.PayParams // of the newest payment
}

func newFake() *fake {
	f := &fake{payments: map[lnactor.PaymentID]lnactor.Payment{}}
	f.key, _ = btcec.PrivKeyFromBytes([]byte{1})
	copy(f.self[:], f.key.PubKey().SerializeCompressed())
	_, pub := btcec.PrivKeyFromBytes([]byte{2})
	copy(f.other[:], pub.SerializeCompressed())
	var id lnactor.PaymentID
	for i := range id {
		id[i] = 0xab
	}
	p := lnactor.Payment{PaymentID: id, Status: lnactor.PaymentIsSent, AmountMsat: 5}
	for i := range p.Preimage {
		p.Preimage[i] = 0xcd
	}
	f.payments[id] = p
	return f
}

type derive struct{}

func (derive) Derive(label string) (out [32]byte) { copy(out[:], label); return out }

// invoice is a good one, of a node that is not this.
func (f *fake) invoice(t testing.TB, msat uint64) string {
	t.Helper()
	f.ivs++
	inv, err := invoice.New(invoice.NewKeys(derive{}), invoice.Params{
		AmountMsat: msat, Now: time.Now(), Signer: invoice.SignerOf(f.key), Chain: regtest.Params(), IV: [16]byte{f.ivs}, Expiry: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return inv.Bolt11
}

func (f *fake) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fake) ID() lnactor.NodeID    { return f.self }
func (f *fake) ListenAddress() string { return "" }

func (f *fake) NewAddress(context.Context) (string, error) {
	if f.crash {
		panic("boom")
	}
	f.note("address")
	return "bcrt1q", f.err
}

func (f *fake) WalletBalance(context.Context) (lnactor.WalletBalance, error) {
	return lnactor.WalletBalance{Confirmed: 1}, nil
}

func (f *fake) Coins(context.Context) ([]lnactor.Coin, error) {
	return []lnactor.Coin{{Value: 7}}, nil
}

func (f *fake) Send(context.Context, string, uint64, lnactor.SendOptions) (lnactor.Sent, error) {
	f.note("send")
	return lnactor.Sent{}, nil
}

func (f *fake) Connect(context.Context, lnactor.NodeID, string) error {
	f.note("connect")
	return nil
}

func (f *fake) Disconnect(context.Context, lnactor.NodeID) error {
	f.note("disconnect")
	return nil
}

func (f *fake) Peers(context.Context) ([]lnactor.Peer, error) {
	return []lnactor.Peer{{Peer: f.other, Connected: true}}, nil
}

func (f *fake) OpenChannel(_ context.Context, p lnactor.OpenParams) (lnactor.ChannelID, error) {
	f.note("open")
	return lnactor.ChannelID{}, &lnactor.Error{Op: "open channel", Err: fmt.Errorf("%w %s", lnactor.ErrNotConnected, p.Peer), Hint: "connect to it first"}
}

func (f *fake) CloseChannel(context.Context, lnactor.ChannelID) error {
	f.note("close")
	return nil
}

func (f *fake) ForceCloseChannel(context.Context, lnactor.ChannelID) error {
	f.note("force-close")
	return nil
}

func (f *fake) SetChannelFee(context.Context, lnactor.ChannelID, uint32) error {
	f.note("fee")
	return nil
}

func (f *fake) BumpFee(context.Context, chainhash.Hash, lnactor.SendOptions) (lnactor.Sent, error) {
	f.note("bump")
	return lnactor.Sent{}, &lnactor.Error{Op: "bump fee", Err: lnactor.ErrNotPending}
}

func (f *fake) SetPolicy(_ context.Context, id lnactor.ChannelID, p lnactor.ForwardingPolicy) error {
	f.note("policy")
	if err := p.Check(1_000_000); err != nil {
		return &lnactor.Error{Op: "set policy", Channel: id, Err: err}
	}
	f.policy = p
	return nil
}

func (f *fake) Policies(context.Context) ([]lnactor.OwnPolicies, error) {
	return []lnactor.OwnPolicies{
		{Peer: f.other, SCID: 800<<40 | 3<<16 | 1, Policy: f.policy.Or(f.Forwarding()), Default: f.policy.IsDefault(), Theirs: lnactor.ChannelPolicy{Known: true, BaseMsat: 9, Timestamp: 5}},
		{Channel: lnactor.ChannelID{7}},
	}, nil
}

func (f *fake) Forwarding() lnactor.ForwardingPolicy {
	return lnactor.ForwardingPolicy{BaseMsat: 1000}.WithDefaults()
}

func (f *fake) Channels(context.Context) ([]lnactor.Channel, error) {
	return []lnactor.Channel{{Peer: f.other, Phase: lnactor.PhaseOpen, Policy: f.policy}}, nil
}

func (f *fake) ClosedChannels(_ context.Context, page []byte, limit int) ([]lnactor.ClosedChannel, []byte, error) {
	f.note(fmt.Sprintf("closed %x %d", page, limit))
	return []lnactor.ClosedChannel{{Peer: f.other}}, make([]byte, 32), nil
}

func (f *fake) Quarantined(context.Context) ([]lnactor.ChannelID, error) {
	return []lnactor.ChannelID{{1}}, nil
}

func (f *fake) CreateInvoice(context.Context, lnactor.InvoiceParams) (lnactor.Invoice, error) {
	f.note("invoice")
	return lnactor.Invoice{}, nil
}

func (f *fake) StartPayment(_ context.Context, bolt11 string, p server.PayParams) error {
	f.note("pay")
	req, err := invoice.Decode(bolt11, regtest.Params(), time.Now())
	if err != nil {
		return &lnactor.Error{Op: "pay", Err: err}
	}
	return f.start(lnactor.Payment{Hash: req.Hash, AmountMsat: req.AmountMsat}, p)
}

func (f *fake) StartKeysend(_ context.Context, payee lnactor.NodeID, p server.PayParams) error {
	f.note("keysend")
	return f.start(lnactor.Payment{Payee: payee, AmountMsat: p.AmountMsat}, p)
}

func (f *fake) AbandonPayment(_ context.Context, id lnactor.PaymentID) error {
	f.note("abandon")
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.payments[id]
	if !ok {
		return &lnactor.Error{Op: "abandon payment", Err: lnactor.ErrNotFound}
	}
	p.Abandoned = true
	f.payments[id] = p
	return nil
}

func (f *fake) start(pay lnactor.Payment, p server.PayParams) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.params = p
	if _, used := f.payments[p.ID]; used {
		return &lnactor.Error{Op: "pay", Err: lnactor.ErrPaymentIDUsed}
	}
	f.paid++
	pay.PaymentID, pay.Status = p.ID, lnactor.PaymentPending
	f.payments[p.ID] = pay
	return nil
}

func (f *fake) GetPayment(_ context.Context, id lnactor.PaymentID) (lnactor.Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.payments[id]
	if f.blind > 0 {
		f.blind--
		ok = false
	}
	if !ok {
		return p, &lnactor.Error{Op: "get payment", Err: lnactor.ErrNotFound}
	}
	return p, nil
}

func (f *fake) Payments(_ context.Context, page []byte, limit int) (out []lnactor.Payment, next []byte, err error) {
	f.note(fmt.Sprintf("payments %x %d", page, limit))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.payments {
		out = append(out, p)
	}
	return out, make([]byte, 32), nil
}

func (f *fake) ClaimPaymentWith(_ context.Context, p lnactor.Preimage) error {
	f.note("claim with " + p.String())
	return f.err
}

func (f *fake) ClaimPayment(context.Context, lnactor.Hash) error {
	f.note("claim")
	return nil
}

func (f *fake) Received(_ context.Context, page []byte, limit int) ([]lnactor.Received, []byte, error) {
	f.note(fmt.Sprintf("received %x %d", page, limit))
	return []lnactor.Received{{Hash: lnactor.Hash{1}, State: lnactor.ReceivedHeld, AmountMsat: 5, Parts: 2, At: time.Unix(7, 9)}}, make([]byte, 40), f.err
}

func (f *fake) GetReceived(_ context.Context, hash lnactor.Hash) (lnactor.Received, error) {
	return lnactor.Received{Hash: hash, State: lnactor.InvoiceCancelled}, f.err
}

func (f *fake) CancelInvoice(_ context.Context, hash lnactor.Hash) error {
	f.note("cancel " + hash.String())
	return f.err
}

func (f *fake) RefusePayment(context.Context, lnactor.Hash) error {
	f.note("refuse")
	return nil
}

func (f *fake) Balance(context.Context) (lnactor.Balance, error) {
	return lnactor.Balance{ConfirmedSat: 1}, nil
}

func (f *fake) FeeHealth() lnactor.FeeHealth { return lnactor.FeeHealth{} }

func (f *fake) FundsStatus(context.Context) (lnactor.FundsStatus, error) {
	return lnactor.FundsStatus{Height: 120, Synced: true}, nil
}
