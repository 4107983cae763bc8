package actors

import (
	"context"
	"errors"
)

// Verify checks that all is in the store that the snapshots need. What is wrong
// with the store is in the report; the error says why the check ended early.
func (s *System) Verify(ctx context.Context, spec *VerifySpec) (*VerifyReport, error) {
	return nil, errors.ErrUnsupported
}
