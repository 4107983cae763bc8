// Package mem keeps objects in memory, for tests: mem://name.
//
// A [Space] is what a directory or a bucket is elsewhere; all handles opened on it
// see the same objects. Spaces opened by URL live until [Drop].
package mem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"vaultik/backends"
)

// Scheme is the scheme of this kind's URLs.
const Scheme = "mem"

// Space holds objects. The zero value is empty and ready.
type Space struct {
	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	data []byte // never changed once stored
	info backends.ObjectInfo
}

var spaces = struct {
	sync.Mutex
	byName map[string]*Space
}{byName: map[string]*Space{}}

func init() { backends.Register(Scheme, openURL) }

func openURL(_ context.Context, u *url.URL, o backends.Options) (backends.Backend, error) {
	location := backends.Redact(u.String())
	name := u.Host + u.Path
	spaces.Lock()
	defer spaces.Unlock()
	s := spaces.byName[name]
	switch {
	case name == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, &backends.OpError{Op: "open", Backend: location, Err: fmt.Errorf("%w: write mem://name", backends.ErrConfig)}
	case s == nil && (!o.Create || o.ReadOnly):
		return nil, &backends.OpError{Op: "open", Backend: location, Err: backends.ErrContainerNotFound}
	case s == nil:
		s = &Space{}
		spaces.byName[name] = s
	}
	b := s.Open(o)
	b.location = location
	return b, nil
}

// Drop forgets the space mem://name.
func Drop(name string) {
	spaces.Lock()
	defer spaces.Unlock()
	delete(spaces.byName, name)
}

// New returns a handle on a space of its own.
func New() *Backend { return new(Space).Open(backends.Options{}) }

// Open returns one more handle on the space. Only o.ReadOnly matters.
func (s *Space) Open(o backends.Options) *Backend {
	return &Backend{space: s, location: Scheme + "://", readOnly: o.ReadOnly}
}

// Backend is a handle on a space.
type Backend struct {
	space    *Space
	location string
	readOnly bool
	gate     backends.Gate
}

func (b *Backend) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return &backends.OpError{Op: op, Key: key, Backend: b.location, Err: err}
}

// enter begins a call about key; after nil the caller must leave the gate.
func (b *Backend) enter(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := backends.CheckKey(key); err != nil {
		return err
	}
	return b.gate.Enter()
}

// Put copies src into the space.
func (b *Backend) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := b.put(ctx, key, src, o)
	if err != nil {
		return backends.ObjectInfo{}, b.fail("put", key, err)
	}
	return info, nil
}

func (b *Backend) put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (none backends.ObjectInfo, err error) {
	if b.readOnly {
		return none, backends.ErrReadOnly
	}
	if err := b.enter(ctx, key); err != nil {
		return none, err
	}
	defer b.gate.Leave()
	if o.IfAbsent && b.has(key) {
		return none, backends.ErrExists
	}
	var buf bytes.Buffer
	if err := backends.Copy(ctx, &buf, src, o.Progress); err != nil {
		return none, err
	}
	info := backends.ObjectInfo{Key: key, Size: int64(buf.Len()), ModTime: time.Now()}
	if want := src.SHA256(); want != nil {
		if got := sha256.Sum256(buf.Bytes()); !bytes.Equal(got[:], want) {
			return none, fmt.Errorf("%w: got %x, want %x", backends.ErrChecksum, got, want)
		}
		info.SHA256 = bytes.Clone(want)
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return info, b.space.put(key, object{buf.Bytes(), info}, o.IfAbsent)
}

func (s *Space) put(key string, o object, ifAbsent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.objects[key]; taken && ifAbsent {
		return backends.ErrExists
	}
	if s.objects == nil {
		s.objects = map[string]object{}
	}
	s.objects[key] = o
	return nil
}

func (b *Backend) has(key string) bool {
	_, err := b.space.get(key)
	return err == nil
}

func (s *Space) get(key string) (object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, backends.ErrNotFound
	}
	return o, nil
}

// look begins a call and finds the object in one.
func (b *Backend) look(ctx context.Context, key string) (object, error) {
	if err := b.enter(ctx, key); err != nil {
		return object{}, err
	}
	defer b.gate.Leave()
	return b.space.get(key)
}

// Get reads a range of an object.
func (b *Backend) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	o, err := b.look(ctx, key)
	if err != nil {
		return nil, backends.ObjectInfo{}, b.fail("get", key, err)
	}
	size := int64(len(o.data))
	if length < 0 {
		length = size - off
	}
	if off < 0 || off > size || length > size-off {
		return nil, backends.ObjectInfo{}, b.fail("get", key, fmt.Errorf(
			"%w: %d bytes from %d of %d", backends.ErrInvalidRange, length, off, size))
	}
	return &reader{ctx, bytes.NewReader(o.data[off : off+length])}, o.public(), nil
}

type reader struct {
	ctx context.Context
	r   *bytes.Reader // nil once closed
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.r == nil {
		return 0, errors.New("read of a closed reader")
	}
	return r.r.Read(p)
}

func (r *reader) Close() error {
	r.r = nil
	return nil
}

// ReadRange copies a range of an object to p.
func (b *Backend) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	o, err := b.look(ctx, key)
	if err != nil {
		return 0, b.fail("get", key, err)
	}
	if size := int64(len(o.data)); off < 0 || off > size || int64(len(p)) > size-off {
		return 0, b.fail("get", key, fmt.Errorf("%w: %d bytes from %d of %d", backends.ErrInvalidRange, len(p), off, size))
	}
	return copy(p, o.data[off:]), nil
}

// Stat describes an object.
func (b *Backend) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	o, err := b.look(ctx, key)
	if err != nil {
		return backends.ObjectInfo{}, b.fail("stat", key, err)
	}
	return o.public(), nil
}

func (o object) public() backends.ObjectInfo {
	i := o.info
	i.SHA256 = bytes.Clone(i.SHA256)
	return i
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if b.readOnly {
		return b.fail("delete", key, backends.ErrReadOnly)
	}
	if err := b.enter(ctx, key); err != nil {
		return b.fail("delete", key, err)
	}
	defer b.gate.Leave()
	b.space.mu.Lock()
	defer b.space.mu.Unlock()
	delete(b.space.objects, key)
	return nil
}

// ListStream lists what there is when it is called, less what is deleted meanwhile.
func (b *Backend) ListStream(ctx context.Context, prefix string, fn func(backends.ObjectInfo) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := backends.CheckPrefix(prefix); err != nil {
		return b.fail("list", prefix, err)
	}
	if err := b.gate.Enter(); err != nil {
		return b.fail("list", prefix, err)
	}
	defer b.gate.Leave()
	b.space.mu.RLock()
	keys := slices.Sorted(maps.Keys(b.space.objects))
	b.space.mu.RUnlock()
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := b.space.get(key)
		if err != nil {
			continue
		}
		if err := fn(o.public()); err != nil {
			return err
		}
	}
	return nil
}

// Info describes the space, which has no limit.
func (b *Backend) Info(ctx context.Context) (backends.Info, error) {
	if err := ctx.Err(); err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	if err := b.gate.Enter(); err != nil {
		return backends.Info{}, b.fail("info", "", err)
	}
	defer b.gate.Leave()
	return backends.Info{
		Kind: Scheme, Location: b.location, Total: -1, Free: -1,
		Capabilities: backends.Capabilities{
			ConditionalPut: true, AtomicReplace: true, ServerChecksum: true, Sorted: true,
			RangeNative: true, EmptyObjects: true, Connections: 8, OwnTimes: true,
		},
	}, nil
}

// Close refuses later calls through this handle; the space stays.
func (b *Backend) Close() error {
	b.gate.Close()
	return nil
}
