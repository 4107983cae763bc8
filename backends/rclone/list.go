package rclone

import (
	"context"
	"errors"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/walk"

	"vaultik/backends"
)

// ahead is how many parts of a list, each of one request or directory, may wait
// for the caller.
const ahead = 64

// ListStream lists the directories that can hold keys of this prefix.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	if err := backends.CheckPrefix(prefix); err != nil {
		return b.fail("list", prefix, err)
	}
	if err := b.enter(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return b.fail("list", prefix, err)
	}
	defer b.gate.Leave()
	// fn may use the store. It is not called from within rclone, where locks and
	// connections may be held.
	listing, stop := context.WithCancel(ctx)
	defer stop()
	parts, ended := make(chan []backends.ObjectInfo, ahead), make(chan error, 1)
	go func() {
		ended <- b.await(listing, func(ctx context.Context) error { return b.list(ctx, prefix, parts) })
	}()
	give := func(part []backends.ObjectInfo) error {
		for _, o := range part {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(o); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		select {
		case part := <-parts:
			if err := give(part); err != nil {
				stop()
				<-ended //nolint:errcheck // the answer is the error of fn
				return err
			}
		case err := <-ended:
			for len(parts) > 0 { // nobody adds to them now
				if err := give(<-parts); err != nil {
					return err
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.fail("list", prefix, err)
		}
	}
}

// list sends all objects under prefix. It returns an error unless it has seen them
// all: a directory that is missing is no error if the store itself is there.
func (b *Backend) list(ctx context.Context, prefix string, parts chan<- []backends.ObjectInfo) error {
	send := func(entries fs.DirEntries) error {
		part := choose(ctx, entries, prefix)
		if len(part) == 0 {
			return ctx.Err()
		}
		select {
		case parts <- part:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	dir := strings.TrimSuffix(prefix[:strings.LastIndexByte(prefix, '/')+1], "/")
	if dir != "" && b.staged {
		// Of a file instead of a directory FTP lists the file itself; others have
		// many errors for it.
		if _, err := b.f.NewObject(ctx, dir); err == nil {
			return nil
		}
	}
	err := b.walk(ctx, dir, send)
	if errors.Is(err, fs.ErrorDirNotFound) {
		err = b.rootExists(ctx)
	}
	return err
}

func (b *Backend) walk(ctx context.Context, dir string, send fs.ListRCallback) error {
	// Where names can be there twice, a list of many directories at once (Google
	// Drive) has been known to leave some out.
	if f := b.f.Features(); f.ListR != nil && !f.DuplicateFiles {
		return walk.ListR(ctx, b.f, dir, true, -1, walk.ListObjects, send)
	}
	return walk.Walk(ctx, b.f, dir, true, -1, func(at string, entries fs.DirEntries, err error) error {
		if errors.Is(err, fs.ErrorDirNotFound) && at != dir {
			return nil // removed since its parent was listed
		}
		if err != nil {
			return err
		}
		return send(entries)
	})
}

// choose picks the objects under prefix. Entries of one directory are in order, so
// that two files of one name stand side by side.
func choose(ctx context.Context, entries fs.DirEntries, prefix string) []backends.ObjectInfo {
	var part []backends.ObjectInfo
	for _, entry := range entries {
		obj, ok := entry.(fs.Object)
		if !ok {
			continue
		}
		key := obj.Remote()
		if !strings.HasPrefix(key, prefix) || backends.CheckKey(key) != nil || obj.Size() < 0 {
			continue
		}
		if n := len(part); n > 0 && part[n-1].Key == key {
			continue
		}
		part = append(part, describe(ctx, key, obj))
	}
	return part
}
