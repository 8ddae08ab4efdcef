package lnactor_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// Two nodes on one embedded chain: a channel, a payment, and the events that tell of it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	chain, err := regtest.New("") // in memory
	if err != nil {
		log.Fatal(err)
	}
	alice, bob := open(ctx, chain), open(ctx, chain)
	defer alice.Close()
	defer bob.Close()
	faucet(ctx, chain, alice, 5_000_000)

	if err := alice.Connect(ctx, bob.ID(), bob.ListenAddress()); err != nil {
		log.Fatal(err)
	}
	if _, err := alice.OpenChannel(ctx, lnactor.OpenParams{Peer: bob.ID(), CapacitySat: 1_000_000}); err != nil {
		log.Fatal(err)
	}
	if _, err := chain.Mine(3); err != nil {
		log.Fatal(err)
	}

	for ev, err := range alice.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch kind := ev.Kind.(type) {
		case lnactor.ChannelReady:
			invoice, err := bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 21_000_000, Description: "tea"})
			if err != nil {
				log.Fatal(err)
			}
			if _, err := alice.Pay(ctx, invoice.Bolt11); err != nil {
				log.Fatal(err)
			}
		case lnactor.PaymentSent:
			fmt.Println("sent", kind.AmountMsat, "msat")
			return // not acknowledged: without the return it would be, by finishing the body
		}
	}
	// Output: sent 21000000 msat
}

// A payment id makes a call of Pay safe to repeat: of all calls with one id, at most one pays.
func ExampleNode_Pay() {
	ctx := context.Background()
	node, err := lnactor.Open(ctx, lnactor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	order := lnactor.PaymentID{0x17} // stored with the order before it is paid

	_, err = node.Pay(ctx, "lnbcrt1...", lnactor.WithPaymentID(order))
	switch {
	case errors.Is(err, lnactor.ErrPaymentIDUsed):
		fmt.Println("an earlier call pays; GetPayment tells where it stands")
	case err != nil:
		fmt.Println("nothing was paid, and the id is still good")
	}
	// Output: nothing was paid, and the id is still good
}

// Events are handled one after the other. Finishing the loop's body is the acknowledgement; an event whose handler did not finish, because of a
// break, a panic or a crash of the process, comes again.
func ExampleNode_Events() {
	ctx, cancel := context.WithCancel(context.Background())
	node, err := lnactor.Open(ctx, lnactor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	cancel() // nothing happens on this node
	for ev, err := range node.Events(ctx) {
		if err != nil {
			fmt.Println("no more events")
			break
		}
		fmt.Println(ev.ID)
	}
	// Output: no more events
}

// A worker pool takes events with Next and says itself when each was handled.
func ExampleNode_Next() {
	node, err := lnactor.Open(context.Background(), lnactor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if d, err := node.Next(ctx); err == nil {
		fmt.Println(d.Event.ID)
		d.Ack() // or d.Return() to have it again
	} else {
		fmt.Println("nothing to do")
	}
	// Output: nothing to do
}

// The zero Config is a node in memory on a regtest chain of its own.
func ExampleOpen() {
	node, err := lnactor.Open(context.Background(), lnactor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	balance, err := node.Balance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.ConfirmedSat, node.Close())
	// Output: 0 <nil>
}

func open(ctx context.Context, chain *regtest.Chain) *lnactor.Node {
	node, err := lnactor.Open(ctx, lnactor.Config{Chain: chain.Source(), Params: chain.Params(), Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	return node
}

// faucet pays from the embedded chain and waits until the node has seen it.
func faucet(ctx context.Context, chain *regtest.Chain, node *lnactor.Node, amount btcutil.Amount) {
	address, err := node.NewAddress(ctx)
	if err != nil {
		log.Fatal(err)
	}
	decoded, err := btcutil.DecodeAddress(address, chain.Params())
	if err != nil {
		log.Fatal(err)
	}
	script, err := txscript.PayToAddrScript(decoded)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := chain.Fund(script, amount); err != nil {
		log.Fatal(err)
	}
	if _, err := chain.Mine(1); err != nil {
		log.Fatal(err)
	}
	for ctx.Err() == nil {
		if b, err := node.Balance(ctx); err == nil && b.ConfirmedSat > 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
