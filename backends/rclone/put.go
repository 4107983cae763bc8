package rclone

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/operations"

	"vaultik/backends"
)

const (
	// tempDir holds what is not complete. No key can lie in it, nor is it listed.
	tempDir = ".vaultik-tmp"
	// staleAfter is the age from which a file in tempDir has been left behind.
	staleAfter = 24 * time.Hour
)

var tempName = regexp.MustCompile(`^` + regexp.QuoteMeta(tempDir) + `/[0-9a-f]{32}$`)

func newTempName() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return tempDir + "/" + hex.EncodeToString(random[:])
}

// staged reports whether an object of f can be seen, or be left behind, half
// written. rclone has a flag for it, but webdav and hdfs, say, do not set it; so
// this is every remote but buckets, which take an object whole or not at all.
func staged(f fs.Fs) bool {
	return f.Features().Move != nil && !f.Features().BucketBased
}

// replacing are the kinds of remote whose Move replaces what is there. With others
// it may fail, or make a second file of the same name.
var replacing = []string{"local", "sftp", "webdav", "ftp"}

// Put stores src as the file of key.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := b.put(ctx, key, src, o)
	if err != nil {
		return backends.ObjectInfo{}, b.fail("put", key, err)
	}
	return info, nil
}

func (b *Backend) put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (info backends.ObjectInfo, err error) {
	if err := b.enterWrite(ctx, key); err != nil {
		return info, err
	}
	defer b.gate.Leave()
	switch {
	case o.IfAbsent:
		return info, fmt.Errorf("%w: creating an object only if it is absent", backends.ErrUnsupported)
	case src.Size() == 0:
		return info, fmt.Errorf("%w: an empty object", backends.ErrUnsupported)
	}
	name := key
	if b.staged {
		name = newTempName()
	}
	u := newUpload(ctx, src, name, b.verify)
	defer u.finish()
	obj, err := b.transfer(u, key, o.Progress)
	u.finish()
	if failure := u.result(); failure != nil {
		err = failure
	}
	if err != nil {
		return info, err
	}
	// What the remote has by now may be of somebody else's Put.
	return backends.ObjectInfo{Key: key, Size: u.Size(), ModTime: modTime(ctx, obj)}, nil
}

// transfer uploads u and gives it its name, while it reports progress from the
// caller's goroutine.
func (b *Backend) transfer(u *upload, key string, progress func(done, total int64)) (obj fs.Object, err error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	type end struct {
		obj fs.Object
		err error
	}
	ended := make(chan end, 1)
	defer u.cancel() // also when progress panics
	go func() {
		var e end
		e.err = b.await(u.ctx, func(ctx context.Context) (err error) {
			e.obj, err = b.store(ctx, u, key)
			return err
		})
		ended <- e
	}()
	for {
		select {
		case <-u.progress:
			progress(u.taken(), u.Size())
		case e := <-ended:
			if e.err == nil {
				progress(u.Size(), u.Size())
			}
			return e.obj, e.err
		}
	}
}

// store uploads u and, if it is staged, moves it to key.
func (b *Backend) store(ctx context.Context, u *upload, key string) (obj fs.Object, err error) {
	if !b.staged {
		defer lock(b.location + "/" + key)()
	}
	for range 5 {
		if obj, err = operations.Copy(ctx, b.f, nil, u.name, u); absent(err) {
			err = fmt.Errorf("%w: %w", errVanished, err)
		}
		if err == nil {
			err = u.arrived(ctx, obj)
		}
		if err == nil && b.staged {
			obj, err = b.rename(ctx, obj, key)
		}
		if err != nil && b.staged {
			b.discard(ctx, u.name)
		}
		if !errors.Is(err, errVanished) {
			break
		}
	}
	return obj, err
}

// errVanished: the upload is there neither under its temporary name nor its own.
// Somebody may have deleted it already.
var errVanished = errors.New("object vanished while being stored")

// arrived is an error unless obj has all bytes of the source: several providers accept
// a part as the whole.
func (u *upload) arrived(ctx context.Context, obj fs.Object) error {
	u.mu.Lock()
	read, failure, sum := u.read, u.failure, u.sums[u.verify]
	u.mu.Unlock()
	size := u.Size()
	switch {
	case failure != nil:
		return failure
	case read != size:
		return fmt.Errorf("%w: the remote has %d of %d bytes", backends.ErrChecksum, read, size)
	case obj == nil || obj.Size() != size:
		return fmt.Errorf("%w: the remote does not have the %d bytes that were sent", backends.ErrChecksum, size)
	case u.verify == hash.None:
		return nil
	}
	got, err := obj.Hash(ctx, u.verify)
	if err == nil && got != "" && got != sum {
		err = fmt.Errorf("%w: the %v of the stored object is %s, of the source %s", backends.ErrChecksum, u.verify, got, sum)
	}
	return err
}

// busy has the keys that are being given their objects. Some servers refuse two
// renames to one name at once, or mix them up; where nothing is renamed, one upload
// could find the bytes of the other and take them for damaged.
var busy = struct {
	sync.Mutex
	keys map[string]*busyKey
}{keys: map[string]*busyKey{}}

type busyKey struct {
	sync.Mutex
	users int
}

// lock waits until nobody else in this process has key, and returns what ends that.
func lock(key string) (unlock func()) {
	busy.Lock()
	k := busy.keys[key]
	if k == nil {
		k = &busyKey{}
		busy.keys[key] = k
	}
	k.users++
	busy.Unlock()
	k.Lock()
	return func() {
		k.Unlock()
		busy.Lock()
		defer busy.Unlock()
		if k.users--; k.users == 0 {
			delete(busy.keys, key)
		}
	}
}

// rename moves a complete file to its name.
func (b *Backend) rename(ctx context.Context, obj fs.Object, key string) (fs.Object, error) {
	defer lock(b.location + "/" + key)()
	move := b.f.Features().Move
	if !slices.Contains(replacing, b.kind) {
		if _, err := b.remove(ctx, key); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	moved, err := move(ctx, obj, key)
	switch {
	case err == nil || ctx.Err() != nil:
		return moved, err
	case errors.Is(err, fs.ErrorCantMove):
		return nil, fmt.Errorf("%w: this remote cannot rename a file: %w", backends.ErrUnsupported, err)
	}
	if _, gone := b.f.NewObject(ctx, obj.Remote()); absent(gone) {
		// It was renamed, and then there was trouble.
		if there, _ := b.f.NewObject(ctx, key); there != nil && there.Size() == obj.Size() {
			return there, nil
		}
		return nil, fmt.Errorf("%w: %w", errVanished, err)
	}
	// Some servers do not rename over a file that is there.
	if there, failed := b.remove(ctx, key); !there || failed != nil {
		return nil, err
	}
	if moved, err = move(ctx, obj, key); absent(err) {
		err = fmt.Errorf("%w: %w", errVanished, err)
	}
	return moved, err
}

// remove deletes the file of a name, and reports whether there was one.
func (b *Backend) remove(ctx context.Context, name string) (there bool, err error) {
	obj, err := b.f.NewObject(ctx, name)
	if absent(err) {
		return false, nil
	}
	if err == nil {
		err = obj.Remove(ctx)
	}
	if err != nil && ctx.Err() == nil {
		// Somebody else may have been faster.
		if _, again := b.f.NewObject(ctx, name); absent(again) {
			return true, nil
		}
	}
	return true, err
}

// discard removes what an upload that failed has left.
func (b *Backend) discard(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	if _, err := b.remove(ctx, name); err != nil {
		b.log.Info("rclone: cannot remove " + name + " yet: " + err.Error())
	}
}

// sweep removes what was left behind long ago, beside what else happens.
func (b *Backend) sweep() {
	if !b.staged {
		return
	}
	b.running.Go(func() {
		ctx, cancel := context.WithTimeout(b.settings(context.Background()), time.Minute)
		defer cancel()
		entries, err := b.f.List(ctx, tempDir)
		if err != nil {
			return // mostly there is none
		}
		for _, entry := range entries {
			obj, ok := entry.(fs.Object)
			if !ok || !tempName.MatchString(obj.Remote()) || time.Since(obj.ModTime(ctx)) < staleAfter {
				continue
			}
			if err := obj.Remove(ctx); err != nil {
				b.log.Info("rclone: cannot remove " + obj.Remote() + ": " + err.Error())
			}
		}
	})
}

// Delete removes the file of key.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := b.enterWrite(ctx, key); err != nil {
		return b.fail("delete", key, err)
	}
	defer b.gate.Leave()
	err := b.await(ctx, func(ctx context.Context) error {
		unlock := lock(b.location + "/" + key)
		there, err := b.remove(ctx, key)
		unlock()
		if err == nil && !there {
			err = b.rootExists(ctx)
		}
		return err
	})
	return b.fail("delete", key, err)
}
