package backends

import (
	"context"
	"time"
)

// Keeping says what a store keeps of what is deleted.
type Keeping struct {
	// Versions says that the bytes of a deleted object stay as a version that is not current,
	// until a rule of the bucket removes that.
	Versions bool
	// Lock is for how long, from when an object was stored, its bytes cannot be removed.
	Lock time.Duration
}

// Keeper is an optional method of a backend whose store may keep what is deleted. Use it
// through [Keeps].
type Keeper interface {
	// Keeps asks the store. What this machine may not know counts as not kept.
	Keeps(ctx context.Context) (Keeping, error)
}

// Keeps asks a store what it keeps of what is deleted. Backends that only limit what is
// transferred are passed.
func Keeps(ctx context.Context, b Backend) (Keeping, error) {
	for {
		if k, ok := b.(Keeper); ok {
			return k.Keeps(ctx)
		}
		outer, ok := b.(interface{ Unwrap() Backend })
		if !ok {
			return Keeping{}, nil
		}
		b = outer.Unwrap()
	}
}
