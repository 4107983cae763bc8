package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// Where a bucket keeps versions, whoever may put objects can hide them: behind a delete marker,
// or behind another object of the name. With versions=oldest the store is read as it was before
// anybody did. Names are used once, but for objects that were stored again since they were
// damaged; of these, as far as their name is their SHA-256, the version counts that has it.

// errVersions says that such a store is only read.
var errVersions = errors.New("versions=oldest is for reading what was hidden (restore, verify, " +
	"snapshots); remove it to write")

// maxVersions is how many versions of one object are looked at.
const maxVersions = 10_000

// maxPicked is how many choices are remembered, some 20 MB.
const maxPicked = 100_000

// versionOf is the id of the version of an object that is read, "" for the current one.
func (b *Backend) versionOf(ctx context.Context, key string) (id string, err error) {
	if !b.settings.oldest {
		return "", nil
	}
	b.picking.Lock()
	id, known := b.picked[key]
	b.picking.Unlock()
	if known {
		return id, nil
	}
	name := b.object(key)
	var all []minio.ObjectInfo
	err = b.pageOf(ctx, minio.ListObjectsOptions{Prefix: name, WithVersions: true},
		func(o minio.ObjectInfo) error {
			switch {
			case o.IsDeleteMarker: // some servers list these first, of all names
				return nil
			case o.Key != name:
				return errEnough
			}
			if len(all) == maxVersions {
				return tooManyVersions(key)
			}
			all = append(all, o)
			return nil
		})
	if err != nil && !errors.Is(err, errEnough) {
		return "", err
	}
	o, err := b.pick(ctx, key, all)
	return o.VersionID, err
}

func tooManyVersions(key string) error {
	return fmt.Errorf("%w: %s has over %d versions", backends.ErrUnsupported, key, maxVersions)
}

// pick chooses among all versions of an object, the newest first. Zero: there is none.
func (b *Backend) pick(ctx context.Context, key string, all []minio.ObjectInfo) (
	chosen minio.ObjectInfo, err error) {
	if len(all) == 0 {
		return chosen, nil
	}
	slices.Reverse(all)
	chosen = all[0]
	sum, _, _ := strings.Cut(path.Base(key), ".")
	if want, err := hex.DecodeString(sum); len(all) > 1 && err == nil && len(want) == sha256.Size {
		for _, o := range all {
			stat, err := b.client.StatObject(ctx, b.settings.bucket, o.Key,
				minio.StatObjectOptions{Checksum: true, VersionID: o.VersionID})
			if err != nil {
				return chosen, err
			}
			if bytes.Equal(objectInfo(key, stat).SHA256, want) {
				chosen = o
				break
			}
		}
	}
	b.picking.Lock()
	defer b.picking.Unlock()
	if len(b.picked) >= maxPicked {
		clear(b.picked)
	}
	b.picked[key] = chosen.VersionID
	return chosen, nil
}

// oldest hands on one version of each object of a list of versions.
type oldest struct {
	b   *Backend
	ctx context.Context
	fn  func(minio.ObjectInfo) error
	all []minio.ObjectInfo // of one name
}

func (v *oldest) add(o minio.ObjectInfo) error {
	if o.IsDeleteMarker {
		return nil
	}
	if len(v.all) > 0 && v.all[0].Key != o.Key {
		if err := v.end(); err != nil {
			return err
		}
	}
	if len(v.all) == maxVersions {
		return tooManyVersions(o.Key)
	}
	v.all = append(v.all, o)
	return nil
}

// end is that of the versions of one name.
func (v *oldest) end() error {
	all := v.all
	v.all = all[len(all):]
	if len(all) == 0 {
		return nil
	}
	key, ok := v.b.keyOf(all[0].Key)
	if !ok {
		return nil // of somebody else
	}
	o, err := v.b.pick(v.ctx, key, all)
	if err != nil {
		return err
	}
	return v.fn(o)
}

// names lists what is under a prefix, in versions that are read.
func (b *Backend) names(ctx context.Context, prefix string, fn func(minio.ObjectInfo) error) error {
	if !b.settings.oldest {
		return b.page(ctx, prefix, 0, fn)
	}
	v := &oldest{b: b, ctx: ctx, fn: fn}
	err := b.pageOf(ctx, minio.ListObjectsOptions{Prefix: prefix, WithVersions: true}, v.add)
	if err != nil {
		return err
	}
	return v.end()
}
