// Package lnactor is a Lightning channel runtime to embed: a node whose payments survive any crash.
//
// A node is made by Open and used by its methods:
//
//	node, err := lnactor.Open(ctx, lnactor.Config{Dir: dir})
//	defer node.Close()
//	invoice, err := node.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 25_000})
//	id, err := node.Pay(ctx, bolt11)
//	for ev, err := range node.Events(ctx) {
//		// finishing the body is the acknowledgement
//	}
//
// # What holds
//
// When Pay returns without an error, the payment is durable: it ends in exactly one of PaymentSent and PaymentFailed, however often the process
// is killed in between, and its payment id is refused for ever after. When PaymentClaimed is delivered, the preimage is durable and the money is this node's
// for as long as the channel can be closed cooperatively (see the limits below). Events come in
// order, at least once, with stable ids: a consumer that remembers ids handles each exactly once. An event that was not handled comes again.
//
// Every channel has one durable owner, its ChannelMonitor; nothing else on disk can disagree with it. What must be durable before what leaves the
// node is listed in docs/durability.md, with the test for each rule.
//
// # Units
//
// Msat is thousandths of a satoshi, Sat is satoshis, FeePerKw is satoshis per 1000 weight units, heights count blocks.
//
// # Errors
//
// Methods return *Error, which says what was tried and what to do, and wraps one of the sentinels of this package. A node that must stop (the store
// failed or is corrupt) shuts itself down: Done closes and Err says why. The process goes on; only the lnactor command exits.
//
// # Contexts
//
// A call waits for as long as its context lets it, over restarts of the part of the node that it asks: give calls deadlines. That a context ended tells
// nothing of what the call did or may yet do. Calls may be repeated, Pay with its payment id, but for Send and OpenChannel, which do it once more: look
// at the coins and the channels first.
//
// # Limits of this release
//
// One channel type (static_remotekey with anchors_zero_fee_htlc), no BOLT 12, no blinded paths. It has never run on mainnet: do not use it with money
// that you can't lose. The README has the rest of what is not done.
package lnactor
