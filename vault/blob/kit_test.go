package blob

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"vaultik/internal/testsize"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
)

// owner is somebody who can open blobs.
type owner struct {
	secret     string
	recipients keys.Recipients
	epoch      keys.EpochKey
	ids        []age.Identity
}

func newOwner(t testing.TB, classic bool, more int) owner {
	t.Helper()
	var o owner
	var list []string
	for i := range more + 1 {
		secret, recipient, err := keys.Generate(classic)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, recipient)
		if i == 0 {
			o.secret = secret
		}
	}
	var err error
	if o.recipients, err = keys.ParseRecipients(list); err != nil {
		t.Fatal(err)
	}
	if o.epoch, _, err = keys.NewEpoch(o.recipients, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	id, err := keys.ParseIdentity(o.secret)
	if err != nil {
		t.Fatal(err)
	}
	o.ids = id.Age()
	return o
}

var classicOwner = sync.OnceValue(func() owner { return newOwner(&testing.T{}, true, 0) })

func newRand(t testing.TB) *rand.Rand {
	return rand.New(rand.NewPCG(testsize.Seed(t), 1))
}

// mixed returns n bytes, half of them compressible.
func mixed(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+64)
	for len(b) < n {
		if r.IntN(2) == 0 {
			b = fmt.Appendf(b, "line %d of a text that repeats itself\n", r.IntN(100))
		} else {
			for range 32 {
				b = append(b, byte(r.Uint32()))
			}
		}
	}
	return b[:n]
}

// built is a blob with what was put into it.
type built struct {
	chunks [][]byte
	rows   []Row
	plain  []byte
}

// build fills b with the chunks, small ones grouped as a packer does.
func build(b *Builder, chunks [][]byte) built {
	c, h := NewCompressor(0), chunk.NewHasher([32]byte{1})
	var raw []byte
	var rows []Row
	flush := func() {
		if len(rows) > 0 {
			b.AddFrame(c.Frame(nil, raw), rows)
		}
		raw, rows = nil, nil
	}
	for _, data := range chunks {
		if len(data) >= SmallChunk || len(raw)+len(data) > FrameTarget {
			flush()
		}
		rows = append(rows, Row{h.ID(data), Span{Off: uint32(len(raw)), Len: uint32(len(data))}})
		if raw = append(raw, data...); len(data) >= SmallChunk {
			flush()
		}
	}
	flush()
	plain := bytes.Clone(b.Finish())
	return built{chunks, b.Rows(), plain}
}

func someChunks(r *rand.Rand, total int) (chunks [][]byte) {
	for total > 0 {
		n := min(total, 1+r.IntN(3000))
		if r.IntN(8) == 0 {
			n = min(total, SmallChunk+r.IntN(1<<20))
		}
		chunks, total = append(chunks, mixed(r, n)), total-n
	}
	return chunks
}

// object serves a sealed blob and counts requests.
type object struct {
	mu    sync.Mutex
	bytes []byte
	calls [][2]int64
	err   error
}

func (o *object) fetch(ctx context.Context, off, n int64) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, [2]int64{off, n})
	if o.err != nil {
		return nil, o.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, to := min(off, int64(len(o.bytes))), min(off+n, int64(len(o.bytes)))
	return o.bytes[from:to:to], nil
}

// checkContent reads every chunk of every row and compares.
func checkContent(t testing.TB, r *Reader, b built) {
	t.Helper()
	ctx, d, h := context.Background(), NewDecompressor(), chunk.NewHasher([32]byte{1})
	var frame []byte
	for i, row := range b.rows {
		var err error
		if frame, err = r.Frame(ctx, d, frame, row.FrameOff, row.FrameLen, -1); err != nil {
			t.Fatal(err)
		}
		comp, err := r.Compressed(ctx, row.FrameOff, row.FrameLen)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := d.Frame(nil, comp, -1); err != nil || !bytes.Equal(raw, frame) {
			t.Fatalf("frame of chunk %d differs: %v", i, err)
		}
		got := frame[row.Off : row.Off+row.Len]
		if !bytes.Equal(got, b.chunks[i]) || h.ID(got) != row.ID {
			t.Fatalf("chunk %d of %d differs", i, len(b.rows))
		}
	}
	table, err := r.Table(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(table) != len(b.rows) {
		t.Fatalf("table has %d rows, want %d", len(table), len(b.rows))
	}
	for i, row := range table {
		if row.Span != b.rows[i].Span || !row.Matches(b.rows[i].ID) {
			t.Fatalf("row %d: %+v, want %+v", i, row, b.rows[i])
		}
	}
	plain, err := r.Plain(ctx, 0, r.Size())
	if err != nil || !bytes.Equal(plain, b.plain) {
		t.Fatalf("plaintext of %d bytes differs: %v", len(plain), err)
	}
}
