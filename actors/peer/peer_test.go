package peer

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

var (
	regtest = chainhash.Hash{7}
	low     = ln.NodeID{2, 1}
	high    = ln.NodeID{2, 9}
)

// rig drives a core and checks what it asks for.
type rig struct {
	*testing.T
	*Peer
	session uint64
}

func newRig(t *testing.T, self, other ln.NodeID) *rig {
	return &rig{T: t, Peer: New(Config{Self: self, Chain: regtest}, other)}
}

// up is a rig with a session.
func up(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, low, high)
	r.connect(true)
	return r
}

func (r *rig) connect(inbound bool) {
	r.Helper()
	r.session += 10
	if !inbound {
		r.Connect("addr")
	}
	if inbound && !r.Accepted(r.session) || !inbound && !r.Dialled(r.attempt, r.session) {
		r.Fatal("connection not wanted")
	}
	r.recv(newInit(regtest, false))
	if r.Up() != r.session {
		r.Fatal("not up: ", r.Take())
	}
	r.Take()
}

func (r *rig) recv(msg lnwire.Message) {
	r.Helper()
	raw, err := Encode(msg)
	if err != nil {
		r.Fatal(err)
	}
	r.Receive(r.session, raw)
}

// want takes the effects and compares them with lines as show writes them.
func (r *rig) want(lines ...string) {
	r.Helper()
	var got []string
	for _, e := range r.Take() {
		got = append(got, show(e))
	}
	if !reflect.DeepEqual(got, lines) {
		r.Fatalf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

func show(e Effect) string {
	switch e := e.(type) {
	case Write:
		text := fmt.Sprintf("write %T", e.Msg)
		switch m := e.Msg.(type) {
		case *lnwire.Error:
			text += fmt.Sprintf(" %x %s", m.ChanID[0], m.Data)
		case *lnwire.Warning:
			text += fmt.Sprintf(" %x %s", m.ChanID[0], m.Data)
		case *lnwire.Pong:
			text += fmt.Sprint(" ", len(m.PongBytes))
		}
		return text
	case Close:
		return fmt.Sprintf("close %d", e.Session)
	case Tell:
		text := fmt.Sprintf("tell %s %T", e.To, e.Msg)
		switch m := e.Msg.(type) {
		case messages.PeerUp:
			text += fmt.Sprintf(" %d %t", m.Session, m.Established)
		case messages.PeerMsg:
			text += fmt.Sprintf(" %T", m.Msg)
		case messages.KnownChannel:
			text += fmt.Sprintf(" %x", m.ID[0])
		case messages.PeerDown:
			text += fmt.Sprint(" ", m.Session)
		}
		return text
	case Dial:
		return fmt.Sprintf("dial %d %s", e.Attempt, e.Address)
	case Arm:
		return fmt.Sprintf("arm %d %v", e.Timer, e.After)
	case Attempted:
		return fmt.Sprint("attempted ", e.Err != nil)
	case Note:
		return "note " + e.Text
	}
	return fmt.Sprintf("%T", e)
}

func id(first byte) ln.ChannelID { return ln.ChannelID{first} }

func attach(first byte, incarnation uint64, to messages.Addr) messages.PeerAttach {
	return messages.PeerAttach{ID: id(first), Incarnation: incarnation, To: to}
}

func opening(first byte, incarnation uint64, to messages.Addr) messages.PeerAttach {
	a := attach(first, incarnation, to)
	a.Opening = true
	return a
}

func fee(first byte) *lnwire.UpdateFee { return &lnwire.UpdateFee{ChanID: lnwire.ChannelID{first}} }

func pubKey() *btcec.PublicKey {
	_, pub := btcec.PrivKeyFromBytes([]byte{5})
	return pub
}

func reestablish(first byte) *lnwire.ChannelReestablish {
	return &lnwire.ChannelReestablish{ChanID: lnwire.ChannelID{first}, LocalUnrevokedCommitPoint: pubKey()}
}

func openChannel(first byte) *lnwire.OpenChannel {
	return &lnwire.OpenChannel{
		PendingChannelID: [32]byte{first}, FundingKey: pubKey(), RevocationPoint: pubKey(), PaymentPoint: pubKey(), DelayedPaymentPoint: pubKey(),
		HtlcPoint: pubKey(), FirstCommitmentPoint: pubKey(),
	}
}

func TestInitExchange(t *testing.T) {
	r := newRig(t, low, high)
	r.Start()
	r.Connect("addr")
	r.want("tell monitors messages.PeersReattach", "dial 1 addr")
	r.Attach(attach(1, 1, "channel/1"))
	r.Dialled(1, 7)
	r.session = 7
	r.want("write *lnwire.Init", "arm 1 30s")
	r.Attach(attach(2, 1, "channel/2"))
	r.want()
	r.recv(newInit(regtest, false))
	r.want("arm 2 1m0s", "arm 3 1m0s", "attempted false", "tell channel/1 messages.PeerUp 7 false", "tell channel/2 messages.PeerUp 7 false")
	r.Attach(attach(3, 1, "channel/3"))
	r.want("tell channel/3 messages.PeerUp 7 false")
	r.Lost(7, errors.New("reset"))
	r.want("close 7", "tell channel/1 messages.PeerDown 7", "tell channel/2 messages.PeerDown 7", "tell channel/3 messages.PeerDown 7", "arm 0 500ms")
}

func TestInitRefused(t *testing.T) {
	with := func(change func(*lnwire.Init)) *lnwire.Init {
		m := newInit(regtest, false)
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		msg  lnwire.Message
		want error
	}{
		"unknown even bit":        {with(func(m *lnwire.Init) { m.Features.Set(1000) }), ErrUnsupported},
		"unknown even global bit": {with(func(m *lnwire.Init) { m.GlobalFeatures.Set(1000) }), ErrUnsupported},
		"too few features":        {with(func(m *lnwire.Init) { m.Features = lnwire.NewRawFeatureVector() }), ErrUnsupported},
		"another chain":           {newInit(chainhash.Hash{8}, false), ErrChain},
		"half a chain":            {with(func(m *lnwire.Init) { m.ExtraData = []byte{1, 3, 1, 2, 3} }), ErrMisbehaved},
		"even TLV":                {with(func(m *lnwire.Init) { m.ExtraData = []byte{2, 0} }), ErrUnsupported},
		"not init":                {fee(1), ErrMisbehaved},
		"an error":                {&lnwire.Error{Data: []byte("go away\x00")}, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, low, high)
			r.Connect("addr")
			r.Dialled(1, 7)
			r.session = 7
			r.Take()
			r.recv(c.msg)
			var got error
			closed := false
			for _, e := range r.Take() {
				switch e := e.(type) {
				case Attempted:
					got = e.Err
				case Close:
					closed = true
				case Note:
					if e.Text != "refused by the peer: go away?" {
						t.Error(e.Text)
					}
				}
			}
			if !errors.Is(got, c.want) || !closed {
				t.Fatal(got, closed)
			}
		})
	}
	for name, m := range map[string]*lnwire.Init{
		"odd bits":       with(func(m *lnwire.Init) { m.Features.Set(1001) }),
		"global feature": with(func(m *lnwire.Init) { m.GlobalFeatures.Set(lnwire.StaticRemoteKeyOptional) }),
		"no chains":      with(func(m *lnwire.Init) { m.ExtraData = nil }),
		"both chains": with(func(m *lnwire.Init) {
			m.ExtraData = append(append([]byte{1, 64}, make([]byte, 32)...), regtest[:]...)
		}),
		"odd TLV": with(func(m *lnwire.Init) { m.ExtraData = append(m.ExtraData, 3, 1, 0) }),
	} {
		r := newRig(t, low, high)
		r.Accepted(7)
		r.session = 7
		r.recv(m)
		if r.Up() != 7 {
			t.Fatal(name, r.Take())
		}
	}
	r := newRig(t, low, high)
	r.Accepted(7)
	r.Take()
	r.Tick(TimerInit, 1)
	r.want("close 7", "attempted true")
}

func TestPing(t *testing.T) {
	r := up(t)
	r.recv(lnwire.NewPing(3))
	r.recv(lnwire.NewPing(lnwire.MaxPongBytes))
	r.recv(lnwire.NewPing(lnwire.MaxPongBytes + 1))
	r.recv(lnwire.NewPong(nil))
	r.want("write *lnwire.Pong 3", "write *lnwire.Pong 65531")
	look := func() { r.Tick(TimerIdle, r.seq[TimerIdle]) }
	look()
	r.want("arm 2 1m0s") // it was heard
	look()
	r.want("write *lnwire.Ping", "arm 2 30s")
	r.recv(lnwire.NewPong(nil))
	look()
	r.want("arm 2 1m0s")
	look()
	look()
	r.want("write *lnwire.Ping", "arm 2 30s", "close 10")
}

func TestUnknownMessages(t *testing.T) {
	for _, c := range []struct {
		raw   []byte
		fatal bool
	}{
		{[]byte{0, 99}, false},
		{[]byte{0, 98}, true},
		{[]byte{0x80, 1}, false},    // custom range
		{[]byte{0x80, 0, 1}, true},  // custom range
		{[]byte{0, 2}, true},        // stfu, known to the library, not to us
		{[]byte{0, 111}, false},     // dyn_propose, likewise, but odd
		{[]byte{1, 0}, false},       // gossip is not even read
		{[]byte{}, true},            // no type
		{[]byte{0}, true},           // half a type
		{[]byte{0, 18, 1}, true},    // half a ping
		{[]byte{0, 16}, true},       // half an init
		{[]byte{0, 128, 1}, true},   // half an update_add_htlc
		{make([]byte, 65535), true}, // type 0
		{append([]byte{0, 32}, make([]byte, 65000)...), true},
	} {
		r := up(t)
		r.Receive(r.session, c.raw)
		out := r.Take()
		if c.fatal != (r.cur == nil) {
			t.Fatalf("%x: %v", c.raw[:min(len(c.raw), 4)], out)
		}
		if c.fatal {
			if _, ok := out[0].(Write).Msg.(*lnwire.Warning); !ok {
				t.Fatalf("%x: no warning: %v", c.raw[:min(len(c.raw), 4)], out)
			}
		}
	}
}

func TestRouting(t *testing.T) {
	r := up(t)
	r.Attach(attach(1, 1, "channel/1"))
	r.Attach(attach(2, 1, "channel/2"))
	r.Take()
	r.recv(fee(1))
	r.recv(&lnwire.Error{ChanID: lnwire.ChannelID{2}})
	r.recv(&lnwire.Warning{ChanID: lnwire.ChannelID{2}, Data: []byte("x")})
	r.recv(&lnwire.Error{Data: []byte("all")})
	r.want("tell channel/1 messages.PeerMsg *lnwire.UpdateFee",
		"note error: ", "tell channel/2 messages.PeerMsg *lnwire.Error",
		"note warning: x", "tell channel/2 messages.PeerMsg *lnwire.Warning",
		"note error: all", "tell channel/1 messages.PeerMsg *lnwire.Error", "tell channel/2 messages.PeerMsg *lnwire.Error")
	r.Send(messages.PeerSend{Session: 10, Msgs: []lnwire.Message{fee(1), fee(2)}})
	r.Send(messages.PeerSend{Session: 9, Msgs: []lnwire.Message{fee(1)}})
	r.Send(messages.PeerSend{Msgs: []lnwire.Message{fee(1)}})
	r.want("write *lnwire.UpdateFee", "write *lnwire.UpdateFee")
	r.Detach(messages.PeerDetach{ID: id(1), Incarnation: 2})
	r.recv(fee(1))
	r.want("tell channel/1 messages.PeerMsg *lnwire.UpdateFee")
	r.Detach(messages.PeerDetach{ID: id(1), Incarnation: 1})
	r.recv(fee(1))
	r.want("tell monitors messages.KnownChannel 1")
}

func TestMessagesWaitForTheirChannel(t *testing.T) {
	r := up(t)
	r.recv(reestablish(1))
	r.recv(fee(1))
	r.want("tell monitors messages.KnownChannel 1")
	r.Attach(attach(1, 1, "channel/1"))
	r.want("tell channel/1 messages.PeerUp 10 false",
		"tell channel/1 messages.PeerMsg *lnwire.ChannelReestablish", "tell channel/1 messages.PeerMsg *lnwire.UpdateFee")

	r.recv(fee(2))
	r.Unknown(messages.ChannelUnknown{ID: id(2), Session: 9})
	r.Unknown(messages.ChannelUnknown{ID: id(1), Session: 10})
	r.want("tell monitors messages.KnownChannel 2")
	r.Unknown(messages.ChannelUnknown{ID: id(2), Session: 10})
	r.want("write *lnwire.Error 2 unknown channel")
	r.recv(&lnwire.Error{ChanID: lnwire.ChannelID{3}, Data: []byte("x")}) // BOLT 1: an error for an unknown channel is ignored
	r.Unknown(messages.ChannelUnknown{ID: id(3), Session: 10})
	r.want("note error: x", "tell monitors messages.KnownChannel 3")
	if len(r.cur.held) != 0 || r.cur.bytes != 0 {
		t.Fatal(r.cur.held, r.cur.bytes)
	}

	for range r.cfg.Limits.HeldEach {
		r.recv(fee(4))
	}
	if r.Up() == 0 {
		t.Fatal("left too early")
	}
	r.recv(fee(4))
	if r.Up() != 0 {
		t.Fatal("a peer may flood")
	}
}

func TestChannelStartsOver(t *testing.T) {
	r := up(t)
	r.Attach(attach(1, 5, "channel/1"))
	r.Attach(attach(2, 6, "channel/2"))
	r.Take()
	r.Attach(attach(1, 5, "channel/1")) // PeersReattach
	r.want("tell channel/1 messages.PeerUp 10 false")
	r.Attach(attach(1, 4, "channel/1")) // late
	r.want()
	r.Attach(attach(1, 7, "channel/1"))
	r.want("close 10", "tell channel/2 messages.PeerDown 10")
	r.connect(true)
	if r.table[id(1)].told != 20 || r.table[id(1)].incarnation != 7 {
		t.Fatal(r.table[id(1)])
	}

	// Also when it left in between.
	r.Detach(messages.PeerDetach{ID: id(1), Incarnation: 7})
	r.Attach(attach(1, 8, "channel/1"))
	r.want("close 20", "tell channel/2 messages.PeerDown 20")

	// While there is no session it may start over as often as it likes.
	r.Attach(attach(1, 9, "channel/1"))
	r.Attach(attach(1, 10, "channel/1"))
	r.want()
	r.Connect("addr")
	r.Reconnect(messages.PeerReconnect{Session: 20})
	r.want("dial 1 addr")
	r.connect(false)
	r.Reconnect(messages.PeerReconnect{Session: 20})
	r.want()
	r.Reconnect(messages.PeerReconnect{Session: 30, Why: "because"})
	r.want("close 30", "tell channel/1 messages.PeerDown 30", "tell channel/2 messages.PeerDown 30", "arm 0 500ms")
}

func TestFunderHandsChannelOver(t *testing.T) {
	r := up(t)
	r.Attach(opening(1, 5, "opening/1"))
	r.want("tell opening/1 messages.PeerUp 10 false")
	r.Attach(opening(2, 5, "opening/1"))
	r.recv(&lnwire.FundingSigned{ChanID: lnwire.ChannelID{2}})
	r.want("tell opening/1 messages.PeerUp 10 false", "tell opening/1 messages.PeerMsg *lnwire.FundingSigned")
	r.Attach(opening(2, 5, ""))
	r.Detach(messages.PeerDetach{ID: id(1), Incarnation: 5})
	r.recv(&lnwire.ChannelReady{ChanID: lnwire.ChannelID{2}, NextPerCommitmentPoint: pubKey()})
	r.want()
	r.Attach(attach(2, 9, "channel/2"))
	r.want("tell channel/2 messages.PeerUp 10 true", "tell channel/2 messages.PeerMsg *lnwire.ChannelReady")
	r.Attach(attach(2, 9, "channel/2"))
	r.want("tell channel/2 messages.PeerUp 10 true")
	r.Attach(attach(2, 10, "channel/2"))
	r.want("close 10")
	r.connect(true)
	r.Attach(attach(2, 10, "channel/2"))
	r.want("tell channel/2 messages.PeerUp 20 false")
}

// A session that ends between funding_signed and the channel's first attach: the peer will re-establish it.
func TestHandOverAcrossSessions(t *testing.T) {
	r := up(t)
	r.Attach(opening(1, 5, "opening/1"))
	r.Attach(opening(2, 5, "opening/1"))
	r.Take()
	r.Lost(10, errors.New("reset"))
	r.want("close 10", "tell opening/1 messages.PeerDown 10", "tell opening/1 messages.PeerDown 10")
	r.connect(true)
	r.recv(reestablish(2))
	r.want("tell monitors messages.KnownChannel 2")
	// Monitors have not heard of it. An error now would fail a channel that the opening is about to hand over.
	r.Unknown(messages.ChannelUnknown{ID: id(2), Session: 20})
	r.want()
	r.Attach(opening(2, 5, "")) // it had funding_signed in its mailbox, before PeerDown
	r.Detach(messages.PeerDetach{ID: id(1), Incarnation: 5})
	r.want("tell monitors messages.KnownChannel 2")
	r.Attach(attach(2, 9, "channel/2"))
	r.want("tell channel/2 messages.PeerUp 20 false", "tell channel/2 messages.PeerMsg *lnwire.ChannelReestablish")
}

func TestInboundOpen(t *testing.T) {
	r := up(t)
	r.Attach(attach(9, 1, "channel/9"))
	r.Take()
	r.recv(openChannel(1))
	r.recv(openChannel(1))
	r.recv(openChannel(9))
	for n := byte(2); n <= 5; n++ {
		r.recv(openChannel(n))
	}
	r.want("tell manager messages.InboundOpen",
		"write *lnwire.Warning 1 temporary channel id is in use", "write *lnwire.Warning 9 temporary channel id is in use",
		"tell manager messages.InboundOpen", "tell manager messages.InboundOpen", "tell manager messages.InboundOpen",
		"write *lnwire.Error 5 too many channels are being opened")
	// One is refused, one ends.
	r.Send(messages.PeerSend{Session: 10, Msgs: []lnwire.Message{&lnwire.Error{ChanID: lnwire.ChannelID{1}}}})
	r.Attach(opening(2, 5, "opening/2"))
	r.Detach(messages.PeerDetach{ID: id(2), Incarnation: 5})
	r.Take()
	r.recv(openChannel(6))
	r.recv(openChannel(7))
	r.want("tell manager messages.InboundOpen", "tell manager messages.InboundOpen")
	// The peer cannot make a channel believe that it is new by calling an opening like it.
	r.Attach(opening(6, 5, "opening/6"))
	r.Take()
	r.Attach(attach(6, 6, "channel/6"))
	r.want("close 10", "tell channel/9 messages.PeerDown 10")
	// Nor can an opening take a channel's place.
	r.connect(true)
	r.Attach(opening(9, 7, "opening/9"))
	r.recv(fee(9))
	r.want("tell channel/9 messages.PeerMsg *lnwire.UpdateFee")
}

func TestBackoff(t *testing.T) {
	r := newRig(t, low, high)
	r.Connect("addr")
	for attempt, want := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 120000, 120000} {
		r.Take()
		r.DialFailed(uint64(attempt+1), errors.New("refused"))
		r.want("attempted true", fmt.Sprintf("arm 0 %v", want*time.Millisecond))
		if r.Tick(TimerRedial, r.seq[TimerRedial]-1) {
			t.Fatal("an old timer fired")
		}
		r.Tick(TimerRedial, r.seq[TimerRedial])
	}
	// A connection without an init is as good as none.
	r.Take()
	if r.session++; !r.Dialled(r.attempt, r.session) {
		t.Fatal("not wanted")
	}
	r.Take()
	r.Lost(r.session, errors.New("reset"))
	r.want("close 1", "attempted true", "arm 0 2m0s")
	// Sessions that do not last do not end the row, but shorten it.
	for session := uint64(101); session < 2000; session += 100 {
		r.Tick(TimerRedial, r.seq[TimerRedial])
		r.connect2()
		r.Lost(r.session, errors.New("reset"))
		r.want(fmt.Sprint("close ", session), "arm 0 8s")
	}
	r.Tick(TimerRedial, r.seq[TimerRedial])
	r.Take()
	r.DialFailed(r.attempt, errors.New("refused"))
	r.want("attempted true", "arm 0 16s")
	// One that does, ends it.
	r.Tick(TimerRedial, r.seq[TimerRedial])
	r.connect2()
	r.Tick(TimerStable, r.seq[TimerStable])
	for _, wait := range []string{"500ms", "1s", "2s", "4s", "8s", "8s"} {
		r.Lost(r.session, errors.New("reset"))
		r.want(fmt.Sprint("close ", r.session), "arm 0 "+wait)
		r.Tick(TimerRedial, r.seq[TimerRedial])
		r.connect2()
	}
	r.Lost(r.session, errors.New("reset"))
	r.Take()
	r.Stop()
	r.Tick(TimerRedial, r.seq[TimerRedial])
	r.want()
}

// connect2 ends the attempt under way with a session.
func (r *rig) connect2() {
	r.Helper()
	r.session += 100
	if !r.Dialled(r.attempt, r.session) {
		r.Fatal("not wanted")
	}
	r.recv(newInit(regtest, false))
	r.Take()
}

// Both dial: both keep the connection that the lower id made, whichever they see first.
func TestCollision(t *testing.T) {
	for _, c := range []struct {
		self, other  ln.NodeID
		inboundFirst bool
		keep         uint64 // 1: ours, 2: theirs
	}{
		{low, high, true, 1}, {low, high, false, 1}, {high, low, true, 2}, {high, low, false, 2},
	} {
		r := newRig(t, c.self, c.other)
		r.Connect("addr")
		if c.inboundFirst {
			r.Accepted(2)
			r.Dialled(1, 1)
		} else {
			r.Dialled(1, 1)
			r.Accepted(2)
		}
		if r.cur == nil || r.cur.id != c.keep {
			t.Fatalf("%+v: %+v", c, r.cur)
		}
	}
	// A peer that dials though we have a session with it may know that it is dead: find out soon.
	r := newRig(t, low, high)
	r.connect(false)
	if r.Accepted(99) {
		t.Fatal("accepted")
	}
	r.want("write *lnwire.Ping", "arm 2 30s")
	// In the same direction the newer one counts.
	r = up(t)
	if !r.Accepted(99) {
		t.Fatal("refused")
	}
	r.want("close 10", "write *lnwire.Init", "arm 1 30s")
}

func FuzzReceive(f *testing.F) {
	for _, m := range []lnwire.Message{
		newInit(regtest, false), fee(1), reestablish(1), openChannel(3), lnwire.NewPing(9), &lnwire.Error{ChanID: lnwire.ChannelID{1}, Data: []byte("x")},
		&lnwire.Warning{}, &lnwire.ChannelReady{ChanID: lnwire.ChannelID{2}, NextPerCommitmentPoint: pubKey()},
	} {
		raw, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, byte(0), true)
		f.Add(raw, byte(len(raw)/2), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut byte, ready bool) {
		r := newRig(t, low, high)
		if ready {
			r.connect(true)
			r.Attach(attach(1, 1, "channel/1"))
			r.Attach(opening(2, 2, "opening/2"))
		} else {
			r.Accepted(1)
			r.session = 1
		}
		for _, part := range [][]byte{raw[:min(int(cut), len(raw))], raw, raw} {
			r.Receive(r.session, part)
			for _, e := range r.Take() {
				if w, ok := e.(Write); ok {
					if _, err := Encode(w.Msg); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if r.cur != nil && r.cur.bytes > r.cfg.Limits.HeldBytes {
			t.Fatal(r.cur.bytes)
		}
	})
}
