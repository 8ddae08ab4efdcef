package graph

import (
	"bytes"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/messages"
)

// FuzzPeer lets a peer say whatever it likes, as the wire brings it, while we share a channel with it and know others. Nothing panics, what is kept
// is bounded, and only what is signed by those concerned gets into the graph.
func FuzzPeer(f *testing.F) {
	seed := newRig(f)
	m := mine(1)
	join := func(msgs ...lnwire.Message) []byte {
		var all bytes.Buffer
		for _, x := range msgs {
			var one bytes.Buffer
			if _, err := lnwire.WriteMessage(&one, x, 0); err != nil {
				f.Fatal(err)
			}
			all.WriteByte(byte(one.Len() >> 8))
			all.WriteByte(byte(one.Len()))
			all.Write(one.Bytes())
		}
		return all.Bytes()
	}
	f.Add(join(append(seed.channel(scid(700, 1, 0), 10, 11), nodeAnnouncement(10, testStart))...))
	f.Add(join(theirHalf(seed, m, 1), update(m.Alias, 1, self, testStart, nil)))
	f.Add(join(
		&lnwire.QueryChannelRange{ChainHash: testChain, NumBlocks: 1 << 31}, &lnwire.GossipTimestampRange{ChainHash: testChain, TimestampRange: 1 << 31},
		&lnwire.QueryShortChanIDs{ChainHash: testChain, EncodingType: lnwire.EncodingSortedZlib, ShortChanIDs: []lnwire.ShortChannelID{{BlockHeight: 600}}},
		&lnwire.ReplyChannelRange{ChainHash: testChain, NumBlocks: 1 << 31, ShortChanIDs: []lnwire.ShortChannelID{{BlockHeight: 700}}},
		&lnwire.ReplyShortChanIDsEnd{ChainHash: testChain},
	))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newRig(t)
		r.up(1)
		r.up(2)
		r.tell(m, messages.ChainTip{Height: 801})
		r.say(2, r.channel(scid(600, 1, 0), 20, 21)...)
		r.chain.fund(scid(700, 1, 0), 10, 11)
		r.listen(2)
		for len(in) > 2 {
			n := int(in[0])<<8 | int(in[1])
			in = in[2:]
			n = min(n, len(in), 4096)
			msg, err := lnwire.ReadMessage(bytes.NewReader(in[:n]), 0)
			in = in[n:]
			if err == nil {
				r.say(1, msg)
			}
		}
		r.wait(2 * time.Minute)
		for _, ch := range r.core.g.Sorted() {
			msg, err := store.Message(ch.Raw)
			if err != nil {
				t.Fatal(err)
			}
			p, err := store.ParseChannel(msg.(*lnwire.ChannelAnnouncement1), testChain)
			if err != nil || p.Verify() != nil {
				t.Fatal("a channel without its signatures", err)
			}
			for d, policy := range ch.Policies {
				if policy == nil {
					continue
				}
				msg, err := store.Message(policy.Raw)
				if err != nil {
					t.Fatal(err)
				}
				u, err := store.ParseUpdate(msg.(*lnwire.ChannelUpdate1), testChain)
				if err != nil || u.Dir != d || u.Verify(ch.Nodes[d].ID) != nil {
					t.Fatal("a policy that its node did not sign", err)
				}
			}
		}
		if _, _, err := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now); err != nil {
			t.Fatal(err)
		}
	})
}
