//go:build !portable

package fs

import (
	"golang.org/x/sys/unix"

	"vaultik/vault/page"
)

// keeps is what one file system of a target does to what it is given: measured there, on a
// file made for it, since neither the kernel nor the documentation of a FUSE file system tells.
type keeps struct {
	owner    uint32 // of what this process makes
	modes    bool   // a file has the mode that it is given
	step     int64  // nanoseconds: times are whole multiples of it; 0: they are not kept at all
	min, max int64  // seconds: earlier and later times become these
}

// keepsAt measures the file system of what st describes, once, in the directory that holds
// path; nil where nothing may be made.
func (t *Target) keepsAt(path string, st *Stat) *keeps {
	if t.opt.ReadOnly {
		return t.guess(path, st)
	}
	t.measuring.Lock()
	defer t.measuring.Unlock()
	if k, ok := t.measured[st.Dev]; ok {
		return k
	}
	dir := path
	if path != "." {
		dir, _ = split(path)
	}
	k := t.measure(dir, st.Dev)
	t.measured[st.Dev] = k
	return k
}

// guess is what a dry run, which measures nothing, takes for likely: by the kind of the file
// system, and by the times of the very file. It only decides what is said.
func (t *Target) guess(path string, st *Stat) *keeps {
	k := &keeps{owner: t.euid, modes: true, step: 1, min: -far, max: far}
	var fs unix.Statfs_t
	if statfs(t.full(path), &fs) == nil && foreignFS[uint32(fs.Type)] {
		k.owner, k.modes = st.UID, false
	}
	if st.Mtime.Nsec == 0 && (st.Ctime.Nsec == 0 || !k.modes) {
		k.step = 1e9
	}
	if last := int64(1<<31 - 1); st.Mtime.Sec == last {
		k.max = last
	}
	return k
}

// foreignFS are file systems that mostly have no owners or modes of this machine.
var foreignFS = map[uint32]bool{
	unix.MSDOS_SUPER_MAGIC: true,
	unix.EXFAT_SUPER_MAGIC: true,
	unix.FUSE_SUPER_MAGIC:  true,
	unix.SMB2_SUPER_MAGIC:  true,
	unix.CIFS_SUPER_MAGIC:  true,
	0x7366746e:             true, // ntfs3
}

// far is a time that no file system goes to, in seconds: in the year 36812.
const far = 1 << 40

func (t *Target) measure(dir string, dev uint64) *keeps {
	d, err := t.openDir(dir, true)
	if err != nil {
		return nil
	}
	defer d.release()
	temp := t.tempName()
	defer t.tempDone(temp)
	fd, err := openat(d.fd, temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil
	}
	defer closeFD(fd)
	defer func() { _ = unlinkat(d.fd, temp, 0) }()
	st, err := fstat(fd)
	if err != nil || st.Dev != dev { // something is mounted at the very path
		return nil
	}
	k, n := &keeps{owner: st.UID, modes: true}, node{fd: fd}
	for _, mode := range []uint32{0o640, 0o600} {
		err := n.chmod(mode)
		now, statErr := fstat(fd)
		k.modes = k.modes && err == nil && statErr == nil && now.Mode == mode
	}
	k.times(n)
	return k
}

// times finds out which times n can have.
func (k *keeps) times(n node) {
	become := func(want page.Time) (page.Time, bool) {
		ts, err := unix.TimeToTimespec(want.Time())
		if err != nil || n.setTimes([]unix.Timespec{ts, ts}) != nil {
			return page.Time{}, false
		}
		st, err := fstat(n.fd)
		return st.Mtime, err == nil
	}
	odd := page.Time{Sec: 1_000_000_001, Nsec: 123_456_789}
	got, ok := become(odd)
	for _, step := range []int64{1, 100, 1000, 1e6, 1e7, 1e9, 2e9} {
		if ok && got == cut(odd, step) {
			k.step = step
			break
		}
	}
	if k.step == 0 {
		return
	}
	// What lies beyond becomes the bound; where it becomes anything else, or where the bound
	// is no time that can be kept, no bound is known.
	bound := func(far int64) int64 {
		if b, ok := become(page.Time{Sec: far}); ok {
			if again, ok := become(b); ok && again == b {
				return b.Sec
			}
		}
		return far
	}
	k.min, k.max = bound(-far), bound(far)
}

// cut is the last multiple of step that is not after at.
func cut(at page.Time, step int64) page.Time {
	if step <= 1e9 {
		at.Nsec -= at.Nsec % int32(step)
		return at
	}
	whole := step / 1e9
	return page.Time{Sec: at.Sec - ((at.Sec%whole)+whole)%whole}
}

// becomes is the time that a file has there that is given the time at.
func (k *keeps) becomes(at page.Time) page.Time {
	switch {
	case at.Sec < k.min:
		return page.Time{Sec: k.min}
	case at.Sec > k.max || at.Sec == k.max && k.max < far:
		return page.Time{Sec: k.max}
	}
	return cut(at, k.step)
}

// sameTime reports whether the mtime of what is at path, as st says, is what the file system
// makes of that of e.
func (t *Target) sameTime(path string, st *Stat, e *page.Entry) bool {
	if st.Mtime == e.Mtime {
		return true
	}
	k := t.keepsAt(path, st)
	return k != nil && k.step > 0 && st.Mtime == k.becomes(e.Mtime)
}
