package graph

import "time"

// Rate is how many tokens a bucket holds and how fast it fills.
type Rate struct {
	Burst     int64
	PerMinute int64 // at least 1
}

// Bucket is a token bucket. The zero value is full.
type Bucket struct {
	full time.Time // when it is full again
}

// Take takes tokens, or none if there are not enough. Should the clock go back, the bucket is empty at worst.
func (b *Bucket) Take(r Rate, now time.Time, tokens int64) bool {
	each := time.Minute / time.Duration(max(r.PerMinute, 1))
	emptied := each * time.Duration(r.Burst)
	full := b.full
	switch left := full.Sub(now); {
	case left < 0:
		full = now
	case left > emptied:
		full = now.Add(emptied)
	}
	if tokens < 0 || tokens > r.Burst || full.Sub(now)+each*time.Duration(tokens) > emptied {
		return false
	}
	b.full = full.Add(each * time.Duration(tokens))
	return true
}
