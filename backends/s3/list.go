package s3

import (
	"context"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// ListStream lists page by page, 1000 names each.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := backends.CheckPrefix(prefix); err != nil {
		return b.fail(ctx, "list", prefix, nil, err)
	}
	if err := b.enter(ctx, ""); err != nil {
		return b.fail(ctx, "list", prefix, nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	var stopped error // by fn, whose error goes back as it is
	last, twice := "", false
	err := b.page(withCall(ctx, c), b.object(prefix), 0, func(o minio.ObjectInfo) error {
		switch {
		case o.Key > last:
			last, twice = o.Key, false
		case o.Key == last && !twice: // as rclone's server does now and then with what has just been replaced
			twice = true
			return nil
		default:
			return fmt.Errorf("%w: the server lists %q after %q, so the list may be incomplete", backends.ErrUnsupported, o.Key, last)
		}
		key := strings.TrimPrefix(o.Key, b.settings.prefix)
		if !isKey(key) {
			return nil // of somebody else
		}
		if stopped = ctx.Err(); stopped == nil {
			stopped = fn(objectInfo(key, o))
		}
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	return b.fail(ctx, "list", prefix, c, err)
}

func isKey(name string) bool { return backends.CheckKey(name) == nil }

// page calls fn for names that begin with prefix, at most size in one request; 0:
// as many as the server gives. It ends when fn returns an error.
func (b *Backend) page(ctx context.Context, prefix string, size int, fn func(minio.ObjectInfo) error) error {
	owner := false
	o := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: size, FetchOwner: &owner}
	for object := range b.client.ListObjectsIter(ctx, b.settings.bucket, o) {
		err := object.Err
		if c, ok := ctx.Value(callKey{}).(*call); ok && err == nil {
			c.empty = 0
		}
		if err == nil {
			err = fn(object)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err() // on which the iterator ends silently
}
