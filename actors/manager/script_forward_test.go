package manager

import (
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/cockroachdb/datadriven"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/protobuf/proto"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// What scripts say about forwards:
//
//	event SEQ accepted HTLC PAYMENT onward [in=1100] [expiry=1200] [amount=1000] [outexpiry=1100] [scid=200]
//	event SEQ claimed|failed HTLC PAYMENT [downstream|malformed|timeout|expiring] from=CHANNEL/HTLC
//	own HTLC PAYMENT from=CHANNEL/HTLC
//	inbound HTLC PAYMENT [preimage]  (a forward's decision has no parts)
//	summary [place=SCID] [alias=SCID] [peer=NAME] [base=] [prop=] [delta=] [min=] [max=] [phase=] [spent=HEIGHT] [unverified]

func from(text string) (ln.ChannelID, uint64) {
	name, htlc, _ := strings.Cut(text, "/")
	return channelID(name), num(htlc)
}

func forwardSource(text string) *ln.ForwardSource {
	id, htlc := from(text)
	return &ln.ForwardSource{Channel: id, HTLCID: htlc, SharedSecret: secretOf(text), CLTVExpiry: startHeight + 200, AmountMsat: 1100}
}

// secretOf is shared with the payer of an inbound HTLC.
func secretOf(text string) onion.SharedSecret { return onwards[text] }

// onwards are the secrets of what was accepted, by channel and HTLC.
var onwards = map[string]onion.SharedSecret{}

func sourceOf(payment string, opts map[string]string) ln.Source {
	if v := opts["from"]; v != "" {
		return ln.Source{Forward: forwardSource(v)}
	}
	return source(payment)
}

func anyHash(name string) ln.Hash {
	if strings.HasPrefix(name, "p") {
		return hashOf(name)
	}
	return invoiceOf(name).Hash
}

func peerNamed(name string) ln.NodeID {
	return ln.NodeID(privKey(name).PubKey().SerializeCompressed())
}

func optional(opts map[string]string, key string, or uint64) uint64 {
	if v, ok := opts[key]; ok {
		return num(v)
	}
	return or
}

func summaryOpts(s *messages.ChannelSummary, opts map[string]string) {
	s.ShortChannelID = optional(opts, "place", s.ShortChannelID)
	s.Alias = optional(opts, "alias", 0)
	if n := opts["peer"]; n != "" {
		s.Peer = peerNamed(n)
	}
	s.Policy = facts.Policy{
		BaseMsat: uint32(optional(opts, "base", 0)), PropMillionths: uint32(optional(opts, "prop", 0)), CLTVDelta: uint16(optional(opts, "delta", 0)),
		HTLCMinimumMsat: optional(opts, "min", 0), HTLCMaximumMsat: optional(opts, "max", 0),
	}
	switch opts["phase"] {
	case "funding":
		s.Phase = messages.PhaseFunding
	case "closing":
		s.Phase = messages.PhaseClosing
	}
	if h := optional(opts, "spent", 0); h != 0 {
		s.Phase, s.Spent = messages.PhaseClosed, &facts.FundingSpent{Height: uint32(h)}
	}
	s.Unverified = opts["unverified"] != ""
}

// onward is an HTLC to be sent on.
func (s *script) onward(args []string, opts map[string]string) facts.EventKind {
	k := facts.HTLCAccepted{
		HTLCID: num(args[1]), AmountMsat: optional(opts, "in", 1100), Hash: hashOf(args[2]), CLTVExpiry: uint32(optional(opts, "expiry", startHeight+200)),
	}
	out, expiry := optional(opts, "amount", 1000), uint32(optional(opts, "outexpiry", startHeight+100))
	session := fmt.Sprint("onward", args, opts)
	s.payers = append(s.payers, session)
	packet := must(onion.Build(privKey(session), []onion.Hop{
		{PubKey: nodeKey.PubKey(), AmountMsat: out, CLTVExpiry: expiry, NextSCID: optional(opts, "scid", 200)},
		{PubKey: peerKey.PubKey(), AmountMsat: out, CLTVExpiry: expiry, PaymentSecret: [32]byte{1}, TotalMsat: out},
	}, k.Hash))
	k.Onion = packet[:]
	p := must(onion.Process(onion.KeyOf(nodeKey), packet, k.Hash))
	onwards[s.target+"/"+args[1]] = p.Secret
	return k
}

// downstream is the reason of a failure at the payee, as the next channel's peer passes it on.
func (s *script) downstream(payment string, opts map[string]string) []byte {
	id, htlc := from(opts["from"])
	_ = id
	for _, session := range s.payers {
		if strings.Contains(session, fmt.Sprintf("accepted %d %s onward", htlc, payment)) {
			packet := must(onion.Build(privKey(session), []onion.Hop{
				{PubKey: nodeKey.PubKey(), AmountMsat: 1, CLTVExpiry: 1, NextSCID: 1}, {PubKey: peerKey.PubKey(), AmountMsat: 1, CLTVExpiry: 1, TotalMsat: 1},
			}, hashOf(payment)))
			mine := must(onion.Process(onion.KeyOf(nodeKey), packet, hashOf(payment)))
			theirs := must(onion.Process(onion.KeyOf(peerKey), mine.Next, hashOf(payment)))
			return must(onion.EncryptFailure(theirs.Secret, lnwire.NewFailIncorrectDetails(1000, startHeight)))
		}
	}
	return make([]byte, 292)
}

// wrapped is what the payer reads of a failure further down.
func (s *script) wrapped(reason []byte) string {
	for _, session := range s.payers {
		f, err := onion.DecryptFailure(privKey(session), []*btcec.PublicKey{nodeKey.PubKey(), peerKey.PubKey()}, reason)
		if err == nil {
			return fmt.Sprintf("fail, hop %d: %v", f.Hop, f.Code)
		}
	}
	return "fail, unreadable"
}

func (s *script) describeAdd(m messages.AddHTLC) []string {
	f := m.Source.Forward
	return []string{fmt.Sprintf("AddHTLC from %s/%d fence=%d amount=%d expiry=%d inbound-expiry=%d", f.Channel, f.HTLCID, m.Fence&0xffffffff, m.AmountMsat, m.CLTVExpiry, f.CLTVExpiry)}
}

func text2(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	return ""
}

// forwardCommand runs a command that is about forwards.
func (s *script) forwardCommand(t *testing.T, d *datadriven.TestData) bool {
	t.Helper()
	id := channelID(first(d, 0))
	switch d.Cmd {
	case "committed":
		s.step(messages.HTLCCommitted{Channel: id, HTLCID: number(d, "htlc", 0), Source: *forwardSource(text2(d, "from"))})
	case "refused":
		s.step(messages.NotCommitted{
			Channel: id, Fence: s.inc<<32 + number(d, "fence", s.m.channels[id].fence&0xffffffff), Source: ln.Source{Forward: forwardSource(text2(d, "from"))},
			Down: d.HasArg("down"), Why: fmt.Errorf("no"),
		})
	case "settled": // the monitor's answer to a forward's decision
		msg := messages.InboundDecided{Channel: id, HTLCID: number(d, "htlc", 0), Gone: d.HasArg("gone"), Buried: d.HasArg("buried")}
		if n := text2(d, "preimage"); n != "" {
			p := preimageOf(n)
			msg.Resolution = &facts.Resolution{Preimage: &p, Settled: d.HasArg("settled")}
		} else if !msg.Gone {
			msg.Resolution = &facts.Resolution{Reason: []byte{1}}
		}
		s.step(msg)
	case "fate": // the row of a monitor
		s.disk.put(fateRow(id, number(d, "htlc", 0), hashOf(text2(d, "hash")), number(d, "amount", 1100)))
	case "link":
		s.step(messages.ChannelLink{Channel: id, Up: d.HasArg("up")})
	case "summary": // of a channel, as in a report
		r := s.report(t, first(d, 0), 0, "summary "+d.Input)
		s.step(messages.ChannelChanged{Summary: r.Summary})
	case "intercepted":
		msg := messages.DecideIntercepted{Channel: id, HTLCID: number(d, "htlc", 0), ForwardMsat: number(d, "msat", 0), Code: uint16(number(d, "code", 0)), ReplyTo: "api"}
		switch {
		case d.HasArg("forward"):
			msg.Action = messages.InterceptForward
		case d.HasArg("fail"):
			msg.Action = messages.InterceptFail
		case d.HasArg("settle"):
			msg.Action, msg.Preimage = messages.InterceptSettle, preimageOf(text2(d, "settle"))
		}
		if n := text2(d, "out"); n != "" {
			msg.Out = channelID(n)
		}
		s.step(msg)
	case "may-archive":
		s.step(messages.MayArchive{Channel: id, Incarnation: 1})
	case "interceptor-started":
		s.step(messages.InterceptorStarted{})
	case "update":
		s.step(messages.OwnUpdate{Channel: id, SCID: number(d, "scid", 0), Raw: make([]byte, 140)})
	default:
		return false
	}
	return true
}

func fateRow(channel ln.ChannelID, htlc uint64, hash ln.Hash, amount uint64) messages.Row {
	return messages.Row{
		Bucket: messages.BucketFates, Key: htlcKey{channel, htlc}.bytes(),
		Value: must(proto.Marshal(&pb.FateRow{Version: 1, ChannelId: channel[:], HtlcId: htlc, Hash: hash[:], AmountMsat: amount, Fulfilled: true})),
	}
}
