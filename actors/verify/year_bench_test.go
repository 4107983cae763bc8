package verify_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vaultik/actors/jobtest"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// BenchmarkYear prints what a year of hourly snapshots of 1 TB costs whoever reads the store:
// 75,000 blobs, to which each hour adds one, half of them for a day and half for a year; five
// times a day four of the old ones go.
func BenchmarkYear(b *testing.B) {
	for b.Loop() {
		y := newYear(b, 75_000)
		for range 365 * 24 {
			y.hour()
		}
		fmt.Print(y.measure())
	}
}

// year is a store that seems to have blobs and roots that nobody has made.
type year struct {
	backends.Backend
	tb       testing.TB
	h        *jobtest.Host
	rng      *rand.Rand
	names    *rand.ChaCha8
	blobs    []yearBlob
	key      snapshot.KeyRef
	seq      uint64
	prev     snapshot.Sum
	lists    map[[3]string]snapshot.ListRef
	made     map[string]int64 // sizes of what seems to be there
	requests atomic.Int64
	bytes    atomic.Int64 // read
}

type yearBlob struct {
	snapshot.BlobSize
	until uint64 // the last snapshot that needs it
	group int    // of old blobs that go together; -1: none
}

func newYear(tb testing.TB, blobs int) *year {
	h := jobtest.New(tb)
	y := &year{Backend: h.Store, tb: tb, h: h, rng: rand.New(rand.NewPCG(1, 1)),
		names: rand.NewChaCha8([32]byte{1}), lists: map[[3]string]snapshot.ListRef{},
		made: map[string]int64{}}
	for i := range blobs {
		y.add(1<<62, i/4)
	}
	return y
}

func (y *year) add(until uint64, group int) {
	s := yearBlob{snapshot.BlobSize{Size: 10<<20 + y.rng.Int64N(6<<20)}, until, group}
	_, _ = y.names.Read(s.Name[:])
	y.blobs = append(y.blobs, s)
	y.made[layout.Blob(y.h.Host.ID, s.Name)] = s.Size
}

// hour adds a snapshot.
func (y *year) hour() {
	y.seq++
	mean, gone := 24.0, -2
	if y.rng.IntN(2) == 0 {
		mean = 365 * 24
	}
	y.add(y.seq+1+uint64(y.rng.ExpFloat64()*mean), -1)
	if y.rng.IntN(24) < 5 {
		gone = y.rng.IntN(75_000 / 4)
	}
	y.blobs = slices.DeleteFunc(y.blobs, func(b yearBlob) bool {
		return b.until < y.seq || b.group == gone
	})
	needed := make([]snapshot.BlobSize, len(y.blobs))
	for i := range y.blobs {
		needed[i] = y.blobs[i].BlobSize
	}
	if y.seq%(30*24) == 1 {
		b := make([]byte, 1955)
		_, _ = y.names.Read(b)
		y.key = snapshot.KeyRef{Size: int64(len(b)), SHA256: sha256.Sum256(b)}
		_, _ = y.names.Read(y.key.Epoch[:])
		y.h.Put(layout.EpochKey(y.h.Host.ID, y.key.Epoch, 0), b)
	}
	m := snapshot.Manifest{Store: y.h.Opened.Doc.Store, Host: y.h.Host.ID, Set: y.h.Set, Seq: y.seq,
		Prev: y.prev, Time: time.Unix(1_700_000_000+3600*int64(y.seq), 0), Complete: true,
		Root: snapshot.RootRef{Size: 2000}, Recipients: y.h.Recips.Sum(),
		Needs: snapshot.Needs{Keys: []snapshot.KeyRef{y.key}, Count: int64(len(needed)),
			Bytes: snapshot.TotalSize(needed)}}
	_, _ = y.names.Read(m.Root.Name[:])
	y.made[layout.Root(m.Host, m.Root.Name)] = m.Root.Size
	var lists [][]snapshot.BlobSize
	lists, m.Blobs = snapshot.CutBlobLists(needed)
	for _, l := range lists {
		m.Lists = append(m.Lists, y.list(l))
	}
	b, err := snapshot.EncodeManifest(&m, y.h.Host.Signer)
	jobtest.Must(y.tb, err)
	y.h.Put(layout.Manifest(m.Host, m.Set, m.Seq), b)
	y.prev = snapshot.Sum(sha256.Sum256(b))
}

// list stores a list, if it is a new one.
func (y *year) list(l []snapshot.BlobSize) snapshot.ListRef {
	k := [3]string{l[0].Name.String(), l[len(l)-1].Name.String(), fmt.Sprint(len(l))}
	if ref, ok := y.lists[k]; ok {
		return ref // nothing is ever put between two blobs
	}
	b, err := snapshot.EncodeBlobList(l, 0)
	jobtest.Must(y.tb, err)
	ref := snapshot.ListRef{Name: sha256.Sum256(b), Size: int64(len(b)), Count: int64(len(l))}
	y.h.Put(layout.BlobList(y.h.Host.ID, ref.Name), b)
	y.lists[k] = ref
	return ref
}

// kept is a cache without a bound.
type kept struct{ sync.Map }

func (k *kept) Get(sum [32]byte, _ int64) []byte {
	b, _ := k.Load(sum)
	data, _ := b.([]byte)
	return data
}

func (k *kept) Put(sum [32]byte, b []byte) { k.Store(sum, b) }

func (y *year) measure() string {
	var out strings.Builder
	objects, bytes := y.total()
	fmt.Fprintf(&out, "\n%d snapshots, %d blobs needed by the newest, %d blob lists in the store; "+
		"a backup has put %.2f objects and %d bytes on the average beside blobs and root\n\n",
		y.seq, len(y.blobs), len(y.lists), float64(objects)/float64(y.seq), bytes/int64(y.seq))
	out.WriteString("| what is read | CPU seconds | requests | MB |\n| --- | ---: | ---: | ---: |\n")
	row := func(what string, do func()) {
		y.requests.Store(0)
		y.bytes.Store(0)
		before := cpu(y.tb)
		do()
		fmt.Fprintf(&out, "| %s | %.1f | %d | %.2f |\n", what, (cpu(y.tb) - before).Seconds(),
			y.requests.Load(), float64(y.bytes.Load())/1e6)
	}
	cache := new(kept)
	var all []*snapshot.Loaded
	read := func(c snapshot.Cache, light bool) *snapshot.Store {
		s, err := snapshot.OpenStore(y.tb.Context(), backends.Objects(y), snapshot.Pin{})
		jobtest.Must(y.tb, err)
		s.Cache, s.WithoutBlobs = c, light
		var problems []snapshot.Problem
		all, problems, err = s.Manifests(y.tb.Context(), snapshot.Filter{})
		jobtest.Must(y.tb, err)
		if len(problems) > 0 || len(all) != int(y.seq) {
			y.tb.Fatalf("%d manifests, %v", len(all), problems)
		}
		return s
	}
	row("`snapshots`, for the first time", func() { read(cache, true) })
	y.hour()
	row("`snapshots`, one hour later", func() { read(cache, true) })
	row("`verify`", func() {
		r, err := verify.Run(y.tb.Context(), y.h.System,
			&verify.Spec{Store: y, Opened: read(nil, false), Snapshots: all, Parallel: 8})
		jobtest.Must(y.tb, err)
		if r.Found != 0 {
			y.tb.Fatalf("%d problems, such as %+v", r.Found, r.Problems[0])
		}
	})
	return out.String()
}

// cpu is the time that this process has computed.
func cpu(tb testing.TB) time.Duration {
	var r syscall.Rusage
	jobtest.Must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// total is how many objects were put, and their bytes.
func (y *year) total() (n, bytes int64) {
	jobtest.Must(y.tb, y.Backend.ListStream(y.tb.Context(), "", func(o backends.ObjectInfo) error {
		n, bytes = n+1, bytes+o.Size
		return nil
	}))
	return n, bytes
}

// Get implements backends.Backend.
func (y *year) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser,
	backends.ObjectInfo, error) {
	y.requests.Add(1)
	r, info, err := y.Backend.Get(ctx, key, off, n)
	y.bytes.Add(info.Size)
	return r, info, err
}

// ListStream implements backends.Backend.
func (y *year) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	n := 0
	defer func() { y.requests.Add(1 + int64(n/1000)) }() // the pages of S3
	for key, size := range y.made {
		if strings.HasPrefix(key, prefix) {
			n++
			if err := fn(backends.ObjectInfo{Key: key, Size: size}); err != nil {
				return err
			}
		}
	}
	return y.Backend.ListStream(ctx, prefix, func(o backends.ObjectInfo) error {
		n++
		return fn(o)
	})
}
