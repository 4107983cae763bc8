package file

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/backends"
	"vaultik/internal/atomicfile"
)

// A store is gone only if its directory says so: that the directory cannot be asked says
// nothing, and is worth another attempt.
func TestMissing_StoreCannotBeAsked(t *testing.T) {
	b, s, _ := openScripted(t)
	put(t, b, "a/x", "x")
	none := func(backends.ObjectInfo) error { return nil }
	for _, errno := range passing {
		if errno == unix.EINTR { // the call itself is made again
			continue
		}
		s.reset(map[atomicfile.Step]error{atomicfile.StepStat: errno})
		for what, err := range map[string]error{
			"list":       b.ListStream(t.Context(), "", none),
			"empty list": b.ListStream(t.Context(), "b/", none),
			"get":        second(b.Get(t.Context(), "a/y", 0, -1)),
			"range":      rangeError(b, "a/y"),
			"stat":       statError(b, "a/y"),
			"delete":     b.Delete(t.Context(), "a/y"),
		} {
			if errors.Is(err, backends.ErrContainerNotFound) || errors.Is(err, backends.ErrNotFound) {
				t.Errorf("%s, while fstat fails with %v: %v", what, errno, err)
			}
			if !errors.Is(err, errno) || !backends.Retryable(err) {
				t.Errorf("%s, while fstat fails with %v: %v, retryable %v", what, errno, err,
					backends.Retryable(err))
			}
		}
	}
}

func second(_ io.ReadCloser, _ backends.ObjectInfo, err error) error { return err }

func rangeError(b *Backend, key string) error {
	_, err := b.ReadRange(context.Background(), key, make([]byte, 1), 0)
	return err
}

func statError(b *Backend, key string) error {
	_, err := b.Stat(context.Background(), key)
	return err
}

// A signal interrupts each step of a Put once, and each of a listing.
func TestSteps_Interrupted(t *testing.T) {
	var hit []atomicfile.Step
	root := t.TempDir()
	b, err := open(root, backends.Options{}, func(step atomicfile.Step, _ string) error {
		if !slices.Contains(hit, step) {
			hit = append(hit, step)
			return unix.EINTR
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	for key, absent := range map[string]bool{"a/x": false, "a/y": true} {
		hit = nil
		_, err := b.Put(t.Context(), key, backends.Bytes([]byte("x"), nil),
			backends.PutOptions{IfAbsent: absent})
		if err != nil {
			t.Errorf("Put %s: %v", key, err)
		}
	}
	list, err := backends.List(t.Context(), b, "")
	if err != nil || len(list) != 2 {
		t.Errorf("list: %v, %v", list, err)
	}
	hit = nil
	if err := b.Delete(t.Context(), "a/x"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if !slices.Contains(hit, atomicfile.StepRemove) {
		t.Error("nothing was interrupted")
	}
	wantFiles(t, root, "a/y")
}
