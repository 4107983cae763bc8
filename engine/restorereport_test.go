package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"vaultik/actors/restore"
	"vaultik/backends"
	"vaultik/vault/blob"
	vfs "vaultik/vault/fs"
	"vaultik/vault/snapshot"
)

// The same command again is the advice only where it can help.
func TestRestoreJob_TryAgain(t *testing.T) {
	b := &restoreJob{
		job: &job{Engine: &Engine{}},
		r:   &reading{row: &row{Loaded: &snapshot.Loaded{}}},
	}
	at := func(err error) error { return &fs.PathError{Op: "create", Path: "/out/d/f", Err: err} }
	for _, test := range []struct {
		err  error
		want string // of the hint; "" for none
	}{
		{at(syscall.EROFS), "remount,rw /; then rerun"},
		{at(syscall.ENOSPC), "quota of /out/d; then rerun"},
		{at(syscall.EDQUOT), "quota of /out/d; then rerun"},
		{at(syscall.ENAMETOOLONG), "--target DIR /d/f"},
		{at(syscall.EINVAL), "--target DIR /d/f"},
		{at(vfs.ErrName), "--target DIR /d/f"},
		{at(syscall.EILSEQ), "--target DIR /d/f"},
		{at(syscall.EFBIG), "--target DIR /d/f"},
		{at(syscall.EBUSY), "umount /out/d/f; then rerun"},
		{at(vfs.ErrDirLocked), "chattr -i -a /out/d; then rerun"},
		{at(vfs.ErrNoDevice), "--exclude PATH"},
		{at(vfs.ErrSwapped), "rerun the same command to restore the rest"},
		{at(syscall.EIO), "rerun the same command to restore the rest"},
		{at(syscall.ENOSYS), ""},
		{at(syscall.EOPNOTSUPP), ""},
		{backends.ErrUnreachable, "rerun the same command to restore the rest"},
		{fmt.Errorf("open blob x: %w", blob.ErrNoIdentity), "give the earlier key as well: "},
		{snapshot.ErrDamaged, "verify --read-data"},
	} {
		got := b.tryAgain(&restore.Result{Problems: []restore.Problem{{Path: "d/f", Err: test.err}}})
		if !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%v: %q; want %q", test.err, got, test.want)
		}
	}
}

// A quota that is used up is as full as a disk is.
func TestExplain_NoRoom(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		e := Explain(errors.Join(&fs.PathError{Op: "write", Path: "/x", Err: err}))
		if !strings.Contains(e.Hint, "free some space") {
			t.Errorf("%v: %+v", err, e)
		}
	}
}
