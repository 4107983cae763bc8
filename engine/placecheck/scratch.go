package placecheck

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/platform"
	"vaultik/internal/words"
	"vaultik/vault/layout"
)

// scratch is the prefix of one check: check/<16 hex>/. Its first object says
// which process uses it, so that what a killed one left can be told from what a
// running one needs.
type scratch struct {
	*scratchState
	backend backends.Backend
	prefix  string
	dir     string // of a file store, else ""
	workers int
}

type scratchState struct {
	cases int
	mu    sync.Mutex
	// Objects that could not be removed, and prefixes that could not be listed.
	stuck map[string]bool
	err   error // the first reason
}

func newScratchState() *scratchState { return &scratchState{stuck: map[string]bool{}} }

const ownerName = "owner"

// newScratch names a new prefix; nothing is written yet.
func newScratch(ctx context.Context, b backends.Backend, url string, workers int) (scratch, error) {
	if err := ctx.Err(); err != nil {
		return scratch{}, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	return scratch{newScratchState(), b, layout.ScratchPrefix + hex.EncodeToString(id[:]) + "/",
		config.FilePath(url), min(16, workers)}, nil
}

// next is a prefix within, for one case.
func (sc scratch) next() string {
	sc.cases++
	return fmt.Sprintf("%s%03d/", sc.prefix, sc.cases)
}

// clockSlack is what a store may round times of objects to.
const clockSlack = 2 * time.Second

// begin claims the prefix. It returns the difference of clocks, by the time that the
// store gives the object, and how long a call takes.
func (sc scratch) begin(ctx context.Context) (clock *time.Duration, latency time.Duration,
	err error) {
	key, before := sc.prefix+ownerName, time.Now()
	if err := sc.put(ctx, key, claimText(sc.prefix)); err != nil {
		return nil, 0, err
	}
	after := time.Now()
	info, err := sc.backend.Stat(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	latency = max(after.Sub(before), time.Since(after))
	if info.ModTime.IsZero() {
		return nil, latency, nil
	}
	var d time.Duration
	switch {
	case info.ModTime.Before(before.Add(-clockSlack)):
		d = info.ModTime.Sub(before)
	case info.ModTime.After(after.Add(clockSlack)):
		d = info.ModTime.Sub(after)
	}
	d = d.Round(time.Second)
	return &d, latency, nil
}

func (sc scratch) put(ctx context.Context, key, text string) error {
	sum := sha256.Sum256([]byte(text))
	_, err := sc.backend.Put(ctx, key, backends.Bytes([]byte(text), &sum), backends.PutOptions{})
	return err
}

// claimWord begins every claim: what has none was not made by a check.
const claimWord = "vaultik-store-check"

const longestClaim = 256 // bytes

// claimText names this process: the machine, as long as it runs, and the number.
func claimText(prefix string) string {
	return fmt.Sprintf("%s %q %d\n", claimWord, machineOf(prefix), os.Getpid())
}

// claim reads what begin has written below a prefix; false if no check did.
func (sc scratch) claim(ctx context.Context, prefix string) (machine string, pid int, ok bool) {
	if info, err := sc.backend.Stat(ctx, prefix+ownerName); err != nil || info.Size > longestClaim {
		return "", 0, false
	}
	b, err := backends.Objects(sc.backend).Head(ctx, prefix+ownerName, longestClaim)
	if err != nil {
		return "", 0, false
	}
	n, err := fmt.Sscanf(string(b), claimWord+" %q %d\n", &machine, &pid)
	return machine, pid, err == nil && n == 2
}

// machineOf is a hash by which a process of the same run of the same machine, or
// container, knows it again, and nobody else.
func machineOf(prefix string) string {
	boot := platform.BootID()
	if boot == nil {
		return ""
	}
	space, _ := os.Readlink("/proc/self/ns/pid") // "" where there are no containers
	sum := sha256.Sum256([]byte(prefix + string(boot) + space))
	return hex.EncodeToString(sum[:])
}

// orphanAge is how old, by the clock of the store, the newest object of a check of
// another machine must be before it counts as killed: longer than any one of its
// transfers takes.
const orphanAge = time.Hour

// sweep removes what killed checks have left, and says so. now is by the clock of the store.
func (sc scratch) sweep(ctx context.Context, say events.Voice, now time.Time) {
	newest, objects := map[string]time.Time{}, map[string]int64{}
	err := sc.backend.ListStream(ctx, layout.ScratchPrefix, func(o backends.ObjectInfo) error {
		id, _, ok := strings.Cut(strings.TrimPrefix(o.Key, layout.ScratchPrefix), "/")
		if prefix := layout.ScratchPrefix + id + "/"; ok && prefix != sc.prefix {
			objects[prefix]++
			if o.ModTime.After(newest[prefix]) {
				newest[prefix] = o.ModTime
			}
		}
		return nil
	})
	if err != nil {
		say.Warn("", "look for leftovers of other checks: %v", err)
		return
	}
	for prefix, n := range objects {
		sc.sweepOne(ctx, say, prefix, words.Plural(n, "object", "objects"), now.Sub(newest[prefix]))
	}
}

// sweepOne removes what one check has left, if it has ended. what is how much that is.
func (sc scratch) sweepOne(ctx context.Context, say events.Voice, prefix, what string,
	age time.Duration) {
	if _, _, ok := sc.claim(ctx, prefix); !ok {
		say.Note("%s below %s are kept: not created by a check", what, prefix)
		return
	}
	if !sc.dead(ctx, prefix) && age < orphanAge {
		say.Note("another check seems to be running: %s below %s are kept", what, prefix)
		return
	}
	old := scratch{newScratchState(), sc.backend, prefix, sc.dir, sc.workers}
	old.remove(ctx, prefix)
	old.removeDirs()
	if left, err := old.left(); left > 0 {
		say.Warn("", "%s left by a check below %s could not be removed: %v",
			words.Plural(left, "object", "objects"), prefix, err)
		return
	}
	say.Note("removed %s left by a check below %s", what, prefix)
}

// dead reports whether the process that uses a prefix is known to have ended.
func (sc scratch) dead(ctx context.Context, prefix string) bool {
	machine, pid, ok := sc.claim(ctx, prefix)
	if !ok || machine == "" || machine != machineOf(prefix) {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// remove deletes all objects under prefix, the owner's last. What cannot be is counted.
func (sc scratch) remove(ctx context.Context, prefix string) {
	keys := make(chan string)
	var wg sync.WaitGroup
	for range sc.workers {
		wg.Go(func() {
			for key := range keys {
				if err := sc.backend.Delete(ctx, key); err != nil {
					sc.keep(key, err)
				}
			}
		})
	}
	owner := sc.prefix + ownerName
	hasOwner := false
	err := sc.backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		if o.Key == owner {
			hasOwner = true
			return nil
		}
		keys <- o.Key
		return nil
	})
	close(keys)
	wg.Wait()
	if err != nil {
		sc.keep(prefix, err)
		return
	}
	if hasOwner {
		if err := sc.backend.Delete(ctx, owner); err != nil {
			sc.keep(owner, err)
		}
	}
}

func (sc scratch) keep(key string, err error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.stuck[key] = true
	if sc.err == nil {
		sc.err = err
	}
}

// left is how many objects could not be removed, and the first reason.
func (sc scratch) left() (int64, error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return int64(len(sc.stuck)), sc.err
}

// removeDirs removes the empty directories that a check leaves in a file store,
// so that the place is as it was: init wants an empty one.
func (sc scratch) removeDirs() {
	if sc.dir == "" {
		return
	}
	top := filepath.Join(sc.dir, filepath.FromSlash(strings.TrimSuffix(layout.ScratchPrefix, "/")))
	var dirs []string
	_ = filepath.WalkDir(filepath.Join(sc.dir, filepath.FromSlash(sc.prefix)),
		func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	for _, d := range slices.Backward(dirs) {
		_ = os.Remove(d) // only if empty
	}
	_ = os.Remove(top) // of the last check
}
