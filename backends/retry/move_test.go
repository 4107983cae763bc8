package retry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
	"vaultik/backends/faulty"
	"vaultik/backends/mem"
	"vaultik/internal/testsize"
)

// plain hides what a store vouches for, its order and its own way to read ranges.
type plain struct{ backends.Backend }

func (p plain) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	info, err := p.Backend.Stat(ctx, key)
	info.SHA256 = nil
	return info, err
}

func (p plain) Info(ctx context.Context) (backends.Info, error) {
	info, err := p.Backend.Info(ctx)
	info.Sorted = false
	return info, err
}

func plainStore(t *testing.T, o Options) *store {
	t.Helper()
	s := newStore(t, o)
	s.inner, s.caps = plain{s.faulty}, nil
	return s
}

// A reader that breaks at any byte goes on there.
func TestGet_Resumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainStore(t, Options{Connections: 1})
		data := random(2, 100_000)
		s.has(t, "x", data)
		r := rand.New(rand.NewPCG(testsize.Seed(t), 1))
		for range 50 {
			s.faulty.Heal()
			cut := 1 + r.Int64N(20_000)
			s.faulty.Add(faulty.Rule{Op: faulty.Get, Do: faulty.Short(cut)})
			off := r.Int64N(int64(len(data)))
			length := r.Int64N(int64(len(data))-off+1) - 1
			end := off + length
			if length < 0 {
				end = int64(len(data))
			}
			s.retries = nil
			in, info, err := s.Get(t.Context(), "x", off, length)
			if err != nil || info.Size != int64(len(data)) {
				t.Fatal(info, err)
			}
			got, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(got, data[off:end]) {
				t.Fatalf("%d bytes from %d in pieces of %d: %d bytes, %v", length, off, cut, len(got), err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if want := max(0, int(end-off)-1) / int(cut); len(s.retries) != want {
				t.Errorf("%d bytes in pieces of %d: %d retries, want %d", end-off, cut, len(s.retries), want)
			}
			for _, r := range s.retries {
				if r.Wait != time.Second {
					t.Errorf("a wait of %v although there is headway", r.Wait)
				}
			}
		}
		got, err := backends.ReadRange(t.Context(), s, "x", 5, 50_000, nil)
		if err != nil || !bytes.Equal(got, data[5:50_005]) {
			t.Errorf("ReadRange: %d bytes, %v", len(got), err)
		}
	})
}

// A reader that breaks without a byte gives up like any other call; an outage in the
// middle only lasts.
func TestGet_Outage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Connections: 1})
		data := random(3, 1000)
		s.has(t, "x", data)
		s.faulty.Add(faulty.Rule{Op: faulty.Get, Nth: 1, Do: faulty.Short(300)}, down(faulty.Get, 0))
		in, _, err := s.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		s.faulty.Add(down(faulty.Get, 2*time.Minute))
		began := time.Now()
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		wantTook(t, began, 2*time.Minute, 3*time.Minute)
		if len(s.backs) != 1 {
			t.Errorf("back %v", s.backs)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		s.faulty.Heal()
		s.faulty.Add(faulty.Rule{Op: faulty.Get, Do: faulty.Short(0)})
		began = time.Now()
		_, err = backends.ReadRange(t.Context(), s, "x", 0, -1, nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !backends.Retryable(err) {
			t.Errorf("%v", err)
		}
		wantTook(t, began, 15*time.Minute, 15*time.Minute)
	})
}

// A reader that has told its user of an error or its end keeps to it.
func TestGet_Ends(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{Connections: 1})
		data := random(4, 100)
		s.has(t, "x", data)
		in, _, err := s.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for range 2 {
			if n, err := in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %d, %v", n, err)
			}
		}
		for range 2 {
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := in.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("after Close: %v", err)
		}
		// Gone, or another one, when it is opened again.
		for _, now := range [][]byte{nil, random(5, 99), random(6, 101)} {
			s.has(t, "y", data)
			s.faulty.Heal()
			s.faulty.Add(faulty.Rule{Op: faulty.Get, Nth: 1, Do: faulty.Short(50)})
			in, _, err := s.Get(t.Context(), "y", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if now == nil {
				err = s.mem.Delete(t.Context(), "y")
			} else {
				s.has(t, "y", now)
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(in)
			if !bytes.Equal(got, data[:50]) || err == nil || backends.Retryable(err) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if now == nil != errors.Is(err, backends.ErrNotFound) || now != nil && !errors.Is(err, backends.ErrInvalidRange) && !strings.Contains(err.Error(), "changed while it was read") {
				t.Errorf("%v", err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A list that breaks tells every name once, in order or not.
func TestList_Resumes(t *testing.T) {
	for name, open := range map[string]func(*testing.T, Options) *store{"sorted": newStore, "unsorted": plainStore} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, Options{})
				var want []string
				for i := range 100 {
					key := fmt.Sprintf("a/%03d", i)
					s.has(t, key, nil)
					want = append(want, key)
				}
				for i := range 10 {
					s.faulty.Add(faulty.Rule{Op: faulty.List, Nth: i + 1, Do: faulty.Short(int64(i * 9))})
				}
				list, err := backends.List(t.Context(), s, "a/")
				var got []string
				for _, o := range list {
					got = append(got, o.Key)
				}
				if err != nil || !slices.Equal(got, want) || len(s.retries) != 10 {
					t.Errorf("%d names after %d retries, %v", len(got), len(s.retries), err)
				}
			})
		})
	}
}

// What the user's function says is returned as it is, and not tried again.
func TestList_Stops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.has(t, "x", nil)
		stop := &backends.OpError{Op: "mine", Retryable: true, Err: errDown}
		if err := s.ListStream(t.Context(), "", func(backends.ObjectInfo) error { return stop }); err != error(stop) { //nolint:errorlint // not wrapped
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := s.ListStream(ctx, "", func(backends.ObjectInfo) error {
			cancel()
			s.has(t, "y", nil)
			return nil
		})
		if err != nil && err != context.Canceled { //nolint:errorlint // not wrapped
			t.Errorf("%v", err)
		}
		s.faulty.Add(faulty.Rule{Op: faulty.List, Do: faulty.Fail(refused())})
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.ListStream(ctx, "", nil); err != context.DeadlineExceeded { //nolint:errorlint // not wrapped
			t.Errorf("%v", err)
		}
	})
}

// A Put whose answer was lost is not sent again where the store vouches for the
// bytes it has; elsewhere it is, and is the same.
func TestPut_AnswerLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		data := random(7, 1000)
		for _, c := range []struct {
			name   string
			s      *store
			before []byte // in the store, of the same size
			puts   int
		}{
			{"vouched", newStore(t, Options{}), nil, 1}, {"vouched, over another", newStore(t, Options{}), random(8, 1000), 1},
			{"plain", plainStore(t, Options{}), nil, 2}, {"plain, over another", plainStore(t, Options{}), random(8, 1000), 2},
		} {
			if c.before != nil {
				c.s.has(t, "x", c.before)
			}
			c.s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.FailAfter(refused())})
			sum := sha(data)
			if _, err := c.s.Put(t.Context(), "x", backends.Bytes(data, &sum), backends.PutOptions{}); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			c.s.want(t, "x", data)
			if n := c.s.faulty.Calls(faulty.Put); n != c.puts {
				t.Errorf("%s: sent %d times, want %d", c.name, n, c.puts)
			}
			// The request was lost, not the answer: what is there is another one.
			c.s.has(t, "x", random(8, 1000))
			c.s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.Short(999)}, faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.Fail(refused())})
			if _, err := c.s.Put(t.Context(), "x", backends.Bytes(data, &sum), backends.PutOptions{}); err != nil {
				t.Errorf("%s, request lost: %v", c.name, err)
			}
			c.s.want(t, "x", data)
		}
	})
}

// IfAbsent after a lost answer: our own object in the way is success, any other is not.
func TestPut_IfAbsentAnswerLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		data, other := random(7, 200_000), random(8, 200_000)
		sum := sha(data)
		for name, open := range map[string]func(*testing.T, Options) *store{"vouched": newStore, "plain": plainStore} {
			for _, hash := range []*[32]byte{&sum, nil} {
				src := backends.Bytes(data, hash)
				s := open(t, Options{Connections: 1})
				s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.FailAfter(refused())})
				info, err := s.Put(t.Context(), "x", src, backends.PutOptions{IfAbsent: true})
				if err != nil || info.Size != int64(len(data)) || info.Key != "x" {
					t.Errorf("%s: %+v, %v", name, info, err)
				}
				s.want(t, "x", data)

				for _, in := range [][]byte{other, data[1:], nil} {
					s.has(t, "y", in)
					s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.Fail(refused())})
					if _, err := s.Put(t.Context(), "y", src, backends.PutOptions{IfAbsent: true}); !errors.Is(err, backends.ErrExists) {
						t.Errorf("%s, another object of %d bytes: %v", name, len(in), err)
					}
					s.want(t, "y", in)
				}
				// At the first attempt nothing can be ours.
				s.faulty.Heal()
				s.has(t, "y", data)
				reads := s.faulty.Calls(faulty.Get) + s.faulty.Calls(faulty.Stat)
				if _, err := s.Put(t.Context(), "y", src, backends.PutOptions{IfAbsent: true}); !errors.Is(err, backends.ErrExists) {
					t.Errorf("%s, first attempt: %v", name, err)
				}
				if n := s.faulty.Calls(faulty.Get) + s.faulty.Calls(faulty.Stat); n != reads {
					t.Errorf("%s: read what is there", name)
				}
				// What stood in the way has gone when it is looked at.
				s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Do: faulty.Fail(refused())}, faulty.Rule{Op: faulty.Stat, Nth: 1, Do: faulty.Tell(func(faulty.Op, string) {
					if err := s.mem.Delete(t.Context(), "y"); err != nil {
						t.Error(err)
					}
				})})
				if _, err := s.Put(t.Context(), "y", src, backends.PutOptions{IfAbsent: true}); err != nil {
					t.Errorf("%s, vanished: %v", name, err)
				}
				s.want(t, "y", data)
				// Nobody can say: neither success nor failure is claimed.
				s.faulty.Heal()
				s.faulty.Add(faulty.Rule{Op: faulty.Put, Key: "z", Nth: 1, Do: faulty.FailAfter(refused())}, faulty.Rule{Op: faulty.Stat, Do: faulty.Fail(backends.ErrPermission)})
				_, err = s.Put(t.Context(), "z", src, backends.PutOptions{IfAbsent: true})
				if !errors.Is(err, backends.ErrExists) || !errors.Is(err, backends.ErrPermission) || !strings.Contains(err.Error(), "may have succeeded") {
					t.Errorf("%s, not readable: %v", name, err)
				}
			}
		}
	})
}

// Bytes that arrive as others are sent three times, no more.
func TestPut_Checksum(t *testing.T) {
	bubble(t, func(t *testing.T) {
		data := random(7, 1000)
		sum := sha(data)
		wrong := &backends.OpError{Retryable: true, Err: backends.ErrChecksum}
		for fails, ok := range []bool{true, true, true, false} {
			s := newStore(t, Options{})
			s.faulty.Add(faulty.Rule{Op: faulty.Put, Nth: 1, Times: fails, Do: faulty.Fail(wrong)})
			if fails == 0 {
				s.faulty.Heal()
			}
			_, err := s.Put(t.Context(), "x", backends.Bytes(data, &sum), backends.PutOptions{})
			if ok != (err == nil) || !ok && !errors.Is(err, backends.ErrChecksum) || s.faulty.Calls(faulty.Put) != min(fails+1, 3) {
				t.Errorf("%d failures: %v, sent %d times", fails, err, s.faulty.Calls(faulty.Put))
			}
		}
	})
}

// A Put that gets no further at each attempt ends; the user sees it go back.
func TestPut_CutAtByte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.faulty.Add(faulty.Rule{Op: faulty.Put, Do: faulty.Short(700_000)})
		s.inner = cutting{s.inner}
		data := random(9, 1<<20)
		var seen []int64
		began := time.Now()
		_, err := s.Put(t.Context(), "x", onlySeek{backends.Bytes(data, nil)}, backends.PutOptions{Progress: func(done, total int64) {
			if total != 1<<20 {
				t.Errorf("%d of %d", done, total)
			}
			seen = append(seen, done)
		}})
		if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, backends.ErrUnreachable) {
			t.Errorf("%v", err)
		}
		wantTook(t, began, 15*time.Minute, 15*time.Minute)
		if back := slices.ContainsFunc(seen[1:], func(n int64) bool { return n < seen[0]+1 }); !back {
			t.Errorf("progress never goes back: %v", seen)
		}
	})
}

// cutting says of a body that was cut that it may arrive whole another time.
type cutting struct{ backends.Backend }

func (c cutting) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (backends.ObjectInfo, error) {
	info, err := c.Backend.Put(ctx, key, src, o)
	if err != nil {
		err = &backends.OpError{Op: "put", Retryable: true, Err: err}
	}
	return info, err
}

// onlySeek makes a source one that is read in blocks.
type onlySeek struct{ backends.Source }

// ReadRange of small ranges is that of the backend inside, of large ones a Get that
// shows that it moves.
func TestReadRange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		data := random(10, 3<<20)
		s.has(t, "x", data)
		counting := &ranges{Backend: s.mem}
		s.inner = counting
		for _, n := range []int64{1, 1 << 20, 1<<20 + 1, 3 << 20} {
			got, err := backends.ReadRange(t.Context(), s, "x", 0, n, nil)
			if err != nil || !bytes.Equal(got, data[:n]) {
				t.Errorf("%d bytes: %d, %v", n, len(got), err)
			}
		}
		if counting.ranges != 2 || counting.gets != 2 {
			t.Errorf("%d ranges, %d gets", counting.ranges, counting.gets)
		}
		for _, n := range []int64{2, 2 << 20} {
			if _, err := backends.ReadRange(t.Context(), s, "x", 3<<20-1, n, nil); !errors.Is(err, backends.ErrInvalidRange) {
				t.Errorf("%d bytes past the end: %v", n, err)
			}
		}
	})
}

// ranges counts which way is taken.
type ranges struct {
	*mem.Backend
	ranges, gets int
}

func (r *ranges) ReadRange(ctx context.Context, key string, p []byte, off int64) (int, error) {
	r.ranges++
	return r.Backend.ReadRange(ctx, key, p, off)
}

func (r *ranges) Get(ctx context.Context, key string, off, length int64) (io.ReadCloser, backends.ObjectInfo, error) {
	r.gets++
	return r.Backend.Get(ctx, key, off, length)
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

// orderly is a store that knows its order, but must be asked for the rest.
type orderly struct{ backends.Backend }

func (orderly) Sorted() bool { return true }

func (orderly) Info(context.Context) (backends.Info, error) { panic("Info takes requests") }

// A list asks the store for nothing else if the order is known.
func TestList_OrderIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.has(t, "x", nil)
		s.inner, s.caps = faulty.New(orderly{s.mem}), nil
		if all, err := backends.List(t.Context(), s, ""); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
