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
		out.Err = run.put(run.ctx, job)
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
	err = p.run.put(p.run.ctx, storeObject{
		Key: layout.Parity(p.run.spec.Host.ID, blob.Sum), Bytes: p.buf, Sum: sha256.Sum256(p.buf),
	})
	return len(p.buf), err
}

// put stores one object under a name that has to be free, where the store can tell: a host may
// have no right to replace anything. What stands there is success if it is the same: a lost
// answer to an earlier attempt looks so, and an object that a listing does not show yet. If it
// differs from what its name says, it is damaged and is replaced.
func (r *backupRun) put(ctx context.Context, o storeObject) error {
	store, src := r.spec.Store, backends.Bytes(o.Bytes, &o.Sum)
	_, err := store.Put(ctx, o.Key, src, backends.PutOptions{IfAbsent: r.conditional})
	if !r.conditional || !errors.Is(err, backends.ErrExists) {
		return err
	}
	name, bad := layout.Parse(o.Key)
	own := bad == nil && (name.Sum == o.Sum || name.Kind == layout.KindParity)
	same, lookErr := r.same(ctx, o, own)
	switch {
	case lookErr != nil:
		return errors.Join(err, fmt.Errorf("look at what is there: %w", lookErr))
	case same:
		return nil
	case !own:
		return err
	}
	_, err = store.Put(ctx, o.Key, src, backends.PutOptions{})
	return err
}

// same reports whether the store has this object with these bytes. A host may have no right to
// read it: what has the right size is then its own, if nobody else could know the name before.
func (r *backupRun) same(ctx context.Context, o storeObject, own bool) (bool, error) {
	info, err := r.stat(ctx, o.Key)
	switch {
	case errors.Is(err, backends.ErrNotFound):
		return false, nil // by now
	case err != nil || info.Size != int64(len(o.Bytes)):
		return false, err
	case info.SHA256 != nil:
		return bytes.Equal(info.SHA256, o.Sum[:]), nil
	}
	there, err := backends.Head(ctx, r.spec.Store, o.Key, info.Size)
	if own && errors.Is(err, backends.ErrPermission) {
		return true, nil
	}
	return bytes.Equal(there, o.Bytes), err
}

// stat describes an object; by the list, where a host may not ask for it.
func (r *backupRun) stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	info, err := r.spec.Store.Stat(ctx, key)
	if !errors.Is(err, backends.ErrPermission) {
		return info, err
	}
	err = r.spec.Store.ListStream(ctx, key, func(o backends.ObjectInfo) error {
		if o.Key == key {
			info = o
		}
		return nil
	})
	if err == nil && info.Key != key {
		err = backends.ErrNotFound
	}
	return info, err
}
