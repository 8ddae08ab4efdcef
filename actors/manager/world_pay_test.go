package manager

import (
	"crypto/sha256"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// payAmount is what each payment of the world is about.
const payAmount = 1000

// pay asks for a payment. Its id says what kind it is: some go to the peer and some to who is behind it, some may be split.
func (w *world) pay(id ln.PaymentID) {
	preimage := w.preimageOf(id)
	pay := messages.Pay{
		PaymentID: id, Hash: sha256.Sum256(preimage[:]), AmountMsat: payAmount, Payee: peerID, Secret: id32[[32]byte]("secret"),
		MinFinalCLTVDelta: 18, MaxFeeMsat: 40, ReplyTo: "api",
	}
	if w.cfg.Graph && id[0]%2 == 0 {
		pay.Payee = farID
	}
	pay.MPP = id[1]%2 == 0
	w.send("api", messages.ManagerAddr, pay)
}

// graph plays the graph's actor, which dies now and then with a question in hand.
func (w *world) graph(msg any) {
	q, ok := msg.(messages.FindRoutes)
	switch {
	case !ok:
		return
	case w.rnd.IntN(12) == 0:
		w.logf("graph crashes")
		if w.rnd.IntN(2) == 0 {
			w.send(messages.GraphAddr, messages.ManagerAddr, messages.GraphStarted{})
		}
		return
	}
	req := q.Request
	req.Hints = [][]route.Hint{{{Node: peerID, SCID: 70, BaseMsat: 3, CLTVDelta: 40}}, {{Node: peerID, SCID: 71, BaseMsat: 5, CLTVDelta: 40}}}
	if req.Target == peerID {
		req.Hints = nil
	}
	var f route.Finder
	routes, err := f.Find(graph.New(graph.Limits{}), nil, &req, w.now)
	w.send(messages.GraphAddr, messages.ManagerAddr, messages.RoutesFound{ID: q.ID, Routes: routes, Err: err})
}

// failure is an answer of a hop of the route.
func (w *world) failure(h *simOwn) []byte {
	hop := w.rnd.IntN(len(h.secrets))
	last := hop == len(h.secrets)-1
	var msg lnwire.FailureMessage = lnwire.NewFailIncorrectDetails(1, 1)
	switch n := w.rnd.IntN(5); {
	case last && n < 3:
		msg = &lnwire.FailMPPTimeout{}
	case !last && n < 3:
		msg = lnwire.NewTemporaryChannelFailure(nil)
	case !last && n < 4:
		msg = &lnwire.FailUnknownNextPeer{}
	case n == 4:
		return make([]byte, 292)
	}
	reason := must(onion.EncryptFailure(h.secrets[hop], msg))
	for i := hop - 1; i >= 0; i-- {
		reason = must(onion.Wrap(h.secrets[i], reason))
	}
	return reason
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	if !w.wake.IsZero() && !w.wake.After(w.now) {
		w.send("timer", messages.ManagerAddr, messages.Wake{At: w.wake})
		w.wake = time.Time{}
	}
}
