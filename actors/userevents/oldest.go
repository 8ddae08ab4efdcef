package userevents

// Oldest is the position of the oldest event that is not handled, and how many are not. A position stays with its event until a new incarnation of
// the manager tells it again; if it does not change for long, its consumer does not get on.
func (q *Queue) Oldest() (position uint64, unhandled int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.told) > 0 {
		position = q.told[0].pos
	}
	return position, len(q.known)
}

// forget drops what is handled from the front, so the first that is told is the oldest that is not handled.
func (q *Queue) forget() {
	for len(q.told) > 0 && q.told[0].done {
		q.told[0] = nil
		q.told = q.told[1:]
	}
	if len(q.told) == 0 {
		q.told = nil
	}
}
