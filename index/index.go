package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"vaultik/internal/platform"
	"vaultik/vault/blob"
)

// Options of an index.
type Options struct {
	// MemoryMiB bounds what the index holds, blob rows not counted. Badger takes
	// about 32 MiB whatever it is; a quarter of the rest, at least 1 MiB and at
	// most 8, is for the filter that makes first backups cheap. 0 means 48.
	MemoryMiB int
	// Key is derived from the host's secret; it seeds checksums and path keys.
	Key [32]byte
	// Log gets what Badger says. nil: nobody.
	Log *slog.Logger
}

// Index is an open index. All methods are for many goroutines; writes wait for
// each other.
type Index struct {
	dir  string
	opt  Options
	seed uint32 // of the checksums
	lock *os.File
	free func(dir string) (free, total int64, err error) // bytes of the file system

	write   sync.Mutex     // held by the writer; taken before mu
	entries []badger.Entry // the writer's, reused; guarded by write

	mu       sync.RWMutex // guards what follows; readers hold it while they use db
	db       *badger.DB   // nil: closed
	gen      uint32
	blobs    *blobTable
	filter   *filter
	empty    bool // no blob was ever written in this generation
	dirty    bool // Badger holds rows that are only in its log
	bad      atomic.Int64
	gone     atomic.Int64
	skipped  atomic.Int64
	filtered atomic.Int64
}

// Open opens the index in dir, or makes one there. Errors: ErrBusy (a
// *BusyError), ErrDamaged (call Recreate, then Open), ErrForeign, ErrNewerFormat,
// ErrNoSpace, or one of the system. A damaged directory is left as it was.
func Open(dir string, o Options) (*Index, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 48
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make index directory: %w", typed(err))
	}
	// Twice: before the lock leaves a file in somebody else's directory, and
	// under it, when it counts.
	if _, _, err := inspect(dir); err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	ks := keyed(o.Key, "vaultik index checksum")
	x := &Index{dir: dir, opt: o, seed: binary.LittleEndian.Uint32(ks[:]), lock: lock, free: platform.Space}
	if err := x.open(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return x, nil
}

// open does what needs the lock.
func (x *Index) open() error {
	doc, fresh, err := inspect(x.dir)
	if err != nil {
		return err
	}
	if !fresh && doc.Owner != owner(x.opt.Key) {
		return fmt.Errorf("%w: %q was made with another host's secret", ErrForeign, x.dir)
	}
	if err := os.Chmod(x.dir, 0o700); err != nil {
		return fmt.Errorf("protect index directory: %w", err)
	}
	db := filepath.Join(x.dir, dbName)
	tables, err := verifyDir(db)
	if err != nil {
		return err
	}
	if err := x.checkSpaceFor(tables); err != nil {
		return err
	}
	if fresh {
		if err := writeFormat(x.dir, x.opt.Key); err != nil {
			return err
		}
	}
	if err := prepareDir(db); err != nil {
		return err
	}
	if x.db, err = openBadger(db, x.opt.Log); err != nil {
		return err
	}
	err = protect(db)
	if err == nil {
		err = x.load()
	}
	if err != nil {
		_ = x.db.Close()
		return err
	}
	return nil
}

// load reads generation and blob rows, and finishes a Reset that was interrupted.
func (x *Index) load() error {
	x.blobs = newBlobTable()
	pending := uint32(0)
	err := x.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(metaKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			x.gen = 1
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			v, ok := unseal(v, x.seed, metaKey)
			if !ok || len(v) != 8 {
				return fmt.Errorf("%w: generation is unreadable", ErrDamaged)
			}
			x.gen, pending = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("read index: %w", typed(err))
	}
	if pending != 0 {
		x.dropGeneration(pending)
	}
	if err := x.loadRows(); err != nil {
		return fmt.Errorf("read index: %w", typed(err))
	}
	return nil
}

func (x *Index) loadRows() error {
	return x.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: appendPrefix(nil, x.gen, kindBlob)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().Key()
			if len(key) != prefixLen+4 {
				continue
			}
			n := BlobNum(binary.BigEndian.Uint32(key[prefixLen:]))
			err := it.Item().Value(func(v []byte) error {
				var in blob.Info
				var raw uint32
				v, ok := unseal(v, x.seed, key)
				if ok {
					in, raw, ok = decodeBlob(v)
				}
				if !ok { // its number must not be given again
					x.bad.Add(1)
					if n-x.blobs.next > segment {
						return nil
					}
				}
				if n > 0 && n < inBatch {
					x.blobs.put(n, in)
					x.blobs.setRaw(n, int64(raw))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		x.empty = x.blobs.next == 1
		chunks := txn.NewIterator(badger.IteratorOptions{Prefix: appendPrefix(nil, x.gen, kindChunk)})
		defer chunks.Close()
		if chunks.Rewind(); !chunks.Valid() {
			x.startFilter()
		}
		return nil
	})
}

// startFilter is for a generation without chunk rows.
func (x *Index) startFilter() {
	x.filter = newFilter(min(max((x.opt.MemoryMiB-32)/4, 1), 8) << 20)
}

// Sync returns when all rows written before are on the disk for good. Call it
// before a manifest is written.
func (x *Index) Sync() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil {
		return ErrClosed
	}
	// Badger syncs the log of the memtable in use, not those that wait to
	// become tables.
	dir := filepath.Join(x.dir, dbName)
	logs, err := filepath.Glob(filepath.Join(dir, "*"+logExt))
	if err != nil {
		return fmt.Errorf("sync index: %w", err)
	}
	for _, path := range logs {
		if err := platform.SyncPath(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sync index: %w", typed(err))
		}
	}
	if err := x.db.Sync(); err != nil {
		return fmt.Errorf("sync index: %w", typed(err))
	}
	if err := platform.SyncPath(dir); err != nil {
		return fmt.Errorf("sync index: %w", typed(err))
	}
	return nil
}

// Close writes what is in memory and gives the index to others. ErrNoSpace: the
// rows are safe in the log, but the index stays open and locked; make space and
// call Close again, or end the process. Closing a closed index does nothing.
func (x *Index) Close() error {
	x.write.Lock()
	defer x.write.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return nil
	}
	if err := x.checkSpaceFor(0); err != nil && x.dirty {
		return fmt.Errorf("close index: %w", errors.Join(err, typed(x.db.Sync())))
	}
	err := typed(x.db.Close())
	x.db = nil
	if perr := protect(filepath.Join(x.dir, dbName)); err == nil {
		err = perr
	}
	if cerr := x.lock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// Empty reports whether the index has never held a blob in this generation: it
// is new, was lost or was reset.
func (x *Index) Empty() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.empty
}

// Reset starts a new generation: all rows are absent from now on, also after a crash.
func (x *Index) Reset() error {
	x.write.Lock()
	defer x.write.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return ErrClosed
	}
	if err := x.checkSpace(); err != nil {
		return fmt.Errorf("reset index: %w", err)
	}
	old := x.gen
	x.dirty = true
	if err := x.setGeneration(old+1, old); err != nil {
		return fmt.Errorf("reset index: %w", typed(err))
	}
	x.gen, x.blobs, x.empty = old+1, newBlobTable(), true
	x.startFilter()
	x.dropGeneration(old)
	return nil
}

// setGeneration persists the generation, and the one whose rows wait to be dropped.
func (x *Index) setGeneration(gen, pending uint32) error {
	v := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, gen), pending)
	err := x.db.Update(func(txn *badger.Txn) error {
		return txn.Set(metaKey, seal(v, x.seed, metaKey))
	})
	if err != nil {
		return err
	}
	return x.db.Sync()
}

// dropGeneration frees the space of old rows. They are already unreachable, so an error
// only means that the next Open retries.
func (x *Index) dropGeneration(old uint32) {
	err := x.db.DropPrefix(binary.BigEndian.AppendUint32(nil, old))
	if err == nil {
		err = x.setGeneration(x.gen, 0)
	}
	if err != nil {
		x.opt.Log.Warn("index: rows of an earlier generation still take space", "error", err)
	}
}

// tables returns the bytes of all tables. The caller holds mu.
func (x *Index) tables() int64 {
	lsm := int64(0)
	for _, l := range x.db.Levels() {
		lsm += l.Size
	}
	return lsm
}

// checkSpace returns ErrNoSpace unless there is room to write. The caller holds
// write or mu.
func (x *Index) checkSpace() error { return x.checkSpaceFor(x.tables()) }

func (x *Index) checkSpaceFor(tables int64) error {
	free, total, err := x.free(x.dir)
	if err != nil {
		return err
	}
	if need := needSpace(tables, total); free < need {
		return fmt.Errorf("%w: %q has %d MiB free, needs %d MiB", ErrNoSpace, x.dir, free>>20, need>>20)
	}
	return nil
}

// Stats returns counts; see Stats for what they mean.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := Stats{
		Generation: x.gen,
		Blobs:      x.blobs.live,
		GoneBlobs:  int(x.blobs.next) - 1 - x.blobs.live,
		BadRows:    x.bad.Load(),
		GoneRows:   x.gone.Load(),
		Skipped:    x.skipped.Load(),
		Filtered:   x.filtered.Load(),
	}
	if x.db != nil {
		s.DiskBytes = x.tables()
	}
	return s
}

// Recreate moves a damaged index aside, replacing one that was moved before, and
// leaves room for Open to make a new one. It returns where the damaged one is.
// Errors: ErrBusy, ErrForeign, ErrNewerFormat, or one of the system.
func Recreate(dir string) (aside string, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if _, _, err := inspect(dir); err != nil && !errors.Is(err, ErrDamaged) {
		return "", err
	}
	aside = filepath.Join(dir, damagedName)
	if err := os.RemoveAll(aside); err != nil {
		return "", fmt.Errorf("remove damaged index: %w", err)
	}
	if err := os.Rename(filepath.Join(dir, dbName), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("move damaged index aside: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, formatName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("remove damaged index: %w", err)
	}
	return aside, platform.SyncPath(dir)
}

// Drop removes the index in dir, and dir itself if nothing else is in it. fs.ErrNotExist: there
// is none. Errors: ErrBusy, ErrForeign, ErrNewerFormat, or one of the system.
func Drop(dir string) error {
	_, fresh, err := inspect(dir)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if fresh {
		return fmt.Errorf("remove index %q: %w", dir, os.ErrNotExist)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	// The rows first: without them format.json is an index that is empty.
	for _, name := range []string{dbName, damagedName, formatName, formatTemp, lockName} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove index: %w", err)
		}
	}
	_ = os.Remove(dir) // unless it is a mount point, or not empty
	return nil
}
