package manager

import (
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// watchedKey counts how often it is asked, and how often after the first event was taken in.
type watchedKey struct {
	onion.NodeKey
	m           **Manager
	asked, late atomic.Int32
}

func (k *watchedKey) ECDH(pub *btcec.PublicKey) ([32]byte, error) {
	k.asked.Add(1)
	if len((*k.m).open) > 0 {
		k.late.Add(1)
	}
	return k.NodeKey.ECDH(pub)
}

// TestPeelingAheadChangesNothing: HTLCs that come in one message are decided as if each came alone, in their order, and each onion is peeled once,
// before the first of them is decided.
func TestPeelingAheadChangesNothing(t *testing.T) {
	run := func(together bool) (said []any, key *watchedKey) {
		cfg := testConfig()
		key = &watchedKey{NodeKey: cfg.NodeKey}
		cfg.NodeKey = key
		b := newBench(cfg)
		key.m = &b.m
		id := channelID("c1")
		var events []facts.Event
		for i := range uint64(30) {
			var k facts.HTLCAccepted
			switch i % 5 {
			case 0, 1:
				k = b.onward(map[string]string{"expiry": "1300"})
			case 2:
				k = b.onward(map[string]string{"expiry": "1300", "in": "900"}) // pays no fee
			case 3:
				k = b.onward(map[string]string{"expiry": "1300"})
				k.Onion[len(k.Onion)-1] ^= 1
			case 4:
				k = b.onward(map[string]string{"expiry": "1300"})
				k.Onion = k.Onion[:100]
			}
			k.HTLCID = i
			events = append(events, facts.Event{Seq: i + 1, Kind: k})
		}
		key.asked.Store(0)
		step := func(events ...facts.Event) {
			e := b.m.Step(messages.EmitEvents{Channel: id, Fence: b.m.channels[id].fence, Events: events}, b.now)
			for _, a := range e.Appends {
				e.Tell = append(e.Tell, a.Then...)
			}
			for _, d := range e.Tell {
				switch d.Msg.(type) {
				case messages.DecideHTLC, messages.AddHTLC:
					said = append(said, d)
				}
			}
		}
		if together {
			step(events...)
		} else {
			for _, ev := range events {
				step(ev)
			}
		}
		if b.m.ahead != nil {
			t.Error("peeled onions are kept")
		}
		return said, key
	}
	alone, _ := run(false)
	together, key := run(true)
	if len(alone) != 30 || !reflect.DeepEqual(alone, together) {
		t.Errorf("together they are decided otherwise than alone, %d and %d answers", len(together), len(alone))
	}
	if asked, late := key.asked.Load(), key.late.Load(); asked != 24 || late != 0 {
		t.Errorf("%d onions were peeled, %d of them late; want 24 and none", asked, late)
	}
}
