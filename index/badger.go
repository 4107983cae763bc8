package index

import (
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// memTable is the size of Badger's memtables and must never change: a log
// written with a larger one would not fit into a smaller one, and Badger ends the
// process then.
const memTable = 4 << 20

// externalMagic keeps other programs' Badger directories out.
const externalMagic = 0x7661

// pieceSize is the longest value. All values lie in the tables beside their
// keys, none in the value log: transactions hold at most 15 % of a memtable, and
// inlineLimit is just under that.
const (
	pieceSize   = 256 << 10
	inlineLimit = 600<<10 - 1
)

func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(quiet{log}).
		WithExternalMagic(externalMagic).
		WithMetricsEnabled(false).
		WithDetectConflicts(false). // one writer
		WithSyncWrites(false).      // Index.Sync, before a manifest
		WithNumGoroutines(1).
		WithMemTableSize(memTable).
		WithNumMemtables(1).
		WithBaseTableSize(1 << 20). // several tables are made at once, each in buffers of some times this
		WithValueThreshold(inlineLimit).
		WithValueLogFileSize(1 << 20). // never used, but made and mapped
		WithCompression(options.None). // keys are random; blocks are read in place and need no cache
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(2). // the least
		WithNumLevelZeroTables(4).
		WithNumLevelZeroTablesStall(12).
		WithCompactL0OnClose(false).
		WithChecksumVerificationMode(options.OnBlockRead)
}

// openBadger opens a directory that verifyDir found good. What still goes wrong
// comes back as an error, never as a panic.
func openBadger(dir string, log *slog.Logger) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	db, err = badger.Open(badgerOptions(dir, log))
	if err == nil {
		return db, nil
	}
	return nil, unreadable(err, fmt.Sprintf("open %q", dir))
}
