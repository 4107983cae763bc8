package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// maxObject is what one request may carry.
const maxObject = 5 << 30 // bytes

const headerChecksum = "x-amz-checksum-sha256"

// Put sends src in one request.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	if b.readOnly {
		return backends.ObjectInfo{}, b.fail(ctx, "put", key, nil, backends.ErrReadOnly)
	}
	if err := b.enterKey(ctx, key); err != nil {
		return backends.ObjectInfo{}, b.fail(ctx, "put", key, nil, err)
	}
	defer b.gate.Leave()
	if o.IfAbsent {
		can, err := b.abilities(ctx)
		if err == nil && !can.conditional {
			err = fmt.Errorf("%w: the server ignores If-None-Match", backends.ErrUnsupported)
		}
		if err != nil {
			return backends.ObjectInfo{}, b.fail(ctx, "put", key, &call{}, err)
		}
	}
	c := &call{}
	info, err := b.put(withCall(ctx, c), c, upload{key: key, src: src, absent: o.IfAbsent, progress: o.Progress, lock: true})
	if err != nil {
		return backends.ObjectInfo{}, b.fail(ctx, "put", key, c, err)
	}
	return info, nil
}

// upload is one object to be stored.
type upload struct {
	key      string
	src      backends.Source
	absent   bool
	progress func(done, total int64)
	lock     bool // as the settings say
}

func (b *Backend) put(ctx context.Context, c *call, u upload) (backends.ObjectInfo, error) {
	size := u.src.Size()
	if size > maxObject {
		return backends.ObjectInfo{}, fmt.Errorf("%w: %d bytes in one object, at most %d", backends.ErrUnsupported, size, int64(maxObject))
	}
	sum, err := sumOf(ctx, u.src)
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	c.sha256 = hex.EncodeToString(sum)
	checksum := base64.StdEncoding.EncodeToString(sum)
	o := minio.PutObjectOptions{
		DisableMultipart: true, StorageClass: b.settings.class,
		UserMetadata: map[string]string{headerChecksum: checksum},
	}
	if u.absent {
		o.SetMatchETagExcept("*")
	}
	if u.lock && b.settings.lock != "" {
		o.Mode, o.RetainUntilDate = b.settings.lock, b.now().UTC().AddDate(0, 0, b.settings.lockDays).Truncate(time.Second)
	}
	stored, err := b.send(ctx, u, o)
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	info := backends.ObjectInfo{Key: u.key, Size: size}
	if stored.ChecksumSHA256 == checksum {
		info.SHA256 = sum
		return info, nil
	}
	// The server says nothing of the checksum, so look at what it has.
	got, err := b.stat(ctx, u.key)
	if err == nil && got.Size != size {
		err = fmt.Errorf("%w: the server has %d bytes of %d", backends.ErrChecksum, got.Size, size)
	}
	return got, err
}

// sumOf is the hash of src. One that is not known is found by reading it.
func sumOf(ctx context.Context, src backends.Source) ([]byte, error) {
	if sum := src.SHA256(); sum != nil {
		return sum, nil
	}
	h := sha256.New()
	if err := backends.Copy(ctx, h, src, nil); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

var errStopped = errors.New("transfer stopped")

// send carries src to the server. src is read by this goroutine, so that it is
// done with when send returns, and a panic of it passes through; the request takes
// the bytes from a pipe in another.
func (b *Backend) send(ctx context.Context, u upload, o minio.PutObjectOptions) (minio.UploadInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	type result struct {
		info minio.UploadInfo
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		info, err := b.client.PutObject(ctx, b.settings.bucket, b.object(u.key), r, u.src.Size(), "", "", o)
		_ = r.CloseWithError(errStopped) // the server may answer before it has all
		answer <- result{info, err}
	}()
	var copied error
	finished := false
	defer func() {
		if !finished { // src panics
			cancel()
			_ = w.CloseWithError(errStopped)
			<-answer
		}
	}()
	copied = backends.Copy(ctx, w, u.src, u.progress)
	finished = true
	_ = w.CloseWithError(copied) // nil is the end
	res := <-answer
	switch {
	case copied != nil && !errors.Is(copied, errStopped):
		return minio.UploadInfo{}, copied
	case copied != nil && res.err == nil:
		return minio.UploadInfo{}, errors.New("the server answered before it had the whole object")
	}
	return res.info, res.err
}

// Delete removes the object of key. Where the bucket keeps versions, or locks, the
// bytes stay behind a delete marker.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if b.readOnly {
		return b.fail(ctx, "delete", key, nil, backends.ErrReadOnly)
	}
	if err := b.enterKey(ctx, key); err != nil {
		return b.fail(ctx, "delete", key, nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	return b.fail(ctx, "delete", key, c, b.remove(withCall(ctx, c), c, key))
}

func (b *Backend) remove(ctx context.Context, c *call, key string) error {
	err := b.client.RemoveObject(ctx, b.settings.bucket, b.object(key), minio.RemoveObjectOptions{})
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchKey && !c.mute:
		return nil // some servers tell
	case answer.StatusCode >= http.StatusInternalServerError:
		// Servers over a file system stumble over the name of a directory.
		if _, gone := b.stat(ctx, key); minio.ToErrorResponse(gone).Code == minio.NoSuchKey {
			return nil
		}
	}
	return err
}

// maxBatch is how many objects one request deletes.
const maxBatch = 1000

// Batch implements backends.BatchDeleter.
func (b *Backend) Batch() int {
	if b.noBatch.Load() {
		return 0
	}
	return maxBatch
}

// DeleteBatch removes objects as Delete does. What the server does not say it has deleted
// counts as not deleted.
func (b *Backend) DeleteBatch(ctx context.Context, keys []string) error {
	if b.readOnly {
		return b.fail(ctx, "delete", "", nil, backends.ErrReadOnly)
	}
	left := make(map[string]error, len(keys)) // by name in the bucket
	for _, key := range keys {
		if err := backends.CheckKey(key); err != nil {
			return b.fail(ctx, "delete", key, nil, err)
		}
		left[b.object(key)] = errUndeleted
	}
	if err := b.enter(ctx, ""); err != nil {
		return b.fail(ctx, "delete", "", nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	if err := b.removeAll(withCall(ctx, c), c, keys, left); err != nil {
		if b.Batch() == 0 {
			return backends.DeleteAll(ctx, b, keys)
		}
		return b.fail(ctx, "delete", "", c, err)
	}
	var failed []*backends.OpError
	for _, key := range keys {
		if err := left[b.object(key)]; err != nil {
			e := &backends.OpError{Op: "delete", Key: key, Backend: b.location, Err: err}
			answer := minio.ErrorResponse{}
			if errors.As(err, &answer) {
				e.Retryable, e.Err = b.refused(ctx, "delete", c, answer)
			}
			failed = append(failed, e)
		}
	}
	if len(failed) > 0 {
		return &backends.BatchError{Failed: failed}
	}
	return nil
}

var errUndeleted = errors.New("the server does not say that it has deleted it")

// removeAll asks the server to delete keys, and takes from left what it has. The error is
// about all of them.
func (b *Backend) removeAll(ctx context.Context, c *call, keys []string,
	left map[string]error) error {
	all := func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: b.object(key)}) {
				return
			}
		}
	}
	results, err := b.client.RemoveObjectsWithIter(ctx, b.settings.bucket, all,
		minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	for r := range results {
		answer := minio.ToErrorResponse(r.Err)
		switch {
		case r.Err == nil, answer.Code == minio.NoSuchKey && !c.mute:
			delete(left, r.ObjectName)
		case r.ObjectName == "" || c.err != nil || c.status >= 300:
			switch answer.StatusCode {
			case http.StatusMethodNotAllowed, http.StatusNotImplemented:
				b.noBatch.Store(true) // it has no such request
			}
			return r.Err
		default:
			left[r.ObjectName] = r.Err
		}
	}
	return ctx.Err() // on which the iterator ends silently
}
