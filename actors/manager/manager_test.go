package manager

import (
	"testing"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// Rule 4 of package actors: an answer to a dead incarnation's question is dropped, although the numbers of questions begin anew.
func TestAnswersToTheDead(t *testing.T) {
	m := New(testConfig(), quiet, 2, newState())
	m.Start()
	m.Step(messages.GotRows{Incarnation: 1, Token: 1, Rows: []messages.Row{{Key: []byte{0, 0, 0, 7}}}}, epoch)
	if m.keyed || len(m.lookups) != 1 {
		t.Fatal("taken for an answer")
	}
	m.Step(messages.GotRows{Incarnation: 2, Token: 1, Rows: []messages.Row{{Key: []byte{0, 0, 0, 7}}}}, epoch)
	if !m.keyed || m.nextKey != 8 {
		t.Fatal("answer not taken")
	}
}

// A name that no channel has leads nowhere, also where a channel has the zero id.
func TestUnknownNameIsNoChannel(t *testing.T) {
	m := New(testConfig(), quiet, 1, newState())
	zero := &channel{}
	m.channels[ln.ChannelID{}] = zero
	f := &forward{hop: onion.Payload{NextSCID: 7}}
	if m.outgoing(f) != nil {
		t.Fatal("an HTLC for an unknown channel goes to the one with the zero id")
	}
	m.byScid[7] = ln.ChannelID{}
	if m.outgoing(f) != zero {
		t.Fatal("a channel is not found by its name")
	}
}
