package backends

import (
	"context"
	"io"
	"time"
)

// Backend is one open store. All methods may be called from many goroutines at
// once. A context that is already cancelled does no I/O. A method returns only
// after it has stopped using what it was given. Errors are *[OpError] unless said
// otherwise.
type Backend interface {
	// Put stores src under key. When it returns nil the object is complete,
	// as durable as the store can promise, and visible to Get, Stat and
	// ListStream of this and every other client. On an error the key is as it
	// was, or holds a complete object; never a part of one. The same key with
	// the same bytes may be put again; other bytes replace the old atomically,
	// unless opts.IfAbsent. No key may also be a directory of another key
	// (ErrInvalidKey where the store cannot have both). src may be opened more
	// than once and is not changed. A panic in src passes through.
	Put(ctx context.Context, key string, src Source, opts PutOptions) (ObjectInfo, error)

	// Get opens length bytes from off on; length < 0 is to the end. A missing
	// object is ErrNotFound from Get itself. off < 0 or off+length past the end
	// is ErrInvalidRange; length 0 is an empty reader. The reader fails with
	// io.ErrUnexpectedEOF when the store delivers less than it announced, and
	// with the context's error once ctx is done. It must be closed, may outlive
	// Close of the backend, and belongs to one goroutine.
	Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, ObjectInfo, error)

	// Stat returns what is known of an object without reading it, or ErrNotFound.
	Stat(ctx context.Context, key string) (ObjectInfo, error)

	// Delete removes an object; a missing one is success. After a crash of the
	// machine a deleted object may be back, whole.
	Delete(ctx context.Context, key string) error

	// ListStream calls fn once for each object whose key starts with prefix (a
	// plain string prefix: "h/1" finds "h/10/x"), one at a time, in no order
	// unless Capabilities.Sorted. Objects put or deleted meanwhile may or may
	// not be seen. Temporary and foreign names are not objects. No object under
	// prefix is no error; a store that is gone is ErrContainerNotFound, never an
	// empty list. An error of fn or of ctx stops it and is returned unwrapped.
	// Memory does not grow with the number of objects, if the store allows. fn
	// may use the backend, but not close it.
	ListStream(ctx context.Context, prefix string, fn func(ObjectInfo) error) error

	// Info describes the store. It may ask the store for its space.
	Info(ctx context.Context) (Info, error)

	// Close waits for running calls, then releases what is held; later calls
	// fail with ErrClosed. Closing again is success.
	Close() error
}

// RangeReader is an optional method of a backend that reads small ranges cheaply, tens
// of thousands in succession. Use it through [ReadRange].
type RangeReader interface {
	// ReadRange fills p from off on. It returns len(p) and nil, or an error:
	// ErrNotFound, ErrInvalidRange if the object ends before, or any other.
	ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error)
}

// Sorter is an optional method of a backend whose Info takes requests.
type Sorter interface {
	// Sorted is Capabilities.Sorted, as far as it is known without a request.
	Sorted() bool
}

// Clock is an optional method of a backend whose store tells its time with each answer.
// Use it through [As].
type Clock interface {
	// ClockDifference is this machine's wall clock less the store's, as the last answer had
	// it; false if there was none.
	ClockDifference() (time.Duration, bool)
}

// As finds an optional method in b, or in the backends that it passes its calls to.
func As[T any](b Backend) (method T, ok bool) {
	for {
		if method, ok = b.(T); ok {
			return method, true
		}
		outer, wraps := b.(interface{ Unwrap() Backend })
		if !wraps {
			return method, false
		}
		b = outer.Unwrap()
	}
}

// Source is what Put stores: bytes of known length that can be read again.
type Source interface {
	// Size returns the exact number of bytes.
	Size() int64
	// Open returns a new reader at the first byte. Where it also is an
	// io.ReaderAt a backend may read parts at once. The backend closes it once.
	Open() (io.ReadSeekCloser, error)
	// SHA256 returns the 32 bytes of the hash, or nil if it is not known. Stores
	// that check it (Capabilities.ServerChecksum) refuse others with ErrChecksum.
	SHA256() []byte
}

// PutOptions changes how Put works. The zero value replaces silently.
type PutOptions struct {
	// IfAbsent fails with ErrExists if the key is taken; of many at once
	// exactly one wins. ErrUnsupported where the store cannot promise that.
	IfAbsent bool
	// Progress, if set, is told how many of total bytes have been taken, in the
	// goroutine that called Put. The number may go down when Put starts again.
	Progress func(done, total int64)
}

// ObjectInfo is what a store says of an object.
type ObjectInfo struct {
	Key     string
	Size    int64     // bytes
	ModTime time.Time // when it was stored: by whose clock, see Capabilities.OwnTimes
	SHA256  []byte    // nil unless the store itself vouches for it
}

// Info describes an open store.
type Info struct {
	Kind     string // the scheme: "file", "mem"
	Location string // the URL without any secret
	Total    int64  // bytes of space in all; -1: not known
	Free     int64  // bytes that can still be written; -1: not known
	Capabilities
}

// Capabilities says what a store can do beyond the plain contract.
type Capabilities struct {
	ConditionalPut  bool // PutOptions.IfAbsent works
	AtomicReplace   bool // readers see the old or the new object while it is replaced
	ServerChecksum  bool // Source.SHA256 is checked before the object appears
	Sorted          bool // ListStream is in ascending order of keys
	RangeNative     bool // a ranged Get costs about its length, not the object's
	EmptyObjects    bool // objects of no bytes can be stored; else ErrUnsupported
	CaseInsensitive bool // names that differ in case only are one
	// OwnTimes says that ObjectInfo.ModTime is by one clock, that of the store, whichever
	// machine has put the object: times of two objects can be compared. S3 sets them itself,
	// and so does the file system of a directory, which for a network one is its server.
	// rclone sets most remotes' times to those of the machine that uploads.
	OwnTimes      bool
	MaxObjectSize int64 // bytes; 0: no limit known
	Connections   int   // calls at once that make sense
}
