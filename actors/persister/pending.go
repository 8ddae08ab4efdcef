package persister

import "github.com/lnactor/lnactor/messages"

// headSize is that of the ids and hashes that rows are looked up by.
const headSize = 32

// pending says which rows wait for the next commit, so that a lookup of any other is answered without it: under load every payment looks some up,
// and a commit for each would leave little to share. It may say too much, never too little, and takes the same time however many rows wait.
type pending struct {
	buckets map[string]int
	heads   map[rowHead]struct{}
}

type rowHead struct {
	bucket string
	head   [headSize]byte
}

func (p *pending) add(rows []messages.Row) {
	if len(rows) > 0 && p.buckets == nil {
		p.buckets, p.heads = make(map[string]int), make(map[rowHead]struct{})
	}
	for i := range rows {
		r := &rows[i]
		p.buckets[r.Bucket]++
		if len(r.Key) >= headSize {
			p.heads[rowHead{r.Bucket, [headSize]byte(r.Key)}] = struct{}{}
		}
	}
}

// touches tells whether a waiting row may change the answer to q.
func (p *pending) touches(q *messages.GetRows) bool {
	if p.buckets[q.Bucket] == 0 {
		return false
	}
	if len(q.Key) < headSize {
		return true
	}
	// Whether rows are asked for by key or by prefix, theirs begin with q.Key, so with its head.
	_, ok := p.heads[rowHead{q.Bucket, [headSize]byte(q.Key)}]
	return ok
}

// clear forgets all; what a burst grew is given back.
func (p *pending) clear() {
	if len(p.heads) > 1024 {
		*p = pending{}
		return
	}
	clear(p.buckets)
	clear(p.heads)
}
