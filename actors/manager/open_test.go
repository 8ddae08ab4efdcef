package manager

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// keyring is a manager whose peers open channels, and the rows of its channel keys.
type keyring struct {
	t    *testing.T
	m    *Manager
	now  time.Time
	n    uint64 // temporary ids that were used
	rows map[uint32]bool
	said error // what the last one who asked was told
}

// newKeyring is one on whose disk the key index last was used; none if negative.
func newKeyring(t *testing.T, last int64) *keyring {
	cfg := testConfig()
	cfg.CheckOpen = func(m *lnwire.OpenChannel) error {
		if m.FundingAmount == 0 {
			return errors.New("bad terms")
		}
		return nil
	}
	k := &keyring{t: t, m: New(cfg, quiet, 1, newState()), now: epoch, rows: map[uint32]bool{}}
	if last >= 0 {
		k.rows[uint32(last)] = true
	}
	k.out(k.m.Start())
	k.step(messages.ChainTip{Height: startHeight})
	k.step(messages.MonitorList{ManagerIncarnation: 1, Channels: []ln.ChannelID{channelID("c1")}})
	k.step(messages.MonitorReport{ManagerIncarnation: 1, Fence: k.m.channels[channelID("c1")].fence, Channel: channelID("c1"), Summary: messages.ChannelSummary{
		Channel: channelID("c1"), Peer: peerID, Phase: messages.PhaseOpen, ShortChannelID: 1,
	}})
	return k
}

func (k *keyring) step(msg any) { k.out(k.m.Step(msg, k.now)) }

func (k *keyring) out(e Effects) {
	for _, a := range e.Appends {
		for _, r := range a.Rows {
			if r.Bucket != messages.BucketKeys {
				continue
			}
			index := binary.BigEndian.Uint32(r.Key)
			if r.Value == nil {
				delete(k.rows, index)
				continue
			}
			if index >= endKey || k.rows[index] {
				k.t.Fatal("key index", index)
			}
			k.rows[index] = true
		}
	}
	for _, d := range e.Tell {
		switch msg := d.Msg.(type) {
		case messages.GetRows:
			got := messages.GotRows{Incarnation: msg.Incarnation, Token: msg.Token}
			for index := range k.rows {
				got.Rows = append(got.Rows, messages.Row{Bucket: messages.BucketKeys, Key: binary.BigEndian.AppendUint32(nil, index), Value: []byte("used")})
			}
			k.step(got)
		case messages.PeerSend:
			k.said = errors.New(string(msg.Msgs[0].(*lnwire.Error).Data))
		case messages.OpenReply:
			k.said = msg.Err
		}
	}
}

// open has a peer open a channel, which comes to nothing. It tells what the peer was told, and how many keys were spent.
func (k *keyring) open(peer ln.NodeID, sat int64) (said string, spent uint32) {
	k.n++
	before := k.m.nextKey
	msg := &lnwire.OpenChannel{FundingAmount: btcutil.Amount(sat)}
	binary.BigEndian.PutUint64(msg.PendingChannelID[:], k.n)
	k.said = nil
	k.step(messages.InboundOpen{Peer: peer, Session: 3, Msg: msg})
	k.step(messages.OpeningEnded{Peer: peer, TemporaryID: ln.ChannelID(msg.PendingChannelID)})
	if k.said != nil {
		said = k.said.Error()
	}
	return said, k.m.nextKey - before
}

// stranger is a node id.
func stranger(n uint64) (id ln.NodeID) {
	binary.BigEndian.PutUint64(id[1:], n+1)
	return id
}

// A peer may open so many channels in a time, and all strangers together. None can spend the key indices of this node, which are for ever, and none
// spends one with terms that are refused anyway.
func TestOpenRates(t *testing.T) {
	k := newKeyring(t, -1)
	granted := func(peer ln.NodeID) bool {
		t.Helper()
		said, spent := k.open(peer, 1)
		if said == "" && spent == 1 {
			return true
		}
		if said != ErrOpenRate.Error() || spent != 0 {
			t.Fatalf("told %q, %d keys spent", said, spent)
		}
		return false
	}
	count := func(peer ln.NodeID) (n int) {
		for range 200 {
			if granted(peer) {
				n++
			}
		}
		return n
	}
	for range 1000 {
		if said, spent := k.open(stranger(0), 0); said != "bad terms" || spent != 0 {
			t.Fatalf("told %q, %d keys spent", said, spent)
		}
	}
	if n := count(stranger(0)); n != 128 {
		t.Fatal("at once", n)
	}
	k.now = k.now.Add(time.Minute)
	if n := count(stranger(0)); n != 4 {
		t.Fatal("after a minute", n)
	}
	many := 0
	for i := range uint64(10_000) {
		if granted(stranger(i)) {
			many++
		}
	}
	if many < 256-128-4 || many > 256 {
		t.Fatal("of all strangers at once", many)
	}
	if n := count(peerID); n != 128 {
		t.Fatal("of a peer with a channel", n)
	}
	hour := 0
	for range 60 {
		k.now = k.now.Add(time.Minute)
		for i := range uint64(100) {
			if granted(stranger(k.n + i)) {
				hour++
			}
		}
	}
	if hour != 60*30 {
		t.Fatal("of all strangers in an hour", hour)
	}
	if len(k.m.opened) > 1200 || len(k.m.openings) > 0 {
		t.Fatal("kept of them:", len(k.m.opened), len(k.m.openings))
	}
	if len(k.rows) != 1 || !k.rows[k.m.nextKey-1] {
		t.Fatalf("%d rows of keys", len(k.rows))
	}
}

// When no key index is left nothing is opened, whatever the disk says; above all none is used again.
func TestNoKeysLeft(t *testing.T) {
	for _, last := range []int64{endKey - 3, endKey - 1, endKey, 1<<32 - 1} {
		k := newKeyring(t, last)
		for left := max(0, endKey-1-last); left > 0; left-- {
			if said, spent := k.open(peerID, 1); said != "" || spent != 1 {
				t.Fatalf("%d left: told %q, %d keys spent", left, said, spent)
			}
		}
		for range 2 {
			if said, spent := k.open(peerID, 1); said != ErrNoKeys.Error() || spent != 0 {
				t.Fatalf("after %d: told %q, %d keys spent", last, said, spent)
			}
			k.said = nil
			k.step(messages.RequestOpen{Peer: peerID, CapacitySat: 1, ReplyTo: "api"})
			if !errors.Is(k.said, ErrNoKeys) {
				t.Fatalf("after %d: %v", last, k.said)
			}
		}
	}
}
