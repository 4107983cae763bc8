package s3

import (
	"context"
	"fmt"
	"slices"
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
	l := &listing{b: b, ctx: ctx, fn: fn, page: 1}
	err := b.names(withCall(ctx, c), b.object(prefix), func(o minio.ObjectInfo) error {
		if c.pages > l.page {
			if err := l.turn(c.pages); err != nil {
				return err
			}
		}
		return l.add(o)
	})
	if err == nil {
		err = l.end()
	}
	switch {
	case l.stopped != nil:
		return l.stopped
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	return b.fail(ctx, "list", prefix, c, err)
}

// maxUnsorted is how many names of a server that lists in no order are sorted here: some
// 100 MiB.
const maxUnsorted = 500_000

// listing hands on the names of a list in ascending order. Whether the server has them in
// order the first page tells: servers that sort at all sort each page.
type listing struct {
	b       *Backend
	ctx     context.Context
	fn      func(backends.ObjectInfo) error
	held    []minio.ObjectInfo // the first page, or all where they have to be sorted
	begun   bool               // the first page is complete
	sorting bool
	page    int                 // the number of this one
	known   map[string]struct{} // while sorting: the names in held
	fresh   bool                // while sorting: this page has brought a name
	stopped error               // by fn or ctx, whose error goes back as it is

	last  string
	twice bool
}

// turn is called at the beginning of another page.
func (l *listing) turn(page int) error {
	first, fresh := !l.begun, l.fresh
	l.page, l.fresh = page, false
	if first {
		return l.begin()
	}
	if l.sorting && !fresh {
		return fmt.Errorf("%w: the server lists the same names again and again",
			backends.ErrUnsupported)
	}
	return nil
}

// begin decides at the end of the first page.
func (l *listing) begin() error {
	l.begun = true
	l.sorting = !slices.IsSortedFunc(l.held, byName)
	if l.sorting {
		l.b.unsorted.Store(true)
		l.known = map[string]struct{}{}
		for _, o := range l.held {
			l.known[o.Key] = struct{}{}
		}
		return nil
	}
	return l.handOn()
}

// end is that of the list.
func (l *listing) end() error {
	if !l.begun {
		if err := l.begin(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(l.held, byName)
	return l.handOn()
}

func byName(a, b minio.ObjectInfo) int { return strings.Compare(a.Key, b.Key) }

func (l *listing) add(o minio.ObjectInfo) error {
	if l.begun && !l.sorting {
		return l.one(o)
	}
	if _, is := l.known[o.Key]; is {
		return nil
	}
	if l.sorting {
		l.known[o.Key], l.fresh = struct{}{}, true
	}
	if len(l.held) == maxUnsorted {
		return fmt.Errorf("%w: the server lists its names in no order, and there are more than "+
			"%d, which can be sorted here", backends.ErrUnsupported, maxUnsorted)
	}
	l.held = append(l.held, minio.ObjectInfo{Key: o.Key, Size: o.Size, LastModified: o.LastModified})
	return nil
}

func (l *listing) handOn() error {
	held := l.held
	l.held = nil
	for _, o := range held {
		if err := l.one(o); err != nil {
			return err
		}
	}
	return nil
}

// one hands on a name that must come after those before.
func (l *listing) one(o minio.ObjectInfo) error {
	switch {
	case o.Key > l.last:
		l.last, l.twice = o.Key, false
	case o.Key == l.last && (!l.twice || l.sorting): // as rclone's server does now and then with what has just been replaced
		l.twice = true
		return nil
	default:
		return fmt.Errorf("%w: the server lists %q after %q, so the list may be incomplete",
			backends.ErrUnsupported, o.Key, l.last)
	}
	key, ok := l.b.keyOf(o.Key)
	if !ok {
		return nil // of somebody else
	}
	if l.stopped = l.ctx.Err(); l.stopped == nil {
		l.stopped = l.fn(objectInfo(key, o))
	}
	return l.stopped
}

// keyOf is the key of a name in the bucket; false: it has none.
func (b *Backend) keyOf(name string) (key string, ok bool) {
	key = strings.TrimPrefix(name, b.settings.prefix)
	return key, backends.CheckKey(key) == nil
}

// page calls fn for names that begin with prefix, at most size in one request; 0:
// as many as the server gives. It ends when fn returns an error.
func (b *Backend) page(ctx context.Context, prefix string, size int, fn func(minio.ObjectInfo) error) error {
	return b.pageOf(ctx, minio.ListObjectsOptions{Prefix: prefix, MaxKeys: size}, fn)
}

// pageOf is page with other options.
func (b *Backend) pageOf(ctx context.Context, o minio.ListObjectsOptions,
	fn func(minio.ObjectInfo) error) error {
	owner := false
	o.Recursive, o.FetchOwner = true, &owner
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
