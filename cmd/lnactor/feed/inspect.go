package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// Inspection is what Inspect found.
type Inspection struct {
	Journal     journal.Report
	Consumers   int
	Webhooks    int
	Expired     []string // names
	DeadLetters int
	Problems    []error // lnactor.ErrCorrupt: what does not decode, verify or fit together, and what to do
}

// Inspect reads all of a feed without opening it, and checks each record. It changes nothing. An error means that it could not be read; what is wrong with
// it is in the Inspection.
//
// A process may use the feed meanwhile. The context's end stops it with the context's error.
func Inspect(ctx context.Context, dir string) (in Inspection, err error) {
	// Consumers first: one that acknowledges meanwhile must not seem to be ahead of the journal.
	f := &Feed{o: Options{Dir: dir}, consumers: map[string]*consumer{}}
	last, consumersErr := f.load()
	if consumersErr != nil && !errors.Is(consumersErr, lnactor.ErrCorrupt) {
		return in, consumersErr
	}
	if in.Journal, err = journal.Scan(dir, 0, func(journal.Entry) error { return ctx.Err() }); err != nil {
		return in, err
	}
	for _, m := range in.Journal.Missing {
		in.Problems = append(in.Problems, m)
	}
	if consumersErr != nil {
		in.Problems = append(in.Problems, consumersErr)
		return in, nil
	}
	if in.Journal.Next > 0 && last >= in.Journal.Next {
		in.Problems = append(in.Problems, fmt.Errorf("%w: %s: the journal ends before event %d, which a consumer has acknowledged: it lost its end, or is an older copy",
			lnactor.ErrCorrupt, filepath.Join(dir, ConsumersFile), last))
	}
	for _, name := range slices.Sorted(maps.Keys(f.consumers)) {
		c := f.consumers[name]
		in.Consumers++
		in.DeadLetters += len(c.dead)
		if c.Expired != nil {
			in.Expired = append(in.Expired, name)
		}
		if c.Webhook == nil {
			continue
		}
		in.Webhooks++
		if _, err := f.secret(name); err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrSecret) {
				return in, storeFailed(err)
			}
			in.Problems = append(in.Problems, fmt.Errorf("%w: %w: set the webhook again", lnactor.ErrCorrupt, err))
		}
	}
	return in, nil
}
