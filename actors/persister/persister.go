package persister

import (
	"slices"

	"github.com/lnactor/lnactor/messages"
)

// Limits bound what one commit holds, so that its latency stays bounded under any load. The zero value means the defaults.
type Limits struct {
	AppendBytes  int // of one Append; larger ones are refused (default 8 MiB)
	BatchAppends int // of one commit (default 4096)
	BatchBytes   int // of one commit (default 8 MiB); the Append that reaches it is still in
	TrimBytes    int // dead bytes that are left alone (default 64 KiB): deleting in larger pieces touches fewer pages
	MoveBytes    int // dead bytes beyond the live ones before live records at the front are moved to the tail (default 1 MiB)
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.AppendBytes, 8<<20)
	def(&l.BatchAppends, 4096)
	def(&l.BatchBytes, 8<<20)
	def(&l.TrimBytes, 64<<10)
	def(&l.MoveBytes, 1<<20)
	return l
}

// core is the persister without actor, store and clock: which appends wait, what the next batch is, and where each owner's records are.
//
// Build changes the index before the batch is committed. That is sound because a batch that was built is either committed or the last thing
// this core ever did.
type core struct {
	limits Limits
	fence  map[messages.Owner]uint64 // greatest incarnation seen; outlives a core, since it is not in the store

	owners  map[messages.Owner]*owner
	log     ring
	lastKey uint64
	live    int // bytes of records in the log that no snapshot covers
	dead    int // bytes of the others

	queue       []*messages.Append
	queuedBytes int
	queuedWork  bool // something in the queue is to be written
	queuedRows  pending

	batch     Batch // reused
	sinceTrim int   // bytes written since the log was last trimmed
}

// owner is the index of one owner's durable records.
type owner struct {
	name        messages.Owner
	hasSnapshot bool
	through     uint64 // the snapshot speaks up to here
	last        uint64 // the last sequence number used
	live        int    // bytes of its records that the snapshot does not cover
	keys        fifo   // of all its records in the log, dead ones included, in key order
	corrupt     error  // found by the scan; the owner's records are unusable

	scanned  *scanned // what the scan read, until the first Load or Append
	staged   []int    // its records in the batch being built
	snapshot int      // 1 + index of its snapshot in the batch being built
}

func (o *owner) durable() bool { return o.hasSnapshot || o.keys.len() > 0 }

func newCore(limits Limits, fence map[messages.Owner]uint64) *core {
	return &core{limits: limits.withDefaults(), fence: fence, owners: make(map[messages.Owner]*owner)}
}

// durableBytes is the size of what an Append asks to be written, and whether there is anything.
func durableBytes(a *messages.Append) (n int, any bool) {
	n = len(a.Snapshot)
	for _, r := range a.Records {
		n += len(r)
	}
	for i := range a.Rows {
		n += len(a.Rows[i].Key) + len(a.Rows[i].Value)
	}
	return n, len(a.Records) > 0 || a.Snapshot != nil || len(a.Rows) > 0 || a.Forget
}

// check validates an Append before it can become part of a batch, so that one bad Append never refuses those of others.
func (c *core) check(a *messages.Append) error {
	if a.Owner == "" || len(a.Owner) > MaxOwner {
		return refusal("owner of %d bytes: want 1 to %d", len(a.Owner), MaxOwner)
	}
	if newest := c.fence[a.Owner]; a.Incarnation < newest {
		return refusal("incarnation %d of %x is dead, %d has loaded", a.Incarnation, string(a.Owner), newest)
	}
	n, _ := durableBytes(a)
	if n > c.limits.AppendBytes {
		return refusal("%d bytes, at most %d are allowed", n, c.limits.AppendBytes)
	}
	for i := range a.Rows {
		if err := checkRow(&a.Rows[i]); err != nil {
			return refusal("%w", err)
		}
	}
	if o := c.owners[a.Owner]; o != nil && o.corrupt != nil && (len(a.Records) > 0 || a.Snapshot != nil) {
		// Writing on top of what cannot be read would bury the evidence.
		return refusal("%w", o.corrupt)
	}
	return nil
}

// add queues an Append that passed check, and says whether the batch is full.
func (c *core) add(a *messages.Append) (full bool) {
	c.raise(a.Owner, a.Incarnation)
	n, any := durableBytes(a)
	c.queue = append(c.queue, a)
	c.queuedBytes += n
	c.queuedWork = c.queuedWork || any
	c.queuedRows.add(a.Rows)
	return len(c.queue) >= c.limits.BatchAppends || c.queuedBytes >= c.limits.BatchBytes
}

// take hands over the queue: the caller delivers or refuses it.
func (c *core) take() []*messages.Append {
	q := c.queue
	c.queue, c.queuedBytes, c.queuedWork = nil, 0, false
	c.queuedRows.clear()
	return q
}

// recycle takes back the memory of a queue that was delivered.
func (c *core) recycle(q []*messages.Append) {
	clear(q)
	if c.queue == nil {
		c.queue = q[:0]
	}
}

// raise makes the appends of older incarnations stale.
func (c *core) raise(o messages.Owner, incarnation uint64) {
	if incarnation > c.fence[o] {
		c.fence[o] = incarnation
	}
}

// ownerNames lists the owners with durable records, but not the manager, in ascending order.
func (c *core) ownerNames() []messages.Owner {
	names := make([]messages.Owner, 0, len(c.owners))
	for name, o := range c.owners {
		if name != messages.OwnerManager && (o.durable() || o.corrupt != nil) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
