package backendtest

import (
	"context"
	"io"
	"strings"

	"vaultik/backends"
)

// Scratch confines an opener to the keys under prefix, which ends with a slash:
// what is there is the whole store to those who use it, and nothing outside can
// be met or changed. Keys may be so much shorter.
func Scratch(open Opener, prefix string) Opener {
	return func(ctx context.Context, o backends.Options) (backends.Backend, error) {
		b, err := open(ctx, o)
		if err != nil {
			return nil, err
		}
		return &scratch{b, prefix}, nil
	}
}

type scratch struct {
	inner  backends.Backend
	prefix string
}

func (s *scratch) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := s.inner.Put(ctx, s.prefix+key, src, o)
	return s.own(info), err
}

func (s *scratch) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, backends.ObjectInfo, error) {
	r, info, err := s.inner.Get(ctx, s.prefix+key, off, n)
	return r, s.own(info), err
}

func (s *scratch) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	info, err := s.inner.Stat(ctx, s.prefix+key)
	return s.own(info), err
}

func (s *scratch) Delete(ctx context.Context, key string) error {
	return s.inner.Delete(ctx, s.prefix+key)
}

func (s *scratch) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	return s.inner.ListStream(ctx, s.prefix+prefix, func(o backends.ObjectInfo) error { return fn(s.own(o)) })
}

// ReadRange is as cheap as the store has it.
func (s *scratch) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	b, err := backends.ReadRange(ctx, s.inner, s.prefix+key, off, int64(len(p)), p)
	return len(b), err
}

func (s *scratch) Info(ctx context.Context) (backends.Info, error) { return s.inner.Info(ctx) }
func (s *scratch) Close() error                                    { return s.inner.Close() }

func (s *scratch) own(o backends.ObjectInfo) backends.ObjectInfo {
	o.Key = strings.TrimPrefix(o.Key, s.prefix)
	return o
}
