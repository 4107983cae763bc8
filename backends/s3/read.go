package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// Get opens a range of the object of key.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	if err := b.enterKey(ctx, key); err != nil {
		return nil, backends.ObjectInfo{}, b.fail(ctx, "get", key, nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	inner, cancel := context.WithCancel(withCall(ctx, c)) // until the reader is closed
	body, n, info, err := b.get(inner, c, key, off, length)
	if err != nil {
		cancel()
		return nil, backends.ObjectInfo{}, b.fail(ctx, "get", key, c, err)
	}
	return &reader{ctx: ctx, b: b, key: key, body: body, left: n, cancel: cancel}, info, nil
}

// get returns the body of a range, its length, and what is known of the object.
func (b *Backend) get(ctx context.Context, c *call, key string, off, length int64) (io.ReadCloser, int64, backends.ObjectInfo, error) {
	if off < 0 || length == 0 || length > 0 && off > math.MaxInt64-length {
		return b.getNothing(ctx, key, off, length)
	}
	var o minio.GetObjectOptions
	switch {
	case length > 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+length-1))
	case off > 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	var err error
	if o.VersionID, err = b.versionOf(ctx, key); err != nil {
		return nil, 0, backends.ObjectInfo{}, err
	}
	c.object = true
	_, stat, header, err := b.client.GetObject(ctx, b.settings.bucket, b.object(key), o)
	c.object = false
	defer c.close()
	if minio.ToErrorResponse(err).Code == "InvalidRange" {
		return b.getNothing(ctx, key, off, length) // the end, or past it
	}
	if err != nil {
		return nil, 0, backends.ObjectInfo{}, err
	}
	info := objectInfo(key, stat)
	body := c.body
	switch ranged := off > 0 || length > 0; {
	case ranged && header.Get("Content-Range") != "":
		info.Size, err = totalSize(header, off)
	case info.Size < 0:
		err = errors.New("the server does not report the size of the object")
	case ranged: // it sends all of the object, whatever was asked for
		b.noRanges.Store(true)
		body = &skipping{ReadCloser: body, skip: off}
	}
	if err == nil && (off > info.Size || length > info.Size-off) {
		err = outside(off, length, info.Size)
	}
	if err != nil {
		return nil, 0, backends.ObjectInfo{}, err
	}
	c.body = nil
	if length < 0 {
		length = info.Size - off
	}
	return body, length, info, nil
}

// getNothing answers for ranges that hold no byte, or none that is there.
func (b *Backend) getNothing(ctx context.Context, key string, off, length int64) (io.ReadCloser, int64, backends.ObjectInfo, error) {
	info, err := b.stat(ctx, key)
	if err == nil && (off < 0 || off > info.Size || length > info.Size-off) {
		err = outside(off, length, info.Size)
	}
	if err != nil {
		return nil, 0, backends.ObjectInfo{}, err
	}
	return http.NoBody, 0, info, nil
}

func outside(off, length, size int64) error {
	return fmt.Errorf("%w: %d bytes from %d of %d", backends.ErrInvalidRange, length, off, size)
}

// totalSize reads "bytes 5-9/100" and checks that the part begins where it should.
func totalSize(header http.Header, off int64) (int64, error) {
	text := header.Get("Content-Range")
	span, total, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	if err1 != nil || err2 != nil || start != off || size < off {
		return 0, fmt.Errorf("the server answered with range %q", short(text))
	}
	return size, nil
}

// skipping is a body without its first bytes.
type skipping struct {
	io.ReadCloser
	skip int64 // bytes that are still to be dropped
}

func (s *skipping) Read(p []byte) (int, error) {
	for s.skip > 0 {
		n, err := io.CopyN(io.Discard, s.ReadCloser, min(s.skip, wireBuffer))
		if s.skip -= n; err != nil {
			return 0, err
		}
	}
	return s.ReadCloser.Read(p)
}

// reader is the body of an answer, of known length.
type reader struct {
	ctx    context.Context
	b      *Backend
	key    string
	body   io.ReadCloser
	left   int64 // bytes that are still to come
	cancel context.CancelFunc
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == nil, errors.Is(err, io.EOF) && r.left == 0:
		return n, nil
	case r.ctx.Err() != nil:
		return n, r.ctx.Err()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, &backends.OpError{Op: "get", Key: r.key, Backend: r.b.location, Retryable: true, Err: inner(err)}
}

func (r *reader) Close() error {
	defer r.cancel()
	return r.body.Close()
}

// ReadRange fills p from the object of key at off.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	r, _, err := b.Get(ctx, key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, p)
	_ = r.Close() // what it could say, reading has said
	return n, b.fail(ctx, "get", key, &call{}, err)
}

// Stat describes the object of key.
func (b *Backend) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	if err := b.enterKey(ctx, key); err != nil {
		return backends.ObjectInfo{}, b.fail(ctx, "stat", key, nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	info, err := b.stat(withCall(ctx, c), key)
	return info, b.fail(ctx, "stat", key, c, err)
}

func (b *Backend) stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	version, err := b.versionOf(ctx, key)
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	o := minio.StatObjectOptions{Checksum: true, VersionID: version}
	stat, err := b.client.StatObject(ctx, b.settings.bucket, b.object(key), o)
	if err == nil && stat.Size < 0 {
		err = errors.New("the server does not report the size of the object")
	}
	if answer := minio.ToErrorResponse(err); answer.StatusCode >= 400 && answer.StatusCode < 500 {
		// An answer to HEAD has no body, so no reason: is there even a bucket?
		if why := b.look(ctx, b.object(key)); why != nil {
			return backends.ObjectInfo{}, why
		}
	}
	if err != nil {
		return backends.ObjectInfo{}, err
	}
	return objectInfo(key, stat), nil
}

// objectInfo is what the server says of an object. Times are to the second, as
// all answers but lists have them.
func objectInfo(key string, o minio.ObjectInfo) backends.ObjectInfo {
	info := backends.ObjectInfo{Key: key, Size: o.Size, ModTime: o.LastModified.Truncate(time.Second)}
	if sum, err := base64.StdEncoding.DecodeString(o.ChecksumSHA256); err == nil && len(sum) == 32 {
		info.SHA256 = sum
	}
	return info
}
