package messages

// DeadlineBounds are the upper bounds of the counts in Deadlines, in blocks. The last count has none.
var DeadlineBounds = [...]uint32{6, 18, 36, 72, 144, 288}

// Deadlines counts HTLCs by the blocks that are left until they make us close the channel. HTLCs that never will are not in it.
type Deadlines [len(DeadlineBounds) + 1]uint32

// Add counts one that has so many blocks left.
func (d *Deadlines) Add(left uint32) {
	for i, bound := range DeadlineBounds {
		if left <= bound {
			d[i]++
			return
		}
	}
	d[len(d)-1]++
}
