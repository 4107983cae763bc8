package backends

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// BatchDeleter is an optional method of a backend that deletes many objects in one request.
// Use it through [DeleteAll].
type BatchDeleter interface {
	// Batch is how many objects one call takes at most; 0: it cannot take several.
	Batch() int
	// DeleteBatch removes up to so many objects, as Delete does each. If some were not
	// removed, or the store does not say that they were, the error is a *[BatchError]; any
	// other error is about all of them.
	DeleteBatch(ctx context.Context, keys []string) error
}

// BatchError names the objects that were not deleted.
type BatchError struct{ Failed []*OpError } // one at least, each with its Key

// Error names the first, and says how many more there are.
func (e *BatchError) Error() string {
	if n := len(e.Failed) - 1; n > 0 {
		return fmt.Sprintf("%v; and %d more", e.Failed[0], n)
	}
	return e.Failed[0].Error()
}

// Unwrap returns all of them.
func (e *BatchError) Unwrap() []error {
	out := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		out[i] = f
	}
	return out
}

// DeleteAll removes objects, as Delete does each, by the cheapest way that b has: as few
// requests as it takes, one after the other. What is locked ([ErrLocked]) does
// not keep it from the others; the error is then a *[BatchError]. Any other error ends it.
func DeleteAll(ctx context.Context, b Backend, keys []string) error {
	remove, n := func(keys []string) error { return b.Delete(ctx, keys[0]) }, 1
	if d := Batches(b); d != nil {
		remove, n = func(keys []string) error { return d.DeleteBatch(ctx, keys) }, d.Batch()
	}
	var locked []*OpError
	for chunk := range slices.Chunk(keys, n) {
		err := remove(chunk)
		failed := FailedOf(err)
		for _, f := range failed {
			if !errors.Is(f, ErrLocked) {
				return err
			}
		}
		if locked = append(locked, failed...); err != nil && len(failed) == 0 {
			return err
		}
	}
	if len(locked) > 0 {
		return &BatchError{locked}
	}
	return nil
}

// FailedOf are the objects that an error of Delete or DeleteBatch is about; none where it is
// about the whole store, or nil.
func FailedOf(err error) []*OpError {
	var batch *BatchError
	var op *OpError
	switch {
	case errors.As(err, &batch):
		return batch.Failed
	case errors.As(err, &op) && op.Key != "":
		return []*OpError{op}
	}
	return nil
}

// Batches is what of b deletes many objects in one request; nil: nothing does. Backends that
// only limit what is transferred are passed.
func Batches(b Backend) BatchDeleter {
	for {
		if d, ok := b.(BatchDeleter); ok {
			if d.Batch() < 1 {
				return nil
			}
			return d
		}
		outer, ok := b.(interface{ Unwrap() Backend })
		if !ok {
			return nil
		}
		b = outer.Unwrap()
	}
}
