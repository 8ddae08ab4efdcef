package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"google.golang.org/protobuf/proto"

	"github.com/lnactor/lnactor/actors/monitor/record/change"
	"github.com/lnactor/lnactor/actors/monitor/record/event"
	"github.com/lnactor/lnactor/actors/monitor/record/onchain"
	"github.com/lnactor/lnactor/actors/monitor/record/state"
	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// version of every record here. A reader refuses any other: a newer node may have written what an older one would misread.
const version = 1

var errVersion = errors.New("written by another version of this software: use that one or a newer one")

// Write is the record's bytes.
func (r *Record) Write() []byte {
	p := &pb.MonitorRecord{Version: version, Index: r.Index, UpdateId: r.UpdateID, Acked: r.Acked}
	for _, u := range r.Updates {
		p.Updates = append(p.Updates, change.Write(u))
	}
	for _, e := range r.Events {
		p.Events = append(p.Events, event.Write(e))
	}
	return marshal(p)
}

// Read is the inverse of Record.Write.
func Read(b []byte) (*Record, error) {
	var p pb.MonitorRecord
	if err := unmarshal(b, &p); err != nil {
		return nil, err
	}
	var in take.Reader
	r := &Record{Index: p.Index, UpdateID: p.UpdateId, Acked: p.Acked}
	for _, u := range p.Updates {
		r.Updates = append(r.Updates, change.Read(&in, u))
	}
	r.Events = readEvents(&in, p.Events)
	if err := corrupt(&p, in.Err()); err != nil {
		return nil, err
	}
	return r, nil
}

// Write is the snapshot's bytes.
func (s *Snapshot) Write() []byte {
	p := &pb.MonitorSnapshot{Version: version, Index: s.Index, UpdateId: s.UpdateID, LastSeq: s.LastSeq, Channel: state.Channel(s.Channel)}
	for _, e := range s.Events {
		p.Events = append(p.Events, event.Write(e))
	}
	for _, g := range s.Gone {
		p.Gone = append(p.Gone, &pb.GoneInbound{HtlcId: g.HTLCID, Resolution: state.Resolution(g.Resolution)})
	}
	if s.Spender != nil {
		p.Spender = s.Spender[:]
	}
	return marshal(p)
}

// ReadSnapshot is the inverse of Snapshot.Write.
func ReadSnapshot(b []byte) (*Snapshot, error) {
	var p pb.MonitorSnapshot
	if err := unmarshal(b, &p); err != nil {
		return nil, err
	}
	var in take.Reader
	s := &Snapshot{Index: p.Index, UpdateID: p.UpdateId, LastSeq: p.LastSeq, Channel: state.ReadChannel(&in, p.Channel)}
	s.Events = readEvents(&in, p.Events)
	for _, g := range p.Gone {
		s.Gone = append(s.Gone, Gone{HTLCID: g.HtlcId, Resolution: state.ReadResolution(&in, g.Resolution)})
	}
	s.Spender = (*chainhash.Hash)(in.Optional32("spender", p.Spender))
	if err := corrupt(&p, in.Err()); err != nil {
		return nil, err
	}
	return s, nil
}

// readEvents allocates once: a start reads a hundred events of each of many channels.
func readEvents(in *take.Reader, events []*pb.Event) []facts.Event {
	if len(events) == 0 {
		return nil
	}
	out := make([]facts.Event, len(events))
	for i, e := range events {
		out[i] = event.Read(in, e)
	}
	return out
}

// WriteRow makes the row that the persister stores.
func WriteRow(r Row) messages.Row {
	switch r := r.(type) {
	case *Outcome:
		p := &pb.OutcomeRow{
			Version: version, PaymentId: r.PaymentID[:], PartId: r.PartID, ChannelId: r.Channel[:], HtlcId: r.HTLCID, Hash: r.Hash[:],
			AmountMsat: r.AmountMsat, TotalMsat: r.TotalMsat,
		}
		if r.Preimage != nil {
			p.Preimage = r.Preimage[:]
		}
		key := append(append(make([]byte, 0, 72), r.PaymentID[:]...), r.Channel[:]...)
		return messages.Row{Bucket: messages.BucketOutcomes, Key: binary.BigEndian.AppendUint64(key, r.HTLCID), Value: marshal(p)}
	case *Fate:
		return messages.Row{Bucket: messages.BucketFates, Key: channelKey(r.Channel, r.HTLCID), Value: marshal(&pb.FateRow{
			Version: version, ChannelId: r.Channel[:], HtlcId: r.HTLCID, Hash: r.Hash[:], AmountMsat: r.AmountMsat, Fulfilled: r.Fulfilled,
		})}
	case *Revoked:
		p := onchain.Revoked(&r.Commitment)
		p.Version = version
		return messages.Row{Bucket: messages.BucketRevoked, Key: channelKey(r.Channel, r.Commitment.Number), Value: marshal(p)}
	case *Closed:
		return messages.Row{Bucket: messages.BucketClosed, Key: r.Channel[:], Value: marshal(&pb.ClosedRow{
			Version: version, ChannelId: r.Channel[:], Peer: r.Peer[:], KeyIndex: r.KeyIndex, Funding: onchain.OutPoint(r.Funding),
			CapacitySat: r.CapacitySat, ClosingTxid: r.ClosingTxid[:], Spend: uint32(r.Spend), Height: r.Height,
			SweptSat: r.SweptSat, LostSat: r.LostSat, FeesSat: r.FeesSat,
		})}
	}
	panic(fmt.Sprintf("record: %T is no row", r))
}

// ReadRow is the inverse of WriteRow.
func ReadRow(m messages.Row) (Row, error) {
	var in take.Reader
	switch m.Bucket {
	case messages.BucketOutcomes:
		var p pb.OutcomeRow
		if err := unmarshal(m.Value, &p); err != nil {
			return nil, err
		}
		r := &Outcome{
			PaymentID: in.B32("payment_id", p.PaymentId), PartID: p.PartId, Channel: in.B32("channel_id", p.ChannelId), HTLCID: p.HtlcId,
			Hash: in.B32("hash", p.Hash), AmountMsat: p.AmountMsat, TotalMsat: p.TotalMsat,
			Preimage: (*ln.Preimage)(in.Optional32("preimage", p.Preimage)),
		}
		return r, corrupt(&p, in.Err())
	case messages.BucketFates:
		var p pb.FateRow
		if err := unmarshal(m.Value, &p); err != nil {
			return nil, err
		}
		r := &Fate{
			Channel: in.B32("channel_id", p.ChannelId), HTLCID: p.HtlcId, Hash: in.B32("hash", p.Hash), AmountMsat: p.AmountMsat,
			Fulfilled: p.Fulfilled,
		}
		return r, corrupt(&p, in.Err())
	case messages.BucketRevoked:
		var p pb.RevokedCommitment
		if err := unmarshal(m.Value, &p); err != nil {
			return nil, err
		}
		r := &Revoked{Commitment: onchain.ReadRevoked(&in, &p)}
		if len(m.Key) != 40 {
			in.Fail("key of %d bytes, want 40", len(m.Key))
		} else {
			r.Channel = ln.ChannelID(m.Key[:32])
		}
		return r, corrupt(&p, in.Err())
	case messages.BucketClosed:
		var p pb.ClosedRow
		if err := unmarshal(m.Value, &p); err != nil {
			return nil, err
		}
		r := &Closed{
			Channel: in.B32("channel_id", p.ChannelId), Peer: in.B33("peer", p.Peer), KeyIndex: p.KeyIndex, Funding: onchain.ReadOutPoint(&in, p.Funding),
			CapacitySat: p.CapacitySat, ClosingTxid: in.B32("closing_txid", p.ClosingTxid),
			Spend: facts.SpendKind(in.U8("spend", p.Spend, uint32(facts.SpendMutualClose))), Height: p.Height,
			SweptSat: p.SweptSat, LostSat: p.LostSat, FeesSat: p.FeesSat,
		}
		return r, corrupt(&p, in.Err())
	}
	return nil, &CorruptError{Kind: "row of bucket " + m.Bucket, Err: errors.New("no row of a monitor")}
}

// RevokedKey is the key of a revoked commitment's row.
func RevokedKey(id ln.ChannelID, number uint64) []byte { return channelKey(id, number) }

func channelKey(id ln.ChannelID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 40), id[:]...), number)
}

// versioned is any record.
type versioned interface {
	proto.Message
	GetVersion() uint32
}

func marshal(p versioned) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("record: a %s without strings does not marshal: %v", kind(p), err))
	}
	return b
}

func unmarshal(b []byte, p versioned) error {
	if err := proto.Unmarshal(b, p); err != nil {
		return corrupt(p, err)
	}
	if p.GetVersion() != version {
		return corrupt(p, fmt.Errorf("version %d: %w", p.GetVersion(), errVersion))
	}
	if len(p.ProtoReflect().GetUnknown()) > 0 {
		return corrupt(p, fmt.Errorf("unknown fields: %w", errVersion))
	}
	return nil
}

func kind(p proto.Message) string { return string(p.ProtoReflect().Descriptor().Name()) }

func corrupt(p proto.Message, err error) error {
	if err == nil {
		return nil
	}
	return &CorruptError{Kind: kind(p), Err: err}
}
