package monitor

import (
	"errors"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// A watcher takes a monitor's place in quarantine. It goes by what can be read of the log, which may be old, so it broadcasts no commitment, decides
// nothing, tells the manager nothing and records nothing. But it watches the funding output, punishes a revoked commitment, and claims what is
// ours of whatever confirms: none of that can be wrong because the facts are old.

// RestoreWatcher rebuilds as much as can be read. The error says why it is not all; the monitor is nil if it is nothing.
func RestoreWatcher(signer chankeys.Signer, snapshot []byte, records [][]byte) (*Monitor, error) {
	m := &Monitor{signer: signer, archiveDepth: ArchiveDepth, frozen: true}
	var wrong error
	if snapshot != nil {
		s, err := record.ReadSnapshot(snapshot)
		if err != nil {
			return nil, err
		}
		m.restore(s)
	}
	for _, b := range records {
		r, err := record.Read(b)
		if err == nil {
			err = m.replay(r)
		}
		if err != nil {
			wrong = err
			break
		}
	}
	if m.facts == nil {
		return nil, errors.Join(ErrNoChannel, wrong)
	}
	return m, wrong
}

// watchOnly is all that a watcher does with a message.
func (s *Session) watchOnly(msg any) (Output, error) {
	var o Output
	var err error
	switch m := msg.(type) {
	case messages.ChainBlock:
		if o, err = s.handle(m); err == nil {
			s.sweep(&o, s.m.events.all()) // again with every block: the wallet may have forgotten, and repeats are no news to it
		}
	case messages.ChainDisconnected, messages.ChainStarted, messages.ClaimBuilt:
		o, err = s.handle(m)
	case messages.GotRows:
		if m.Token != tokenArchive {
			o, err = s.handle(m)
		}
	case messages.ForceCloseChannel:
		o.tell(m.ReplyTo, messages.CloseReply{Err: ErrQuarantined})
	case messages.SetPolicy:
		o.tell(m.ReplyTo, messages.PolicyReply{Err: ErrQuarantined})
	case messages.TrustRestored:
		o.tell(m.ReplyTo, messages.CloseReply{Err: ErrQuarantined})
	}
	return o.watched(s.id), err
}

// watched keeps of an output what a watcher may say. The manager has no part in a watcher's sweeps: they go to the wallet directly.
func (o Output) watched(id ln.ChannelID) Output {
	out := Output{Refused: o.Refused, Alarm: o.Alarm}
	for _, d := range o.Then {
		_, question := d.Msg.(messages.GetRows)
		reply := false
		switch d.Msg.(type) {
		case messages.CloseReply, messages.PolicyReply:
			reply = true
		}
		if d.To == messages.ChainWatchAddr || d.To == messages.FundsAddr || question || reply {
			out.Then = append(out.Then, d)
		}
	}
	return out
}

// sweep hands outputs to the wallet.
func (s *Session) sweep(o *Output, events []facts.Event) {
	for _, e := range events {
		if k, ok := e.Kind.(facts.SpendableOutputs); ok {
			o.tell(messages.FundsAddr, messages.SweepOutputs{Event: ln.EventID{Channel: s.id, Seq: e.Seq}, Outputs: k.Outputs})
		}
	}
}
