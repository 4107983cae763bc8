package blob

import (
	"context"
	"crypto/sha256"

	"filippo.io/age"
)

// Probe checks samples of a sealed blob of which only name and size are known: that one of the
// identities opens its header, and that its end with the table, and one of its records of 64 KiB
// in between, are as they were sealed. A small blob is checked whole. pick is given a number of
// records and returns one of them, from 0. Errors are ErrDamaged, ErrNoIdentity, ErrTooLarge,
// keys.ErrPlugin, and those of fetch.
func Probe(ctx context.Context, name Name, size int64, fetch Fetch, ids []age.Identity,
	pick func(records int64) int64) error {
	info := Info{Name: name, Size: size}
	return info.wrap("probe", probe(ctx, info, fetch, ids, pick))
}

func probe(ctx context.Context, info Info, fetch Fetch, ids []age.Identity,
	pick func(records int64) int64) error {
	if err := info.checkSize(); err != nil {
		return err
	}
	r := &Reader{info: info, fetch: fetch}
	if info.Size <= wholeFetch {
		return r.probeWhole(ctx, ids)
	}
	head, n, err := r.head(ctx)
	if err != nil {
		return err
	}
	r.info.Hdr = sha256.Sum256(head[:n])
	if err := r.unwrap(head, n, ids); err != nil {
		return err
	}
	if _, err := r.table(ctx); err != nil {
		return err
	}
	records := max(1, (r.plainSize-1)/ageChunk) // the last was read with the table
	_, err = r.read(ctx, nil, pick(records)*ageChunk, 1)
	return err
}

func (r *Reader) probeWhole(ctx context.Context, ids []age.Identity) error {
	whole, err := r.get(ctx, 0, r.info.Size)
	if err != nil {
		return err
	}
	if sha256.Sum256(whole) != r.info.Name {
		return damaged("its SHA-256 is not its name")
	}
	if r.info.Hdr, _, err = HeaderSum(whole); err != nil {
		return err
	}
	opened, err := openBytes(r.info, append([]byte(nil), whole...), ids)
	if err == nil {
		_, err = opened.table(ctx)
	}
	return err
}
