package cli_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// What the sides of a pair have before their channel is open, and what is in that.
const (
	aliceSat, bobSat     = 20_000_000, 1_000_000
	capacitySat, pushSat = 10_000_000, 4_000_000
)

// stopLimit is what a stop in order may take on a slow machine.
const stopLimit = "2m"

// pair is two nodes on one chain.
type pair struct {
	alice, bob *process
	btcd       *btcdtest.Node      // nil: the chain that alice serves
	coins      map[*process]uint64 // satoshis paid to each wallet
	fees       btcutil.Amount      // that alice's transactions paid
}

func (c *pair) sides() []*process { return []*process{c.alice, c.bob} }

// servedPair is two nodes, not started, of which alice serves the chain.
func servedPair(t *testing.T) *pair {
	t.Helper()
	dir, bin := shortDir(t), lnactorPath(t)
	chain, peers := freeAddr(t), freeAddr(t)
	return &pair{
		alice: newProcess(dir, bin, "alice", "--serve-chain", chain, "--listen", freeAddr(t), "--stop-limit", stopLimit),
		bob:   newProcess(dir, bin, "bob", "--chain", "rpcpoll", "--rpc-url", "http://"+chain, "--rpc-interval", "100ms", "--listen", peers, "--stop-limit", stopLimit),
	}
}

// btcdPair is two nodes, not started, with a btcd as what they see the chain through: "btcd", "rpcpoll" or "neutrino".
func btcdPair(t *testing.T, alice, bob string) *pair {
	t.Helper()
	n := btcdtest.Start(t)
	dir, bin := shortDir(t), lnactorPath(t)
	pass := filepath.Join(dir, "password")
	must(t, os.WriteFile(pass, []byte(n.Pass+"\n"), 0o600))
	args := func(source string) []string {
		if source == "neutrino" {
			return []string{"--network", "simnet", "--stop-limit", stopLimit, "--neutrino-peers", n.P2PAddr} // the default beyond the embedded chain
		}
		return []string{
			"--network", "simnet", "--stop-limit", stopLimit, "--chain", source, "--rpc-url", "https://" + n.RPCAddr, "--rpc-user", n.User, "--rpc-password-file", pass,
			"--rpc-cert-file", n.CertFile, "--rpc-interval", "100ms",
		}
	}
	return &pair{
		alice: newProcess(dir, bin, "alice", append(args(alice), "--listen", freeAddr(t))...),
		bob:   newProcess(dir, bin, "bob", append(args(bob), "--listen", freeAddr(t))...), btcd: n,
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := btcdtest.FreeAddr()
	must(t, err)
	return addr
}

// freePort is a TCP port that nobody listens at.
func freePort() (string, error) {
	addr, err := btcdtest.FreeAddr()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(addr)
	return port, err
}

func (c *pair) start(t *testing.T) {
	t.Helper()
	for _, p := range c.sides() {
		p.start(t)
	}
}

func (c *pair) mine(t *testing.T, blocks int) {
	t.Helper()
	if c.btcd != nil {
		c.btcd.Mine(t, blocks)
		return
	}
	_, err := c.alice.regtest.Mine(t.Context(), &apiv1.MineRequest{Blocks: uint32(blocks)})
	must(t, err)
}

// fund pays coins to a node's wallet.
func (c *pair) fund(t *testing.T, p *process, sat uint64) {
	t.Helper()
	if c.coins == nil {
		c.coins = map[*process]uint64{}
	}
	c.coins[p] += sat
	address, err := p.api.NewAddress(t.Context(), &apiv1.NewAddressRequest{})
	must(t, err)
	if c.btcd != nil {
		c.btcd.Pay(t, address.GetAddress(), btcutil.Amount(sat))
		return
	}
	_, err = c.alice.regtest.Fund(t.Context(), &apiv1.FundRequest{Address: address.GetAddress(), AmountSat: sat})
	must(t, err)
}

// awaitTx waits until the mempool holds a transaction of alice's, and counts its fee.
func (c *pair) awaitTx(t *testing.T) {
	t.Helper()
	if c.btcd != nil {
		c.fees += c.btcd.Fee(t, c.btcd.AwaitOne(t))
	}
}

// has waits until a wallet has so much, all of it confirmed and free.
func (c *pair) has(t *testing.T, p *process, sat uint64) {
	t.Helper()
	var b *apiv1.WalletBalanceResponse
	defer func() {
		if t.Failed() {
			t.Logf("%s has %v, not %d", p.name, b, sat)
		}
	}()
	poll(t, patience, fmt.Sprintf("%s's %d satoshis", p.name, sat), func(ctx context.Context) bool {
		got, err := p.api.WalletBalance(ctx, &apiv1.WalletBalanceRequest{})
		if err == nil {
			b = got
		}
		return err == nil && b.GetConfirmedSat() == sat && b.GetUnconfirmedSat() == 0 && b.GetReservedSat() == 0
	})
}

// open opens a channel of which both sides have a part.
func (c *pair) open(t *testing.T) {
	t.Helper()
	c.fund(t, c.alice, aliceSat)
	c.fund(t, c.bob, bobSat)
	c.mine(t, 1)
	c.has(t, c.alice, aliceSat)
	c.has(t, c.bob, bobSat)
	openChannel(t, c, pushSat)
}

func openChannel(t *testing.T, c *pair, pushSat uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	info, err := c.bob.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
	must(t, err)
	_, err = c.alice.api.Connect(ctx, &apiv1.ConnectRequest{NodeId: info.GetNodeId(), Address: info.GetListenAddress()})
	must(t, err)
	// Either knows where the other listens: one that is started again dials at once, while one whose peer is away again and again waits longer each time.
	other, err := c.alice.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
	must(t, err)
	if other.GetListenAddress() != "" {
		_, err = c.bob.api.Connect(ctx, &apiv1.ConnectRequest{NodeId: other.GetNodeId(), Address: other.GetListenAddress()})
		must(t, err)
	}
	_, err = c.alice.api.OpenChannel(ctx, &apiv1.OpenChannelRequest{NodeId: info.GetNodeId(), CapacitySat: capacitySat, PushMsat: 1000 * pushSat})
	must(t, err)
	c.awaitTx(t)
	c.mine(t, 6)
	for _, p := range c.sides() {
		poll(t, patience, p.name+"'s channel", func(ctx context.Context) bool {
			list, err := p.api.ListChannels(ctx, &apiv1.ListChannelsRequest{})
			return err == nil && len(list.GetChannels()) == 1 && list.GetChannels()[0].GetPhase() == "open"
		})
	}
}

// closeAndCount has both sides close the channel in agreement. Then all money is in the wallets again: bob has what he was given, alice what is left after fees.
func (c *pair) closeAndCount(t *testing.T, givenMsat int64) {
	t.Helper()
	list, err := c.alice.api.ListChannels(t.Context(), &apiv1.ListChannelsRequest{})
	must(t, err)
	_, err = c.alice.api.CloseChannel(t.Context(), &apiv1.CloseChannelRequest{ChannelId: list.GetChannels()[0].GetChannelId()})
	must(t, err)
	c.awaitTx(t)
	c.mine(t, 6)
	given := pushSat + givenMsat/1000
	if givenMsat%1000 != 0 {
		t.Fatalf("%d msat are no satoshis", givenMsat)
	}
	t.Logf("bob was given %d satoshis, fees are %d", given, c.fees)
	c.has(t, c.bob, c.coins[c.bob]+uint64(given))
	c.has(t, c.alice, c.coins[c.alice]-uint64(given)-uint64(c.fees))
}

// balances waits until the channel has bob's millisatoshis on his side, the rest on alice's, and nothing under way.
func (c *pair) balances(t *testing.T, bobMsat uint64) {
	t.Helper()
	for i, want := range []uint64{1000*capacitySat - bobMsat, bobMsat} {
		p := c.sides()[i]
		var have *apiv1.GetBalancesResponse
		defer func() {
			if t.Failed() {
				t.Logf("%s has %v in the channel, it should have %d", p.name, have, want)
			}
		}()
		poll(t, patience, p.name+" to have what the payments say", func(ctx context.Context) bool {
			got, err := p.api.GetBalances(ctx, &apiv1.GetBalancesRequest{})
			if err == nil {
				have = got
			}
			return err == nil && have.GetChannelsMsat() == want && have.GetInboundMsat() == 0 && have.GetOutboundMsat() == 0
		})
	}
}

// stop stops both in order.
func (c *pair) stop(t *testing.T) {
	t.Helper()
	for _, p := range []*process{c.bob, c.alice} {
		p.stop(t)
	}
}

// payOne pays once, or not at all: whichever call finds its node dead is not repeated.
func payOne(ctx context.Context, from, to *process, id string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	inv, err := to.api.CreateInvoice(ctx, &apiv1.CreateInvoiceRequest{AmountMsat: 1_000_000, Description: id})
	if err != nil {
		return
	}
	_, _ = from.api.Pay(ctx, &apiv1.PayRequest{Bolt11: inv.GetBolt11(), Id: id}) // the list of payments says what became of it
}

// paid pays until a payment arrives: the channel is in use again.
func paid(t *testing.T, from, to *process, asked map[string]bool, name string) {
	t.Helper()
	try := 0
	poll(t, patience, fmt.Sprintf("a payment of %s to arrive", from.name), func(ctx context.Context) bool {
		id := fmt.Sprintf("%s-%s-%d", from.name, name, try)
		try++
		asked[id] = true
		payOne(ctx, from, to, id)
		var p *apiv1.GetPaymentResponse
		var err error
		for err == nil && (p == nil || p.GetPayment().GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING) {
			p, err = from.api.GetPayment(ctx, &apiv1.GetPaymentRequest{Id: id})
		}
		return err == nil && p.GetPayment().GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_SENT
	})
}

// settled: no payment's outcome is open.
func settled(ctx context.Context, p *process) bool {
	list, err := p.api.ListPayments(ctx, &apiv1.ListPaymentsRequest{Limit: 1}) // and all that are not finished
	return err == nil && !slices.ContainsFunc(list.GetPayments(), func(p *apiv1.Payment) bool {
		return p.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_PENDING
	})
}

// settle waits until every payment of both has an outcome.
func (c *pair) settle(t *testing.T, what string) {
	t.Helper()
	done := false
	defer func() {
		if !done {
			c.alice.show(t)
			c.bob.show(t)
		}
	}()
	for _, p := range c.sides() {
		poll(t, patience, what, func(ctx context.Context) bool { return settled(ctx, p) })
	}
	done = true
}
