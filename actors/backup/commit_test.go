package backup_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/internal/testtree"
)

// lagging is a store whose lists lack what was put since lag began.
type lagging struct {
	backends.Backend
	mu  sync.Mutex
	lag bool
	new map[string]bool
}

func (l *lagging) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := l.Backend.Put(ctx, key, src, o)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lag && err == nil {
		l.new[key] = true
	}
	return info, err
}

func (l *lagging) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	return l.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		l.mu.Lock()
		hidden := l.new[o.Key]
		l.mu.Unlock()
		if hidden {
			return nil
		}
		return fn(o)
	})
}

// small makes a directory with one file, which each call changes.
func small(t *testing.T, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	jobtest.Must(t, os.WriteFile(filepath.Join(dir, "a"), testtree.Bytes(seed, 5000), 0o600))
	return dir
}

// What a run has stored itself is not missing because a list is too old to show it: blobs,
// blob lists, root and epoch key.
func TestCommit_LaggingList(t *testing.T) {
	h := jobtest.New(t)
	dir := bigTree(t)
	store := &lagging{Backend: h.Store, lag: true, new: map[string]bool{}}
	h.Store = store
	var said []string
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = jobtest.Late() // it lists again before it commits
		s.Warn = func(text string) { said = append(said, text) }
	}
	r := h.Backup(dir)
	if r.Rounds != 1 || len(said) > 0 {
		t.Errorf("%d rounds, said %q", r.Rounds, said)
	}
	store.lag, store.new = false, nil
	h.CheckTree(dir)
	h.VerifyClean()
}

// A list that shows nothing of what is lost: it is stored again all the same.
func TestCommit_LaggingListAndLostBlobs(t *testing.T) {
	h := jobtest.New(t)
	dir := small(t, 1)
	store := &lagging{Backend: h.Store, lag: true, new: map[string]bool{}}
	h.Store = store
	rounds := 0
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot, s.Warn = jobtest.Late(), func(string) {}
		s.Faults.OnCommitStart = func() {
			if rounds++; rounds > 1 {
				return
			}
			for key := range store.new {
				if strings.Contains(key, "/b/") {
					jobtest.Must(t, store.Delete(t.Context(), key))
				}
			}
		}
	}
	if r := h.Backup(dir); r.Rounds != 2 {
		t.Errorf("%d rounds", r.Rounds)
	}
	store.lag, store.new = false, nil
	h.CheckTree(dir)
	h.VerifyClean()
}

// The machine sleeps for three days while it writes the manifest, and what that names is
// deleted meanwhile: another manifest supersedes it, whatever it was that got lost.
func TestCommit_LateAcknowledgement(t *testing.T) {
	for _, lost := range []string{"b/", "r/", "k/", ""} {
		t.Run(strings.TrimSuffix("lost "+lost, "/"), func(t *testing.T) {
			h := jobtest.New(t)
			dir := small(t, 2)
			var slept atomic.Int64
			inner := h.Store
			h.Store = faulty.New(inner, faulty.Rule{Op: faulty.Put, Key: manifests(h), Nth: 1,
				Do: faulty.Tell(func(faulty.Op, string) {
					slept.Store(int64(73 * time.Hour))
					for _, k := range h.Keys(lost) {
						if lost != "" {
							jobtest.Must(t, inner.Delete(t.Context(), k))
						}
					}
				})})
			h.Edit = func(s *backup.Spec) {
				s.Faults.Boot = func() time.Duration { return time.Duration(slept.Load()) }
				s.Warn = func(string) {}
			}
			want := uint64(2)
			if lost == "" {
				want = 1
			}
			if r := h.Backup(dir); r.Seq != want || r.Snapshot != h.Head.Sum {
				t.Errorf("snapshot %d, want %d", r.Seq, want)
			}
			h.CheckTree(dir)
			h.NewestIsWhole()
		})
	}
}

func manifests(h *jobtest.Host) string { return "h/" + h.Host.ID.String() + "/m/" }

// The manifest is not put for longer than the listing is good for. What became of a request
// that was given up is asked, and it is known when it arrives later.
func TestCommit_Deadline(t *testing.T) {
	never := make(chan struct{})
	for name, c := range map[string]struct {
		arrives string
		want    uint64
	}{
		"never": {"", 1}, "before it is asked": {"asked", 1}, "after it was asked": {"put", 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := jobtest.New(t)
			dir := small(t, 3)
			inner := h.Store
			first := &lateRequest{Backend: inner, prefix: manifests(h), arrives: c.arrives}
			h.Store = faulty.New(first, faulty.Rule{Op: faulty.Put, Key: manifests(h), Nth: 1,
				Do: faulty.Wait(never)})
			var now atomic.Int64
			h.Edit = func(s *backup.Spec) {
				s.Faults.Boot = func() time.Duration { return time.Duration(now.Load()) }
				note, puts := s.SaveNext, 0
				s.SaveNext = func(n backup.Head) error {
					if puts++; puts == 1 { // all but a moment of the time is over
						now.Add(int64(10*time.Minute - 50*time.Millisecond))
					}
					return note(n)
				}
			}
			// The bytes of the first manifest, for the request that arrives late.
			h.Store = &keepFirst{Backend: h.Store, late: first}
			if r := h.Backup(dir); r.Seq != c.want || len(h.Keys("m/")) != int(c.want) {
				t.Errorf("snapshot %d of %d, want %d", r.Seq, len(h.Keys("m/")), c.want)
			}
			h.CheckTree(dir)
			h.VerifyClean()
			if r := h.Backup(dir); r.Seq != c.want+1 {
				t.Errorf("then snapshot %d", r.Seq)
			}
		})
	}
}

// lateRequest serves the first put of a manifest when the client has given it up: before the
// client asks for it, or before the client's next one.
type lateRequest struct {
	backends.Backend
	prefix, arrives string

	mu    sync.Mutex
	key   string
	bytes []byte
	puts  int
}

func (l *lateRequest) arrive(when, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arrives == when && key == l.key && l.bytes != nil {
		_, _ = l.Backend.Put(context.Background(), l.key, backends.Bytes(l.bytes, nil),
			backends.PutOptions{})
		l.bytes = nil
	}
}

// keepFirst takes the bytes of the first manifest before they are held up.
type keepFirst struct {
	backends.Backend
	late *lateRequest
}

func (k *keepFirst) Put(ctx context.Context, key string, src backends.Source,
	o backends.PutOptions) (backends.ObjectInfo, error) {
	if strings.HasPrefix(key, k.late.prefix) {
		k.late.mu.Lock()
		k.late.puts++
		if k.late.puts == 1 {
			r, err := src.Open()
			if err != nil {
				panic(err)
			}
			b := make([]byte, src.Size())
			if _, err := r.Read(b); err != nil {
				panic(err)
			}
			_ = r.Close()
			k.late.key, k.late.bytes = key, b
		}
		again := k.late.puts > 1
		k.late.mu.Unlock()
		if again {
			k.late.arrive("put", key)
		}
	}
	return k.Backend.Put(ctx, key, src, o)
}

func (k *keepFirst) Get(ctx context.Context, key string, off, n int64) (r io.ReadCloser,
	info backends.ObjectInfo, err error) {
	k.late.arrive("asked", key)
	return k.Backend.Get(ctx, key, off, n)
}

// A store that never takes a manifest in time ends the backup, which says so.
func TestCommit_NeverInTime(t *testing.T) {
	h := jobtest.New(t)
	dir := small(t, 4)
	var now atomic.Int64
	h.Edit = func(s *backup.Spec) {
		s.Faults.Boot = func() time.Duration { return time.Duration(now.Load()) }
		note := s.SaveNext
		s.SaveNext = func(n backup.Head) error {
			now.Add(int64(11 * time.Minute))
			return note(n)
		}
	}
	_, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
	if err == nil || !strings.Contains(err.Error(), "longer than 10m0s to accept the manifest") {
		t.Fatalf("error %v", err)
	}
	if n := len(h.Keys("m/")); n != 0 {
		t.Errorf("%d manifests", n)
	}
	h.Edit = nil
	h.Backup(dir)
	h.CheckTree(dir)
}

// Only what this machine was about to write is its own: a manifest that follows its last
// one, but that it does not know, is another's, be it the only one.
func TestBackup_RefusesOneForeignManifest(t *testing.T) {
	h := jobtest.New(t)
	dir := small(t, 5)
	h.Backup(dir)
	old := h.Head
	h.Backup(dir)
	h.Head = old // as a clone of the machine remembers it, or the machine itself put back
	_, err := backup.Run(t.Context(), context.Background(), h.System, h.Spec(dir))
	if !errors.Is(err, backup.ErrForeignWriter) {
		t.Errorf("error %v", err)
	}
	if n := len(h.Keys("m/")); n != 2 {
		t.Errorf("%d manifests", n)
	}
}
