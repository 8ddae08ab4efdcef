package manager

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"google.golang.org/protobuf/proto"

	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

var (
	epoch    = time.Unix(1_800_000_000, 0)
	nodeKey  = privKey("node")
	peerKey  = privKey("peer")
	peerID   = ln.NodeID(peerKey.PubKey().SerializeCompressed())
	invoices = invoice.NewKeys(deriver{})
)

const startHeight = 1000

type deriver struct{}

func (deriver) Derive(label string) [32]byte { return sha256.Sum256([]byte(label)) }

func privKey(label string) *btcec.PrivateKey {
	h := sha256.Sum256([]byte(label))
	k, _ := btcec.PrivKeyFromBytes(h[:])
	return k
}

func id32[T ~[32]byte](label string) T { return T(sha256.Sum256([]byte(label))) }

func testConfig() Config {
	return Config{NodeKey: onion.KeyOf(nodeKey), Invoices: invoices, Derive: deriver{}.Derive, DecodeClosed: decodeClosed}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testInvoice is an invoice of ours, and what pays it.
type testInvoice struct {
	name string
	mpp  bool
	invoice.Invoice
	amount uint64
}

func newInvoice(name string, amount uint64) testInvoice { return newInvoiceOf(name, amount, false) }

func newInvoiceOf(name string, amount uint64, mpp bool) testInvoice {
	return testInvoice{name: name, mpp: mpp, amount: amount, Invoice: must(invoice.New(invoices, invoice.Params{
		AmountMsat: amount, MPP: mpp, Hold: strings.Contains(name, "hold"), Hash: givenHash(name), Now: epoch, Expiry: time.Hour, IV: [16]byte(sha256.New().Sum([]byte(name + strings.Repeat("-", 16)))[:16]),
		Signer: invoice.SignerOf(nodeKey), Chain: &chaincfg.RegressionNetParams,
	}))}
}

// givenHash is for invoices whose preimage the node does not know; preimageOf does.
func givenHash(name string) *ln.Hash {
	if !strings.Contains(name, "theirs") {
		return nil
	}
	h := hashOf(name)
	return &h
}

// pays is the onion that pays an invoice.
func (i testInvoice) pays(amount, total uint64, expiry uint32, session string, records ...onion.Record) []byte {
	packet := must(onion.Build(privKey(session), []onion.Hop{{
		PubKey: nodeKey.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, PaymentSecret: i.Secret, TotalMsat: total, Custom: records,
	}}, i.Hash))
	return packet[:]
}

// keysends is the onion of a payment that nobody asked for; its preimage is preimageOf the name.
func keysends(name string, amount uint64, expiry uint32, session string) []byte {
	p := preimageOf(name)
	packet := must(onion.Build(privKey(session), []onion.Hop{{PubKey: nodeKey.PubKey(), AmountMsat: amount, CLTVExpiry: expiry, Keysend: &p}}, hashOf(name)))
	return packet[:]
}

// disk is a persister that takes everything at once, and remembers all its states.
type disk struct {
	snapshot []byte
	log      [][]byte
	rows     map[string]map[string][]byte // by bucket and key
	since    int

	// States of what the manager may lose: its log, payments and invoices.
	past []past
}

type past struct {
	snapshot []byte
	log      [][]byte
	rows     map[string]map[string][]byte
}

func newDisk() *disk { return &disk{rows: map[string]map[string][]byte{}} }

// owned are the buckets of the manager that it may lose (S18).
var owned = []string{messages.BucketPayments, messages.BucketInvoices, messages.BucketReceived}

func (d *disk) write(m *Manager, last bool, a Append) {
	for _, r := range a.Records {
		b := EncodeRecord(r)
		if got := must(DecodeRecord(b)); !bytes.Equal(EncodeRecord(got), b) {
			panic(fmt.Sprintf("record does not read back (S10): %#v", r))
		}
		d.log = append(d.log, b)
		d.since++
	}
	if last && d.since >= 7 { // small, so that snapshots matter
		d.snapshot, d.log, d.since = EncodeState(m.State()), nil, 0
	}
	for _, r := range a.Rows {
		d.put(r)
	}
	d.paired(a.Rows)
	if len(a.Records)+len(a.Rows) > 0 {
		d.remember()
	}
}

// paired: what is listed as received is what the invoices' rows say, after every append.
func (d *disk) paired(rows []messages.Row) {
	if a, b := len(d.rows[messages.BucketInvoices]), len(d.rows[messages.BucketReceived]); a != b {
		panic(fmt.Sprintf("%d rows of invoices, %d are listed", a, b))
	}
	for _, r := range rows {
		if r.Bucket != messages.BucketInvoices || r.Value == nil {
			continue
		}
		rec := must(decodeInvoice(r.Value))
		if listed := d.rows[messages.BucketReceived][string(listKey(ln.Hash(r.Key), rec.At))]; !bytes.Equal(listed, encodeReceived(rec)) {
			panic(fmt.Sprintf("invoice %x is listed as %x", r.Key, listed))
		}
	}
}

func (d *disk) remember() {
	p := past{snapshot: d.snapshot, log: slices.Clone(d.log), rows: map[string]map[string][]byte{}}
	for _, b := range owned {
		p.rows[b] = map[string][]byte{}
		for k, v := range d.rows[b] {
			p.rows[b][k] = v
		}
	}
	d.past = append(d.past, p)
}

// rollback puts back an earlier state, -1 being none at all.
func (d *disk) rollback(to int) {
	p := past{}
	if to >= 0 {
		p = d.past[to]
	}
	d.snapshot, d.log, d.since = p.snapshot, slices.Clone(p.log), len(p.log)
	for _, b := range owned {
		d.rows[b] = map[string][]byte{}
		for k, v := range p.rows[b] {
			d.rows[b][k] = v
		}
	}
	d.past = d.past[:to+1]
}

func (d *disk) put(r messages.Row) {
	if d.rows[r.Bucket] == nil {
		d.rows[r.Bucket] = map[string][]byte{}
	}
	if r.Value == nil {
		delete(d.rows[r.Bucket], string(r.Key))
		return
	}
	d.rows[r.Bucket][string(r.Key)] = r.Value
}

func (d *disk) state() State { return must(DecodeState(d.snapshot, d.log)) }

func (d *disk) get(q messages.GetRows) messages.GotRows {
	out := messages.GotRows{Incarnation: q.Incarnation, Token: q.Token}
	var keys []string
	for k := range d.rows[q.Bucket] {
		if len(q.After) > 0 && k <= string(q.After) {
			continue
		}
		if k == string(q.Key) || (q.Prefix || q.Last) && strings.HasPrefix(k, string(q.Key)) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	if q.Last && len(keys) > 1 {
		keys = keys[len(keys)-1:]
	}
	if q.Limit > 0 && len(keys) > q.Limit {
		keys = keys[:q.Limit]
	}
	for _, k := range keys {
		out.Rows = append(out.Rows, messages.Row{Bucket: q.Bucket, Key: []byte(k), Value: d.rows[q.Bucket][k]})
	}
	return out
}

// outcomeRow is what a monitor writes with Claimed and Failed.
func outcomeRow(channel ln.ChannelID, htlc uint64, payment ln.PaymentID, hash ln.Hash, amount uint64, preimage *ln.Preimage) messages.Row {
	m := &pb.OutcomeRow{Version: 1, PaymentId: payment[:], ChannelId: channel[:], HtlcId: htlc, Hash: hash[:], AmountMsat: amount, TotalMsat: amount}
	if preimage != nil {
		m.Preimage = preimage[:]
	}
	key := slices.Concat(payment[:], channel[:], []byte{byte(htlc)})
	return messages.Row{Bucket: messages.BucketOutcomes, Key: key, Value: must(proto.Marshal(m))}
}

// closedRow is what a monitor leaves in place of its log; only the manager's hook reads it.
func closedRow(channel ln.ChannelID, swept uint64) messages.Row {
	return messages.Row{Bucket: messages.BucketClosed, Key: bytes.Clone(channel[:]), Value: binary.BigEndian.AppendUint64(nil, swept)}
}

func decodeClosed(r messages.Row) (messages.ClosedChannel, error) {
	if len(r.Value) != 8 {
		return messages.ClosedChannel{}, errors.New("unreadable")
	}
	return messages.ClosedChannel{Channel: ln.ChannelID(r.Key), SweptSat: binary.BigEndian.Uint64(r.Value)}, nil
}

var quiet = slog.New(slog.DiscardHandler)

func privKeyOf(secret [32]byte) *btcec.PrivateKey {
	k, _ := btcec.PrivKeyFromBytes(secret[:])
	return k
}
