package persister

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/lnactor/lnactor/messages"
)

// Snapshot enters a snapshot that the scan found. The core is the Visitor of its store's Scan.
func (c *core) Snapshot(s Snapshot) {
	o := c.owner(s.Owner)
	o.hasSnapshot, o.through, o.last = true, s.Through, s.Through
	o.scanned = &scanned{snapshot: s.Data}
	o.corrupt = s.Err
}

// Record enters a record that the scan found.
func (c *core) Record(r Record) {
	c.lastKey = r.Key
	o := c.owner(r.Owner)
	c.enter(o, &r)
	if r.Seq <= o.through {
		return // dead, not deleted yet
	}
	o.last = max(o.last, r.Seq)
	if o.scanned == nil {
		o.scanned = &scanned{}
	}
	if r.Err != nil && o.corrupt == nil {
		o.corrupt = r.Err
	}
	o.scanned.records = append(o.scanned.records, scannedRecord{r.Seq, r.Data})
}

// scanDone checks what no single value can show: an owner's records must follow its snapshot, or one another, without a gap. A lost snapshot or
// record would otherwise look like an older, valid state.
func (c *core) scanDone() {
	for _, o := range c.owners {
		if o.corrupt != nil || o.scanned == nil {
			continue
		}
		records := o.scanned.records
		slices.SortStableFunc(records, func(a, b scannedRecord) int {
			switch {
			case a.seq < b.seq:
				return -1
			case a.seq > b.seq:
				return 1
			}
			return 0
		})
		for i := range records {
			if want := o.through + uint64(i) + 1; records[i].seq != want {
				o.corrupt = &Error{
					Kind: ErrCorrupt, Op: "scan", Bucket: BucketLog, Key: []byte(o.name),
					Hint: "restore the data directory from a replica or quarantine the channel; do not broadcast its commitment",
					Err:  fmt.Errorf("record %d of owner %x is missing, found %d", want, string(o.name), records[i].seq),
				}
				o.scanned = nil
				break
			}
		}
	}
}

// plan is how to answer a Load: what the scan kept, or which keys to read.
type plan struct {
	corrupt  error
	kept     *scanned
	snapshot bool
	places   []place // in the order of the owner's sequence numbers
}

// load says how to answer a Load; from now on older incarnations are stale. Nothing may wait in the queue.
func (c *core) load(name messages.Owner, incarnation uint64) plan {
	c.raise(name, incarnation)
	o := c.owners[name]
	if o == nil {
		return plan{kept: &scanned{}}
	}
	p := plan{corrupt: o.corrupt, kept: o.scanned, snapshot: o.hasSnapshot}
	o.scanned = nil // given away once; a second Load reads the store
	if p.corrupt != nil || p.kept != nil {
		return p
	}
	for _, at := range o.keys.all() {
		if at.seq > o.through {
			p.places = append(p.places, at)
		}
	}
	sortBySeq(p.places)
	return p
}

// keyBytes is how a log key stands in an Error and in a store that wants bytes.
func keyBytes(key uint64) []byte { return binary.BigEndian.AppendUint64(nil, key) }
