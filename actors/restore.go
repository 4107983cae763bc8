package actors

import (
	"context"
	"errors"
)

// Restore brings entries of a snapshot back. The error says why it ended early;
// the result is valid in any case but a nil one.
func (s *System) Restore(ctx context.Context, spec *RestoreSpec) (*RestoreResult, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	return nil, errors.ErrUnsupported
}
