package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vaultik/internal/testsize"

	"golang.org/x/sys/unix"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/internal/testtree"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

// TestBackup_Attack makes random histories of a host: edits, backups with every kind
// of trouble, losses. Whatever a backup calls saved reads back as it was, for as long
// as nothing that its manifest names is deleted. SEEDS=n tries more of them.
func TestBackup_Attack(t *testing.T) {
	testsize.Long(t)
	for seed := range testsize.Seeds(t, 2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a := newAttack(t, seed)
			for range 14 {
				a.step()
			}
		})
	}
}

type attack struct {
	*jobtest.Host
	r     *rand.Rand
	dir   string
	seq   int
	other struct {
		set  layout.SetID
		head backup.Head
	}
	saved map[[32]byte]string // what each snapshot that must be readable holds
	plain backends.Backend
}

func newAttack(t *testing.T, seed uint64) *attack {
	a := &attack{Host: jobtest.New(t), r: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), saved: map[[32]byte]string{}}
	a.other.set = layout.NewSetID()
	a.plain = a.Store
	for range 3 {
		a.change()
	}
	return a
}

func (a *attack) pick(ways ...func()) { ways[a.r.IntN(len(ways))]() }

func (a *attack) step() {
	for range a.r.IntN(4) {
		a.change()
	}
	if a.r.IntN(3) == 0 {
		a.pick(a.loseBlob, a.loseIndex, a.prune, a.newRecipient, a.otherSet, a.otherSet)
	}
	a.attempt()
	if a.r.IntN(4) == 0 {
		a.old()
	}
}

// path is that of a file which may be there.
func (a *attack) path() string {
	dir := filepath.Join(a.dir, fmt.Sprint("d", a.r.IntN(4)))
	jobtest.Must(a.T, os.MkdirAll(dir, 0o755))
	return filepath.Join(dir, fmt.Sprint("f", a.r.IntN(25)))
}

func (a *attack) bytes(n int) []byte {
	b := testtree.Bytes(uint64(a.r.IntN(6)), int64(n)) // the same again and again
	if a.r.IntN(2) == 0 {
		b = testtree.Bytes(a.r.Uint64(), int64(n))
	}
	return b
}

func (a *attack) size() int {
	return []int{0, 1, 100, 4 << 10, 60 << 10, 70 << 10, 127 << 10, 300 << 10, 900 << 10, 3 << 20}[a.r.IntN(10)]
}

func (a *attack) change() {
	p := a.path()
	write := func(flag int, off int64, b []byte) {
		f, err := os.OpenFile(p, flag|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return // something else stands there, such as a fifo without reader
		}
		_, err = f.WriteAt(b, off)
		jobtest.Must(a.T, err)
		jobtest.Must(a.T, f.Close())
	}
	a.pick(
		func() { write(os.O_TRUNC, 0, a.bytes(a.size())) },
		func() { write(0, int64(a.r.IntN(1<<20)), a.bytes(a.size())) },
		func() { write(0, int64(a.r.IntN(1<<23)), a.bytes(100)) },
		func() { _ = os.Truncate(p, int64(a.r.IntN(1<<21))) },
		func() { _ = os.RemoveAll(p) },
		func() { _ = os.RemoveAll(filepath.Dir(p)) },
		func() { _ = os.Rename(p, a.path()) },
		func() { _ = os.Chmod(p, os.FileMode(0o400+a.r.IntN(0o200))) },
		func() { _ = os.Symlink("to"+p, p) },
		func() { _ = os.Link(p, a.path()) },
		func() { _ = unix.Mkfifo(p, 0o600) },
		func() { _ = unix.Setxattr(p, "user.large", a.bytes(3000), 0) },
		func() { _ = unix.Setxattr(p, fmt.Sprint("user.", a.r.IntN(3)), a.bytes(1500), 0) },
		func() { _ = os.Chtimes(p, time.Time{}, time.Unix(int64(a.r.IntN(1e9)), 5)) },
		func() {
			for i := range 40 {
				write(0, int64(i)*200<<10, a.bytes(5<<10))
			}
		},
		func() {
			dir := filepath.Join(a.dir, fmt.Sprint("many", a.r.IntN(2)))
			jobtest.Must(a.T, os.MkdirAll(dir, 0o755))
			for range a.r.IntN(700) {
				jobtest.Must(a.T, os.WriteFile(filepath.Join(dir, fmt.Sprint(a.r.IntN(2000))), fmt.Append(nil, a.r.IntN(50)), 0o600))
			}
		},
		func() {
			if a.r.IntN(3) == 0 {
				write(0, 0, a.bytes(12<<20))
			}
		},
	)
}

func (a *attack) loseBlob() {
	blobs := a.Keys("b/")
	for range min(len(blobs), 1+a.r.IntN(2)) {
		jobtest.Must(a.T, a.plain.Delete(context.Background(), blobs[a.r.IntN(len(blobs))]))
	}
}

func (a *attack) loseIndex() {
	a.CloseIndex()
	jobtest.Must(a.T, os.RemoveAll(a.IndexDir))
	a.OpenIndex()
}

func (a *attack) newRecipient() {
	secret, recipient, err := keys.Generate(true)
	jobtest.Must(a.T, err)
	id, err := keys.ParseIdentity(secret)
	jobtest.Must(a.T, err)
	_ = id // the old identity goes on to open all: it stays a recipient
	a.Recips, err = keys.ParseRecipients(append(a.Recips.Strings()[:1], recipient))
	jobtest.Must(a.T, err)
}

func (a *attack) otherSet() {
	a.Set, a.other.set = a.other.set, a.Set
	a.Head, a.other.head = a.other.head, a.Head
}

// prune deletes what only older snapshots need, and what none does.
func (a *attack) prune() {
	newest := map[layout.SetID]*snapshot.Loaded{}
	for _, m := range a.manifests() {
		if n := newest[m.Set]; n == nil || m.Seq > n.Seq {
			newest[m.Set] = m
		}
	}
	keep := map[string]bool{}
	for _, m := range newest {
		needed, err := a.Opened.Blobs(a.T.Context(), m.Manifest)
		jobtest.Must(a.T, err)
		for _, b := range needed {
			keep[layout.Blob(a.Host.Host.ID, b.Name)] = true
		}
	}
	for _, k := range a.Keys("b/") {
		if !keep[k] {
			jobtest.Must(a.T, a.plain.Delete(context.Background(), k))
		}
	}
}

func (a *attack) manifests() []*snapshot.Loaded {
	all, problems, err := a.Opened.Manifests(a.T.Context(), snapshot.Filter{})
	jobtest.Must(a.T, err)
	if len(problems) > 0 {
		a.T.Fatalf("problems: %v", problems)
	}
	return all
}

// old reads all snapshots of which nothing is lost.
func (a *attack) old() {
	there := map[string]bool{}
	for _, k := range a.Keys("b/") {
		there[k] = true
	}
	for _, m := range a.manifests() {
		needed, err := a.Opened.Blobs(a.T.Context(), m.Manifest)
		jobtest.Must(a.T, err)
		lost := slices.ContainsFunc(needed, func(b snapshot.BlobSize) bool { return !there[layout.Blob(a.Host.Host.ID, b.Name)] })
		if want, ok := a.saved[m.Sum]; ok && !lost && summary(a.ReadSnapshot(m)) != want {
			a.T.Errorf("snapshot %d of %s is not what it was", m.Seq, m.Set)
		}
	}
}

func summary(tree map[string]jobtest.ReadEntry) string {
	h := sha256.New()
	paths := make([]string, 0, len(tree))
	for p := range tree {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		e := tree[p]
		_, _ = fmt.Fprintf(h, "%q %s %o %d %v %s %q %s\n", p, e.Type, e.Mode, e.Size, e.Mtime, e.Sum, e.Target, e.HL)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// attempt makes a backup with some trouble, and reads it back if it succeeded.
func (a *attack) attempt() {
	t := a.T
	a.seq++
	var mu sync.Mutex
	roll := func(n int) bool { // from any goroutine
		mu.Lock()
		defer mu.Unlock()
		return a.r.IntN(n) == 0
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	soft, stop := context.WithCancel(context.Background())
	defer stop()
	hang := time.AfterFunc(60*time.Second, func() { cancel(errors.New("it hangs")) })
	defer hang.Stop()
	avg := []int{4 << 10, 16 << 10, 64 << 10}[a.r.IntN(3)]
	blobSize := int64(1+a.r.IntN(4)) << 20
	trouble := a.r.IntN(9)
	at := int64(1 + a.r.IntN(12))
	var calls atomic.Int64
	rounds := 0
	a.Edit = func(s *backup.Spec) {
		s.Chunks, s.BlobSize, s.Memory = chunk.ParamsFor(avg), blobSize, 1
		s.Warn = func(string) {}
		switch trouble {
		case 0:
			s.Faults.OnChunk = func(string) {
				if roll(60) {
					panic("injected in a chunker")
				}
			}
			s.Faults.OnUpload = func(bool) {
				if roll(6) {
					panic("injected in an uploader")
				}
			}
			s.Faults.OnSeal = func() {
				if roll(9) {
					panic("injected in a sealer")
				}
			}
		case 1:
			s.Faults.OnUpload = func(bool) {
				if calls.Add(1) == at {
					stop()
				}
			}
		case 2:
			s.Faults.OnUpload = func(bool) {
				if calls.Add(1) == at {
					cancel(errors.New("killed"))
				}
			}
		case 3:
			s.Faults.Boot = jobtest.Late()
			s.Faults.OnCommitStart = func() {
				if rounds++; rounds < backup.MaxRounds {
					for _, k := range a.Keys("b/") {
						if roll(3) {
							jobtest.Must(t, a.plain.Delete(context.Background(), k))
						}
					}
				}
			}
		case 4:
			s.Faults.CheckpointBytes, s.Faults.CheckpointEvery = 1, time.Millisecond
		case 5:
			stage := []*func(){&s.Faults.OnScan, &s.Faults.OnPack, &s.Faults.OnIndex, &s.Faults.OnBuild}[at%4]
			*stage = func() {
				if calls.Add(1) == at {
					panic("injected in a stage")
				}
			}
		case 6:
			s.Store = &failing{a.plain, &calls, at, roll(2)}
		}
	}
	res, err := backup.Run(ctx, soft, a.System, a.Spec(a.dir))
	if cause := context.Cause(ctx); cause != nil && cause.Error() == "it hangs" {
		t.Fatalf("run %d with trouble %d at %d hangs", a.seq, trouble, at)
	}
	if err != nil {
		if trouble == 0 && errors.Is(err, backup.ErrHalfSealed) || trouble > 0 && trouble <= 6 {
			return
		}
		t.Fatalf("run %d with trouble %d: %v", a.seq, trouble, err)
	}
	if !res.Complete {
		t.Errorf("run %d with trouble %d: %+v", a.seq, trouble, res)
	}
	got := a.ReadBack()
	a.compare(got)
	a.saved[a.Head.Sum] = summary(got)
	if t.Failed() {
		t.Fatalf("after run %d with trouble %d at %d", a.seq, trouble, at)
	}
}

var errFailing = errors.New("injected in the store")

// failing is a store one of whose writes fails, before or after it was done.
type failing struct {
	backends.Backend
	calls *atomic.Int64
	at    int64
	after bool
}

func (f *failing) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (info backends.ObjectInfo, err error) {
	hit := f.calls.Add(1) == f.at
	if !hit || f.after {
		info, err = f.Backend.Put(ctx, key, src, o)
	}
	if hit {
		err = errFailing
	}
	return info, err
}

// compare holds every attribute of a snapshot against the tree.
func (a *attack) compare(got map[string]jobtest.ReadEntry) {
	t := a.T
	links := map[uint64]string{}
	left := len(got)
	jobtest.Must(t, filepath.WalkDir(a.dir, func(p string, _ os.DirEntry, err error) error {
		jobtest.Must(t, err)
		e, ok := got[strings.TrimPrefix(p, "/")]
		if !ok {
			t.Errorf("%q is not in the snapshot", p)
			return nil
		}
		left--
		var st unix.Stat_t
		jobtest.Must(t, unix.Lstat(p, &st))
		if e.Mode != st.Mode&0o7777 || e.UID != st.Uid || e.GID != st.Gid || e.Implied {
			t.Errorf("%q: %+v", p, e.Entry)
		}
		if m := (page.Time{Sec: st.Mtim.Sec, Nsec: int32(st.Mtim.Nsec)}); m != e.Mtime {
			t.Errorf("%q: mtime %v, want %v", p, e.Mtime, m)
		}
		if st.Nlink > 1 && st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			if hl, ok := links[st.Ino]; ok && hl != e.HL || e.HL == "" {
				t.Errorf("%q: hard link %q, another name has %q", p, e.HL, hl)
			}
			links[st.Ino] = e.HL
		}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			b, err := os.ReadFile(p)
			jobtest.Must(t, err)
			if sum := sha256.Sum256(b); e.Type != page.File || hex.EncodeToString(sum[:]) != e.Sum || e.Size != int64(len(b)) {
				t.Errorf("%q: other content", p)
			}
			a.compareXattrs(p, &e.Entry)
		case syscall.S_IFLNK:
			if to, err := os.Readlink(p); err != nil || e.Type != page.Symlink || e.Target != to {
				t.Errorf("%q: %+v %v", p, e.Entry, err)
			}
		}
		return nil
	}))
	for p := range got {
		if p == "." || strings.HasPrefix(strings.TrimPrefix(a.dir, "/"), p+"/") {
			left--
		}
	}
	if left != 0 {
		t.Errorf("%d entries too many", left)
	}
}

func (a *attack) compareXattrs(p string, e *page.Entry) {
	if len(e.XattrRefs) > 0 {
		return // read back by its id
	}
	for _, x := range e.Xattrs {
		b := make([]byte, 64<<10)
		if n, err := unix.Lgetxattr(p, x.Name, b); err != nil || !bytes.Equal(b[:n], x.Value) {
			a.T.Errorf("%q: xattr %s, %v", p, x.Name, err)
		}
	}
}
