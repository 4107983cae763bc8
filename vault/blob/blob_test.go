package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"vaultik/vault/keys"
)

func TestBlob_RoundTrip(t *testing.T) {
	r := newRand(t)
	for _, c := range []struct {
		name  string
		owner owner
		total int
	}{
		{"empty", classicOwner(), 0},
		{"one byte", classicOwner(), 1},
		{"small", classicOwner(), 10_000},
		{"under one request", classicOwner(), 200_000},
		{"many", classicOwner(), 5 << 20},
		{"post-quantum", newOwner(t, false, 0), 1 << 20},
		{"header of several requests", newOwner(t, false, 9), 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder(nil)
			want := build(b, someChunks(r, c.total))
			sealed, err := b.Seal(c.owner.recipients, c.owner.epoch)
			if err != nil {
				t.Fatal(err)
			}
			if sealed.Name != sha256.Sum256(sealed.Bytes) || sealed.Size != int64(len(sealed.Bytes)) || sealed.Epoch != c.owner.epoch.ID {
				t.Fatalf("%+v does not describe the blob", sealed.Info)
			}
			if len(sealed.Bytes) > SealedSize(len(want.plain), c.owner.recipients) {
				t.Fatalf("%d bytes exceed SealedSize", len(sealed.Bytes))
			}
			if int64(len(want.plain)) != Padme(int64(len(want.plain))) {
				t.Fatalf("plaintext of %d bytes is not a Padmé size", len(want.plain))
			}
			o := &object{bytes: bytes.Clone(sealed.Bytes)}
			ranged, err := Open(context.Background(), sealed.Info, o.fetch, c.owner.ids)
			if err != nil {
				t.Fatal(err)
			}
			checkContent(t, ranged, want)
			if !bytes.Equal(o.bytes, sealed.Bytes) {
				t.Fatal("reading changed what was fetched")
			}
			whole, err := OpenBytes(sealed.Info, sealed.Bytes, c.owner.ids)
			if err != nil {
				t.Fatal(err)
			}
			checkContent(t, whole, want)
		})
	}
}

// In place or not, whatever the sizes: the plaintext comes back.
func TestSeal_InPlaceAndApart(t *testing.T) {
	o, r := classicOwner(), newRand(t)
	many := newOwner(t, false, 24) // header beyond the headroom
	for _, n := range []int{0, 1, ageChunk - 1, ageChunk, ageChunk + 1, 2 * ageChunk, 9*ageChunk + 7, 40 * ageChunk} {
		for _, o := range []owner{o, many} {
			plain := mixed(r, n)
			whole := append(make([]byte, headroom), plain...)
			inPlace, err := seal(whole[:0:headroom], whole, whole[headroom:], o.recipients, o.epoch)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]byte, 5, SealedSize(n, o.recipients))
			apart, err := Seal(dst, plain, o.recipients, o.epoch)
			if err != nil {
				t.Fatal(err)
			}
			if &apart.Bytes[0] != &dst[0] {
				t.Errorf("%d bytes: allocated although SealedSize was given", n)
			}
			if small := len(o.recipients.Strings()) == 1; small != (&inPlace.Bytes[0] == &whole[0]) {
				t.Errorf("%d bytes: in place is %v", n, !small)
			}
			for _, s := range []Sealed{inPlace, apart} {
				rd, err := OpenBytes(s.Info, s.Bytes, o.ids)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := rd.Plain(context.Background(), 0, rd.Size()); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("%d bytes: %d back, %v", n, len(got), err)
				}
			}
		}
	}
}

func TestBuilder_BufferSizeIsEnough(t *testing.T) {
	o, r := classicOwner(), newRand(t)
	for _, total := range []int{1, 100_000, 2 << 20} {
		chunks := someChunks(r, total)
		trial := NewBuilder(nil)
		build(trial, chunks)
		b := NewBuilder(nil)
		for _, row := range trial.Rows() {
			b.AddFrame(nil, []Row{row})
		}
		b.AddFrame(trial.Finish(), nil)
		buf := make([]byte, 0, BufferSize(b.Len()))
		again := NewBuilder(buf)
		again.AddFrame(trial.Finish(), b.Rows())
		if again.Len() != b.Len() {
			t.Fatalf("length %d, not %d", again.Len(), b.Len())
		}
		sealed, err := again.Seal(o.recipients, o.epoch)
		if err != nil || &sealed.Bytes[0] != &buf[:1][0] {
			t.Fatalf("%d bytes: moved to another buffer, %v", total, err)
		}
	}
}

func TestBuilder_Reset(t *testing.T) {
	r := newRand(t)
	b := NewBuilder(nil)
	first := build(b, someChunks(r, 100_000))
	rows := slices.Clone(first.rows)
	if n := b.Len(); n != len(first.plain) || b.Empty() || !bytes.Equal(b.Finish(), first.plain) {
		t.Fatalf("after Finish: %d bytes", n)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a finished blob takes frames")
			}
		}()
		b.AddFrame([]byte("x"), nil)
	}()
	b.Reset()
	if !b.Empty() || b.Len() != tableEmpty || len(b.Rows()) != 0 {
		t.Fatal("not empty after Reset")
	}
	build(b, someChunks(r, 50_000))
	if !slices.Equal(rows, first.rows) {
		t.Fatal("rows changed by a later blob")
	}
}

// What the format promises to somebody who has no Vaultik.
func TestBlob_StandardTools(t *testing.T) {
	o, r := newOwner(t, false, 0), newRand(t)
	b := NewBuilder(nil)
	want := build(b, someChunks(r, 2<<20))
	sealed, err := b.Seal(o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, file := write("key", []byte(o.secret+"\n")), write("blob", sealed.Bytes)
	got, err := exec.Command("sh", "-c", `age -d -i "$1" "$2" | zstd -d`, "sh", key, file).Output()
	if err != nil {
		t.Fatalf("age and zstd must be installed: %v", err)
	}
	if !bytes.Equal(got, bytes.Join(want.chunks, nil)) {
		t.Fatalf("age | zstd yields %d bytes that are not the chunks", len(got))
	}
	row := want.rows[len(want.rows)/2]
	cut := `age -d -i "$1" "$2" | tail -c +$(($3+1)) | head -c $4 | zstd -d | tail -c +$(($5+1)) | head -c $6`
	got, err = exec.Command("sh", append([]string{"-c", cut, "sh", key, file}, decimals(row.Span)...)...).Output()
	if err != nil || !bytes.Equal(got, want.chunks[len(want.rows)/2]) {
		t.Fatalf("one chunk by its reference: %d bytes, %v", len(got), err)
	}
	sum, err := exec.Command("sha256sum", file).Output()
	if err != nil || !strings.HasPrefix(string(sum), sealed.Name.String()) {
		t.Fatalf("sha256sum says %s, %v", sum, err)
	}
}

func TestReader_FewRequests(t *testing.T) {
	o, r := classicOwner(), newRand(t)
	b := NewBuilder(nil)
	want := build(b, [][]byte{mixed(r, 3<<20), mixed(r, 3<<20), mixed(r, 3<<20), mixed(r, 1<<20)})
	sealed, err := b.Seal(o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	ctx, d := context.Background(), NewDecompressor()
	open := func(t *testing.T) (*object, *Reader) {
		obj := &object{bytes: sealed.Bytes}
		rd, err := Open(ctx, sealed.Info, obj.fetch, o.ids)
		if err != nil {
			t.Fatal(err)
		}
		return obj, rd
	}
	frame := func(t *testing.T, rd *Reader, i int) {
		t.Helper()
		s := want.rows[i].Span
		got, err := rd.Frame(ctx, d, nil, s.FrameOff, s.FrameLen, int(s.Len))
		if err != nil || !bytes.Equal(got, want.chunks[i]) {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	t.Run("a frame: head, range, tail", func(t *testing.T) {
		obj, rd := open(t)
		frame(t, rd, 1)
		if len(obj.calls) != 3 {
			t.Fatal(obj.calls)
		}
		frame(t, rd, 0)
		if _, err := rd.Table(ctx); err != nil || len(obj.calls) != 4 {
			t.Fatal(obj.calls, err)
		}
	})
	t.Run("a frame near the end: one range", func(t *testing.T) {
		obj, rd := open(t)
		frame(t, rd, 3)
		if len(obj.calls) != 2 {
			t.Fatal(obj.calls)
		}
	})
	t.Run("Load: one range for many frames", func(t *testing.T) {
		obj, rd := open(t)
		last := want.rows[3].Span
		if err := rd.Load(ctx, 0, int64(last.FrameOff+last.FrameLen)); err != nil {
			t.Fatal(err)
		}
		n := len(obj.calls)
		for i := range want.chunks {
			frame(t, rd, i)
		}
		if n > 3 || len(obj.calls) != n {
			t.Fatal(obj.calls)
		}
	})
	t.Run("many goroutines", func(t *testing.T) {
		_, rd := open(t)
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				d, s := NewDecompressor(), want.rows[i%4].Span
				got, err := rd.Frame(ctx, d, nil, s.FrameOff, s.FrameLen, -1)
				if err != nil || !bytes.Equal(got, want.chunks[i%4]) {
					t.Errorf("frame %d: %v", i, err)
				}
				if err := rd.Load(ctx, int64(s.FrameOff), int64(s.FrameLen)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	})
	t.Run("errors of fetch are passed on", func(t *testing.T) {
		obj, rd := open(t)
		obj.err = os.ErrDeadlineExceeded
		if _, err := rd.Plain(ctx, 0, 10); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		obj.err = nil
		frame(t, rd, 1)
		if _, err := Open(ctx, sealed.Info, (&object{err: os.ErrPermission}).fetch, o.ids); !errors.Is(err, os.ErrPermission) {
			t.Fatal(err)
		}
	})
	t.Run("ranges outside", func(t *testing.T) {
		_, rd := open(t)
		for _, c := range [][2]int64{{-1, 2}, {0, rd.Size() + 1}, {rd.Size(), 1}, {1, -1}, {1 << 62, 1 << 62}} {
			if _, err := rd.Plain(ctx, c[0], c[1]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%v: %v", c, err)
			}
			if err := rd.Load(ctx, c[0], c[1]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%v: %v", c, err)
			}
		}
	})
}

func TestOpen_Identities(t *testing.T) {
	o, other := classicOwner(), newOwner(t, true, 0)
	sealed, err := Seal(nil, bytes.Repeat([]byte("x"), 1<<20), o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	broken := brokenIdentity{keys.ErrPlugin}
	for _, c := range []struct {
		name string
		ids  []age.Identity
		want error
	}{
		{"the right one", o.ids, nil},
		{"after others", append([]age.Identity{broken, other.ids[0]}, o.ids...), nil},
		{"another", other.ids, ErrNoIdentity},
		{"none", nil, ErrNoIdentity},
		{"a plugin that fails", []age.Identity{broken, other.ids[0]}, keys.ErrPlugin},
	} {
		for how, open := range openers(sealed.Bytes) {
			_, err := open(sealed.Info, c.ids)
			if !errors.Is(err, c.want) || c.want != nil && errors.Is(err, ErrDamaged) {
				t.Errorf("%s, %s: %v", c.name, how, err)
			}
			if c.want != nil && !strings.Contains(err.Error(), sealed.Name.String()) {
				t.Errorf("%s, %s: %v does not name the blob", c.name, how, err)
			}
		}
	}
}

type brokenIdentity struct{ err error }

func (b brokenIdentity) Unwrap([]*age.Stanza) ([]byte, error) { return nil, b.err }

// openers are both ways to read all of a blob.
func openers(b []byte) map[string]func(Info, []age.Identity) ([]byte, error) {
	all := func(r *Reader, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		return r.Plain(context.Background(), 0, r.Size())
	}
	return map[string]func(Info, []age.Identity) ([]byte, error){
		"whole": func(i Info, ids []age.Identity) ([]byte, error) {
			return all(OpenBytes(i, bytes.Clone(b), ids))
		},
		"ranged": func(i Info, ids []age.Identity) ([]byte, error) {
			return all(Open(context.Background(), i, (&object{bytes: b}).fetch, ids))
		},
	}
}

func TestOpen_RefusesDamage(t *testing.T) {
	o, r := classicOwner(), newRand(t)
	plain := mixed(r, 700_000) // more than wholeFetch
	sealed, err := Seal(nil, plain, o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := Seal(nil, mixed(r, len(plain)), o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	n := headerLen(sealed.Bytes)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(sealed.Bytes)) }
	cases := map[string][]byte{
		"empty":            {},
		"truncated by one": sealed.Bytes[:len(sealed.Bytes)-1],
		"cut at a chunk":   sealed.Bytes[:n+3*ageEncChunk],
		"only the header":  sealed.Bytes[:n],
		"substituted by a file for the same recipient": twin.Bytes,
		"payload of another file":                      edit(func(b []byte) []byte { return append(b[:n], twin.Bytes[n:]...) }),
		"header of another file":                       edit(func(b []byte) []byte { return append(bytes.Clone(twin.Bytes[:n]), b[n:]...) }),
		"one byte more":                                edit(func(b []byte) []byte { return append(b, 0) }),
		"chunks swapped": edit(func(b []byte) []byte {
			c := bytes.Clone(b[n : n+ageEncChunk])
			copy(b[n:], b[n+ageEncChunk:n+2*ageEncChunk])
			copy(b[n+ageEncChunk:], c)
			return b
		}),
		"zeros": make([]byte, len(sealed.Bytes)),
	}
	for _, at := range []int{0, 1, 30, n - ageNonce - 2, n - 1, n, n + ageEncChunk, len(sealed.Bytes) / 2, len(sealed.Bytes) - 1, r.IntN(len(sealed.Bytes))} {
		cases["flip at "+decimals(Span{FrameOff: uint32(at)})[0]] = edit(func(b []byte) []byte { b[at] ^= 1; return b })
	}
	for name, b := range cases {
		for how, open := range openers(b) {
			same := sealed.Info
			unseen := name == "one byte more" && how == "ranged" // what stands behind the file is never read
			if got, err := open(same, o.ids); !errors.Is(err, ErrDamaged) && !unseen {
				t.Errorf("%s, %s: %d bytes, %v", name, how, len(got), err)
			}
			// The attacker may be who tells the size.
			if same.Size = int64(len(b)); same.Size == sealed.Size {
				continue
			}
			if got, err := open(same, o.ids); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, size adapted, %s: %d bytes, %v", name, how, len(got), err)
			}
		}
	}
	for _, size := range []int64{MaxSize + 1, 1 << 62} {
		huge := sealed.Info
		huge.Size = size
		if _, err := Open(context.Background(), huge, nil, o.ids); !errors.Is(err, ErrTooLarge) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}
