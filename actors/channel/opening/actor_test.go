package opening

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// coins is a wallet that counts what it has reserved.
type coins struct{ reserved map[ln.ChannelID]bool }

func (c *coins) FundTx(out *wire.TxOut, _ uint32, lock ln.ChannelID) (*wire.MsgTx, uint32, error) {
	c.reserved[lock] = true
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	tx.AddTxOut(out)
	return tx, 0, nil
}

func (c *coins) Release(lock ln.ChannelID) { delete(c.reserved, lock) }

// table is the actor of a funder's opening among probes; the fundee is a core.
type table struct {
	t      *testing.T
	env    *kit.Env
	pid    *actor.PID
	wallet coins
	peer   ln.NodeID
	b      *Opening
	mu     sync.Mutex // the probes write at the same time; who reads has waited for them
	got    map[messages.Addr][]any
	crash  func(msg any)
	forgot []uint32 // key indexes
}

// keys tells what was forgotten.
type keys struct {
	chankeys.Signer
	tb *table
}

func (k keys) Forget(index uint32) { k.tb.forgot = append(k.tb.forgot, index) } // the opening alone does

func (tb *table) Before(string, any) {}

func (tb *table) After(at string, msg any) {
	if at == tb.pid.Id && tb.crash != nil { // in this order: the opening alone writes crash
		tb.crash(msg)
	}
}

// negotiate runs f when funding_created has left and funding_signed is about to come.
func negotiate(t *testing.T, f func(tb *table, signed lnwire.Message)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tb := &table{t: t, wallet: coins{map[ln.ChannelID]bool{}}, got: map[messages.Addr][]any{}}
		env, err := kit.NewEnv(kit.NewSystem(nil), "node", kit.Options{Faults: tb})
		if err != nil {
			t.Fatal(err)
		}
		tb.env = env
		defer env.Kill()
		var a *Opening
		a, tb.b = pair(t, nil)
		at := messages.OpeningAddr(a.terms.TemporaryID)
		tb.pid, tb.peer = env.PID(at), a.terms.Peer
		for _, to := range []messages.Addr{messages.PeerAddr(a.terms.Peer), messages.MonitorsAddr, messages.ManagerAddr, "api"} {
			tb.spawn(to, actor.ReceiveFunc(func(ctx actor.Context) {
				if _, system := ctx.Message().(actor.SystemMessage); !system {
					tb.mu.Lock()
					defer tb.mu.Unlock()
					tb.got[to] = append(tb.got[to], ctx.Message())
				}
			}))
		}
		producer := Producer(Deps{
			Env: env, Config: a.cfg, Signer: keys{a.signer, tb}, Wallet: &tb.wallet, Alias: alias, Tip: func() Tip { return Tip{Height: 100} },
		}, messages.OpenChannel{
			TemporaryID: a.terms.TemporaryID, Peer: a.terms.Peer, KeyIndex: a.terms.KeyIndex, CapacitySat: a.terms.CapacitySat,
			FeePerKw: a.terms.FeePerKw, FundingFeePerKw: 300, ReplyTo: "api",
		})
		if _, err := env.Spawn(nil, at, env.Props(producer)); err != nil {
			t.Fatal(err)
		}
		tb.tell(messages.PeerUp{Session: 5})
		for range 2 { // open_channel, funding_created
			eff, err := tb.b.Handle(carry(t, tb.said()), Tip{Height: 100})
			if err != nil {
				t.Fatal(err)
			}
			if eff.Reply != nil {
				f(tb, eff.Reply)
				return
			}
			tb.tell(messages.PeerMsg{Session: 5, Msg: carry(t, eff.Send[0])})
		}
		t.Fatal("no funding_signed")
	})
}

func (tb *table) spawn(at messages.Addr, a actor.Actor) {
	tb.t.Helper()
	if _, err := tb.env.Spawn(nil, at, tb.env.Props(func() actor.Actor { return a })); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *table) tell(msg any) {
	tb.env.System.Root.Send(tb.pid, msg)
	synctest.Wait()
}

// said is the last message to the peer.
func (tb *table) said() (msg lnwire.Message) {
	for _, m := range tb.got[messages.PeerAddr(tb.peer)] {
		if s, ok := m.(messages.PeerSend); ok {
			msg = s.Msgs[len(s.Msgs)-1]
		}
	}
	return msg
}

func (tb *table) replies() (errs []error) {
	for _, m := range tb.got["api"] {
		if r, ok := m.(messages.OpenReply); ok {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// An opening that is stopped, as by a crash of Monitors, gives the coins back and leaves nobody waiting.
func TestStoppedOpeningLetsGo(t *testing.T) {
	negotiate(t, func(tb *table, _ lnwire.Message) {
		if len(tb.wallet.reserved) != 1 {
			t.Fatal("no coins reserved")
		}
		tb.env.System.Root.Stop(tb.pid)
		synctest.Wait()
		if errs := tb.replies(); len(tb.wallet.reserved) != 0 || len(errs) != 1 || !errors.Is(errs[0], ErrCrashed) || len(tb.forgot) != 1 {
			t.Fatalf("reserved %v, replies %v, keys forgotten %v", tb.wallet.reserved, errs, tb.forgot)
		}
	})
}

// Once the channel is handed over it exists, whatever happens to the opening: neither is the caller told that it does not, nor are its coins
// free, which the monitor takes over.
func TestCrashAfterHandingOver(t *testing.T) {
	negotiate(t, func(tb *table, signed lnwire.Message) {
		tb.crash = func(any) {
			tb.crash = nil
			panic("test")
		}
		tb.tell(messages.PeerMsg{Session: 5, Msg: carry(t, signed)})
		created := 0
		for _, m := range tb.got[messages.MonitorsAddr] {
			if _, ok := m.(messages.CreateChannel); ok {
				created++
			}
		}
		if created != 1 || len(tb.replies()) != 0 || len(tb.wallet.reserved) != 1 || len(tb.forgot) != 0 {
			t.Fatalf("created %d, replies %v, reserved %v, keys forgotten %v", created, tb.replies(), tb.wallet.reserved, tb.forgot)
		}
	})
}

// What the opening hands over says what follows if the channel can't be made: the caller learns it, the peer is told, and nothing waits for messages of
// that channel.
func TestNotCreated(t *testing.T) {
	negotiate(t, func(tb *table, signed lnwire.Message) {
		tb.tell(messages.PeerMsg{Session: 5, Msg: carry(t, signed)})
		var create messages.CreateChannel
		for _, m := range tb.got[messages.MonitorsAddr] {
			create, _ = m.(messages.CreateChannel)
		}
		var reply, detach, said bool
		for _, d := range create.Else {
			switch m := d.Msg.(type) {
			case messages.OpenReply:
				reply = d.To == "api" && errors.Is(m.Err, ErrOutpointTaken)
			case messages.PeerDetach:
				detach = m.ID == create.Opened.Static.ID
			case messages.PeerSend:
				_, said = m.Msgs[0].(*lnwire.Error)
				said = said && m.Session == 5
			}
		}
		if !reply || !detach || !said {
			t.Fatalf("reply %t, detach %t, said %t: %+v", reply, detach, said, create.Else)
		}
	})
}
