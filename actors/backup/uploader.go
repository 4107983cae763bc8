package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"vaultik/actors"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/parity"
)

// newUploader makes a leaf that puts one object at a time.
func newUploader(run *backupRun) actors.Work[storeObject, objectStored] {
	p := &parityMaker{run: run}
	return func(_ int, job storeObject) (out objectStored) {
		run.faults.Uploader(false)
		out.Existed, out.Err = putObject(run.ctx, run.spec.Store, job)
		if out.Err == nil && job.Parity > 0 {
			out.Parity, out.Err = p.put(job)
		}
		run.faults.Uploader(true)
		return out
	}
}

// parityMaker makes the parity of blobs that are stored, in one buffer.
type parityMaker struct {
	run   *backupRun
	coder parity.Coder
	buf   []byte
}

func (p *parityMaker) put(blob storeObject) (n int, err error) {
	if p.buf, err = p.coder.Make(p.buf, blob.Bytes, blob.Parity); err != nil {
		return 0, err
	}
	_, err = putObject(p.run.ctx, p.run.spec.Store, storeObject{
		Key: layout.Parity(p.run.spec.Host.ID, blob.Sum), Bytes: p.buf, Sum: sha256.Sum256(p.buf),
	})
	return len(p.buf), err
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
