package peer

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/messages"
)

// bomb is a reply_channel_range whose list is a megabyte of ids behind zlib.
func bomb(t testing.TB) []byte {
	t.Helper()
	var list bytes.Buffer
	z := zlib.NewWriter(&list)
	for i := range uint64(1 << 20) {
		_ = binary.Write(z, binary.BigEndian, i)
	}
	_ = z.Close()
	if list.Len() > 65000 { // the ids compress badly: zeros do better, and are refused for their order
		list.Reset()
		z = zlib.NewWriter(&list)
		_, _ = z.Write(make([]byte, 50<<20))
		_ = z.Close()
	}
	raw := binary.BigEndian.AppendUint16(nil, uint16(lnwire.MsgReplyChannelRange))
	raw = append(raw, regtest[:]...)
	raw = append(raw, make([]byte, 9)...)
	raw = binary.BigEndian.AppendUint16(raw, uint16(list.Len()+1))
	raw = append(raw, byte(lnwire.EncodingSortedZlib))
	return append(raw, list.Bytes()...)
}

func TestDecodeGossip(t *testing.T) {
	small, err := Encode(&lnwire.GossipTimestampRange{ChainHash: regtest})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := decode(small, true); m == nil || err != nil {
		t.Fatal(m, err)
	}
	if m, err := decode(small, false); m != nil || err != nil {
		t.Fatal("without a graph it is skipped", m, err)
	}
	// A feature vector of 60 kB would become half a million map entries.
	huge := binary.BigEndian.AppendUint16(nil, uint16(lnwire.MsgNodeAnnouncement))
	huge = append(huge, make([]byte, 64)...)
	huge = binary.BigEndian.AppendUint16(huge, 60000)
	huge = append(huge, bytes.Repeat([]byte{0xff}, 60000)...)
	if m, err := decode(huge, true); m != nil || err != nil {
		t.Fatal("huge announcements are skipped unread", m, err)
	}
	if m, err := decode(bomb(t), true); m != nil || err == nil {
		t.Fatal("a list without end was read", m)
	}
	if !flood(huge) || flood([]byte{0}) || flood([]byte{0, byte(lnwire.MsgPing)}) {
		t.Fatal("flood")
	}
	half, err := Encode(&lnwire.AnnounceSignatures1{})
	if err != nil {
		t.Fatal(err)
	}
	if flood(half) {
		t.Fatal("announcement_signatures count as gossip that may be dropped")
	}
}

func TestGossipGoesToTheGraph(t *testing.T) {
	for _, graph := range []bool{true, false} {
		p := New(Config{Self: [33]byte{2, 1}, Chain: regtest, Gossip: graph}, [33]byte{2, 2})
		told := func() (out []any) {
			for _, e := range p.Take() {
				if x, ok := e.(Tell); ok && x.To == messages.GraphAddr {
					out = append(out, x.Msg)
				}
			}
			return out
		}
		receive := func(m lnwire.Message) {
			raw, err := Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			p.Receive(7, raw)
		}
		want := func(what string, all ...any) {
			t.Helper()
			got := told()
			if !graph {
				all = nil
			}
			if len(got) != len(all) {
				t.Fatal(what, got)
			}
			for i := range all {
				if _, isGossip := all[i].(messages.Gossip); !isGossip && got[i] != all[i] {
					t.Fatal(what, got)
				}
			}
		}
		p.Accepted(7)
		p.GraphStarted()
		want("before init")
		receive(newInit(regtest, true))
		up := messages.GossipUp{Peer: p.id, Session: 7, Queries: true}
		want("up", up)
		p.GraphStarted()
		want("again", up)
		receive(&lnwire.GossipTimestampRange{ChainHash: regtest})
		want("gossip", messages.Gossip{})
		p.Lost(7, nil)
		want("down", messages.GossipDown{Peer: p.id, Session: 7})
		p.GraphStarted()
		want("after the end")
	}
}

func TestOptionalMessages(t *testing.T) {
	p := New(Config{Chain: regtest, Gossip: true}, [33]byte{2, 2})
	p.Accepted(7)
	raw, _ := Encode(newInit(regtest, false))
	p.Receive(7, raw)
	p.Take()
	for _, optional := range []bool{true, false} {
		p.Send(messages.PeerSend{Session: 7, Optional: optional, Msgs: []lnwire.Message{lnwire.NewPing(0)}})
		if e := p.Take(); len(e) != 1 || e[0].(Write).Optional != optional {
			t.Fatal(e)
		}
	}
}
