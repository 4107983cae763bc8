package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/vault/layout"
)

// newUploader makes a leaf that puts one object at a time.
func newUploader(run *backupRun) actors.Work[storeObject, objectStored] {
	return func(_ int, job storeObject) objectStored {
		run.faults.Uploader(false)
		_, err := run.put(run.ctx, job)
		run.faults.Uploader(true)
		return objectStored{Err: err}
	}
}

// put stores one object under a name that has to be free, where the store can tell: a host may
// have no right to replace anything. What stands there is success if it is the same: a lost
// answer to an earlier attempt looks so, and an object that a listing does not show yet. If it
// differs from the hash that is its name, it is damaged and is replaced.
func (r *backupRun) put(ctx context.Context, o storeObject) (backends.ObjectInfo, error) {
	store, src := r.spec.Store, backends.Bytes(o.Bytes, &o.Sum)
	info, err := store.Put(ctx, o.Key, src, backends.PutOptions{IfAbsent: r.conditional})
	if !r.conditional || !errors.Is(err, backends.ErrExists) {
		return info, err
	}
	there, same, lookErr := r.same(ctx, o)
	switch {
	case lookErr != nil:
		return info, errors.Join(err, fmt.Errorf("look at what is there: %w", lookErr))
	case same:
		return there, nil
	}
	if name, bad := layout.Parse(o.Key); bad != nil || name.Sum != o.Sum {
		return info, err
	}
	return store.Put(ctx, o.Key, src, backends.PutOptions{})
}

// same reports whether the store has this object with these bytes.
func (r *backupRun) same(
	ctx context.Context, o storeObject,
) (info backends.ObjectInfo, same bool, err error) {
	info, err = r.spec.Store.Stat(ctx, o.Key)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return info, false, nil // by now
	case err != nil || info.Size != int64(len(o.Bytes)):
		return info, false, err
	case info.SHA256 != nil:
		return info, bytes.Equal(info.SHA256, o.Sum[:]), nil
	}
	there, err := backends.Head(ctx, r.spec.Store, o.Key, info.Size)
	return info, bytes.Equal(there, o.Bytes), err
}
