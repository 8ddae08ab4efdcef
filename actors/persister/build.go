package persister

import (
	"slices"

	"github.com/lnactor/lnactor/messages"
)

// recordOverhead is about what a record costs in the log beyond its data.
const recordOverhead = 64

func recordSize(r *Record) int { return len(r.Data) + len(r.Owner) + recordOverhead }

// build turns a queue into one batch, and the index into what holds once it is committed. The batch is valid until the next build.
func (c *core) build(queue []*messages.Append) *Batch {
	b := &c.batch
	b.reset()
	var touched []*owner
	for _, a := range queue {
		if _, any := durableBytes(a); !any {
			continue
		}
		o := c.owner(a.Owner)
		o.scanned = nil // it is no longer all there is
		if len(o.staged) == 0 && o.snapshot == 0 {
			touched = append(touched, o)
		}
		for _, data := range a.Records {
			o.last++
			o.staged = append(o.staged, len(b.Append))
			b.Append = append(b.Append, Record{Owner: o.name, Seq: o.last, Data: data})
		}
		if a.Snapshot != nil {
			c.snapshot(b, o, a.Snapshot)
		}
		b.Rows = append(b.Rows, a.Rows...)
		if a.Forget {
			c.forget(b, o)
		}
	}
	compact(b)
	written := 0
	for i := range b.Append {
		written += recordSize(&b.Append[i])
	}
	for i := range b.Snapshots {
		written += len(b.Snapshots[i].Data)
	}
	c.trim(b, written)
	slices.Sort(b.Trim) // forgotten records are not at the front
	c.index(b)
	for _, o := range touched {
		o.staged, o.snapshot = nil, 0
		if !o.durable() && o.corrupt == nil {
			delete(c.owners, o.name)
		}
	}
	return b
}

func (c *core) owner(name messages.Owner) *owner {
	o := c.owners[name]
	if o == nil {
		o = &owner{name: name}
		c.owners[name] = o
	}
	return o
}

// snapshot replaces everything of the owner so far. Its records that wait in this batch need not be written at all.
func (c *core) snapshot(b *Batch, o *owner, data []byte) {
	for _, i := range o.staged {
		b.Append[i].Owner = "" // compact drops it
	}
	o.staged = o.staged[:0]
	o.through, o.hasSnapshot = o.last, true
	c.dead += o.live
	c.live -= o.live
	o.live = 0
	s := Snapshot{Owner: o.name, Through: o.through, Data: data}
	if o.snapshot > 0 {
		b.Snapshots[o.snapshot-1] = s
		return
	}
	b.Snapshots = append(b.Snapshots, s)
	o.snapshot = len(b.Snapshots)
}

// forget removes everything of the owner at once, dead records included: once the snapshot is gone nothing would tell that they are dead.
func (c *core) forget(b *Batch, o *owner) {
	for _, i := range o.staged {
		b.Append[i].Owner = ""
	}
	o.staged = o.staged[:0]
	if o.snapshot > 0 {
		b.Snapshots[o.snapshot-1].Owner = ""
		o.snapshot = 0
	}
	if o.hasSnapshot {
		b.Forget = append(b.Forget, o.name)
	}
	for _, p := range o.keys.all() {
		e := c.log.find(p.key)
		if e.dead() {
			c.dead -= e.size
		} else {
			c.live -= e.size
		}
		e.owner = nil
		b.Trim = append(b.Trim, p.key)
	}
	*o = owner{name: o.name}
}

// trim deletes dead records from the front of the log and, when more than half of the log is dead, moves live ones that are in the way to the
// tail. The work is in proportion to what was written since the last time, so no commit pays for a long history.
func (c *core) trim(b *Batch, written int) {
	c.sinceTrim += written
	if c.dead < c.limits.TrimBytes || c.sinceTrim < c.limits.TrimBytes/4 {
		return
	}
	budget := 4*c.sinceTrim + c.limits.TrimBytes
	c.sinceTrim = 0
	for c.log.len() > 0 && budget > 0 {
		e := *c.log.front()
		switch {
		case e.owner == nil:
		case e.dead():
			b.Trim = append(b.Trim, e.key)
			c.dead -= e.size
			e.owner.keys.pop()
		case c.dead > c.live+c.limits.MoveBytes:
			c.lastKey++
			b.Moves = append(b.Moves, Move{From: e.key, To: c.lastKey})
			e.owner.keys.pop()
			e.owner.keys.push(place{c.lastKey, e.seq})
			c.log.push(entry{key: c.lastKey, seq: e.seq, owner: e.owner, size: e.size})
		default:
			return
		}
		c.log.pop()
		budget -= e.size
	}
}

// compact drops what was staged and then overtaken in the same batch.
func compact(b *Batch) {
	kept := b.Append[:0]
	for _, r := range b.Append {
		if r.Owner != "" {
			kept = append(kept, r)
		}
	}
	b.Append = kept
	snaps := b.Snapshots[:0]
	for _, s := range b.Snapshots {
		if s.Owner != "" {
			snaps = append(snaps, s)
		}
	}
	b.Snapshots = snaps
}

// index gives the batch's records their keys and enters them.
func (c *core) index(b *Batch) {
	for i := range b.Append {
		r := &b.Append[i]
		c.lastKey++
		r.Key = c.lastKey
		c.enter(c.owners[r.Owner], r)
	}
}

func (c *core) enter(o *owner, r *Record) {
	e := entry{key: r.Key, seq: r.Seq, owner: o, size: recordSize(r)}
	c.log.push(e)
	o.keys.push(place{r.Key, r.Seq})
	if e.dead() {
		c.dead += e.size
		return
	}
	c.live += e.size
	o.live += e.size
}

// reset empties the batch and keeps its memory, but none of the data.
func (b *Batch) reset() {
	clear(b.Append)
	clear(b.Snapshots)
	clear(b.Rows)
	*b = Batch{
		Moves: b.Moves[:0], Append: b.Append[:0], Trim: b.Trim[:0],
		Forget: b.Forget[:0], Snapshots: b.Snapshots[:0], Rows: b.Rows[:0],
	}
}
