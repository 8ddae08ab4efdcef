package journal

import (
	"errors"
	"fmt"

	"github.com/lnactor/lnactor"
)

// ErrGone says that an event was removed because it was over the limit.
var ErrGone = errors.New("the event is no longer in the journal")

// MissingError says that events that were in the journal can't be read: their lines are damaged or their file is gone. It is an lnactor.ErrCorrupt.
type MissingError struct {
	First, Last uint64 // positions
	File        string
}

// Error names the positions and the file.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: events %d to %d are damaged or missing", e.File, e.First, e.Last)
}

// Unwrap makes it an lnactor.ErrCorrupt.
func (e *MissingError) Unwrap() error { return lnactor.ErrCorrupt }

func storeFailed(err error) error {
	return fmt.Errorf("%w: journal of events: %w", lnactor.ErrStoreFailed, err)
}
