package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// feedReport is what JSON says of the feed.
type feedReport struct {
	Events      uint64 `json:"events"`
	Bytes       int64  `json:"bytes"`
	Consumers   int    `json:"consumers"`
	DeadLetters int    `json:"dead_letters"`
}

// inspectEvents reads the whole feed of events, and adds what is wrong with it to the findings. Nil: there is none.
func inspectEvents(ctx context.Context, in *lnactor.Inspection) (*feed.Inspection, error) {
	dir := filepath.Join(in.Dir, feed.Dir)
	events, err := feed.Inspect(ctx, dir)
	if errors.Is(err, lnactor.ErrNotFound) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	if err != nil {
		return nil, err
	}
	for _, p := range events.Problems {
		in.Findings = append(in.Findings, lnactor.Finding{
			Critical: true, Code: "events", Where: dir, What: p.Error(),
			Remedy: "no payment is lost by it: look at payments and channels for what was told then; a consumer that stops there is moved on by 'lnactor events consumer set'",
		})
	}
	for _, name := range events.Expired {
		in.Findings = append(in.Findings, lnactor.Finding{
			Code: "consumer_expired", Where: dir, What: fmt.Sprintf("consumer %s lags over the limit, and its reads fail", name),
			Remedy: "find out why it did not acknowledge, then start the node and say where it goes on: lnactor events consumer set",
		})
	}
	return &events, nil
}
