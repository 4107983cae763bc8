package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"vaultik/actors"
	"vaultik/backends"
)

// newUploader makes a leaf that puts one object at a time.
func newUploader(run *backupRun) actors.Work[storeObject, objectStored] {
	return func(_ int, job storeObject) objectStored {
		run.faults.Uploader(false)
		existed, err := putObject(run.ctx, run.spec.Store, job)
		run.faults.Uploader(true)
		return objectStored{Existed: existed, Err: err}
	}
}

// putObject stores one object. With IfAbsent an object that stands there already
// is success if it is the same: a lost answer to an earlier attempt looks so.
func putObject(
	ctx context.Context,
	store backends.Backend,
	job storeObject,
) (existed bool, err error) {
	_, err = store.Put(ctx, job.Key, backends.Bytes(job.Bytes, &job.Sum),
		backends.PutOptions{IfAbsent: job.IfAbsent})
	if !job.IfAbsent || !errors.Is(err, backends.ErrExists) {
		return false, err
	}
	there, rerr := backends.Head(ctx, store, job.Key, int64(len(job.Bytes))+1)
	if rerr != nil {
		return false, errors.Join(err, fmt.Errorf("read what is there: %w", rerr))
	}
	if !bytes.Equal(there, job.Bytes) {
		return false, err
	}
	return true, nil
}
