package index

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"vaultik/internal/testsize"
	"vaultik/vault/chunk"
	"vaultik/vault/layout"
)

const childEnv = "VAULTIK_INDEX_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		writeForever(dir)
	}
	os.Exit(m.Run())
}

// step makes batch n of a run: blobs, and a leaf with entries that name them.
func step(seed uint64, n int) (*Batch, LeafKey) {
	r := source{rand.New(rand.NewPCG(seed, uint64(n)))}
	b := &Batch{}
	for range 1 + r.IntN(4) {
		b.Blobs = append(b.Blobs, r.stored(r.IntN(3000)))
	}
	key := LeafKey{layout.SetID{1}, r.path()}
	first := InBatch(0)
	last := InBatch(len(b.Blobs) - 1)
	b.Leaves = []LeafRow{{key, r.leaf(first, last)}}
	b.Entries = []EntriesRow{{key, r.entries(256, []BlobNum{first, last})}}
	return b, key
}

// writeForever is the child: it writes batch after batch and prints the number
// of each that is done.
func writeForever(dir string) {
	seed, err := strconv.ParseUint(os.Getenv(childEnv+"_SEED"), 10, 64)
	if err != nil {
		panic(err)
	}
	x, err := Open(dir, Options{Key: testKey})
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		b, _ := step(seed, n)
		if _, err := x.Write(b); err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// A process that is killed while it writes leaves all that it was told is
// written, and no row that names a blob which is not there.
func TestIndex_Kill(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	r := newSource(t)
	dir := filepath.Join(t.TempDir(), "index")
	type run struct {
		seed uint64
		done int
	}
	var runs []run
	for range 3 {
		seed := r.Uint64()
		done := kill(t, dir, seed, 1+r.IntN(20))
		runs = append(runs, run{seed, done})
		x := open(t, dir)
		wantConsistent(t, x)
		for _, run := range runs {
			for n := range run.done {
				b, key := step(run.seed, n)
				for i := range b.Blobs {
					num, ok := x.Num(b.Blobs[i].Name)
					if !ok {
						t.Fatalf("blob %d of batch %d is lost", i, n)
					}
					wantChunks(t, x, b.Blobs[i], num)
				}
				if _, ok := x.Leaf(key); !ok {
					t.Fatalf("leaf of batch %d is lost", n)
				}
				if e, ok := x.LeafEntries(key); !ok || len(e) != 256 {
					t.Fatalf("entries of batch %d are lost", n)
				}
			}
		}
		if s := x.Stats(); s.BadRows+s.GoneRows != 0 {
			t.Fatalf("stats %+v", s)
		}
		must(t, x.Close())
	}
}

// kill starts a child, waits until it has said that many batches are done,
// and kills it. It returns how many were said to be done.
func kill(t *testing.T, dir string, seed uint64, batches int) (done int) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_SEED="+strconv.FormatUint(seed, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for done < batches && lines.Scan() {
		done++
	}
	if done == 1 { // while it works, another process is told so
		var busy *BusyError
		if _, err := Open(dir, Options{Key: testKey}); !errors.As(err, &busy) || busy.PID != cmd.Process.Pid {
			t.Errorf("opened beside process %d: %v", cmd.Process.Pid, err)
		}
	}
	must(t, cmd.Process.Kill())
	for lines.Scan() {
		done++
	}
	_ = cmd.Wait()
	if done < batches {
		t.Fatalf("the child ended after %d batches", done)
	}
	return done
}

// wantConsistent reads every row there is: none may be bad or name a blob that
// is not there.
func wantConsistent(t *testing.T, x *Index) {
	t.Helper()
	rows := 0
	err := x.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: appendPrefix(nil, x.gen, 0)[:4]})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			rows++
			key := it.Item().KeyCopy(nil)
			err := it.Item().Value(func(v []byte) error {
				ok, gone := true, false
				switch key[4] {
				case kindBlob:
					v, ok = unseal(v, x.seed, key)
					if ok {
						_, _, ok = decodeBlob(v)
					}
				case kindChunk:
					var l Loc
					l, ok = decodeChunk(v[:len(v)-sumLen])
					gone = x.blobs.get(l.Blob) == nil
				case kindLeaf:
					k := LeafKey{Set: [8]byte(key[5:]), Last: PathKey(key[13:])}
					_, ok = x.Leaf(k)
				case kindEntries:
					if len(key) == prefixLen+8+16 {
						_, ok = x.LeafEntries(LeafKey{Set: [8]byte(key[5:]), Last: PathKey(key[13:])})
					}
				}
				if !ok || gone {
					return fmt.Errorf("row %q: good %v, blob gone %v", key, ok, gone)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || rows == 0 {
		t.Fatalf("%d rows: %v", rows, err)
	}
	if s := x.Stats(); s.BadRows+s.GoneRows != 0 {
		t.Fatalf("stats %+v", s)
	}
}

// An older copy that was put back is as good as it was, and goes on from there.
func TestIndex_OlderCopy(t *testing.T) {
	r := newSource(t)
	dir := t.TempDir()
	x := open(t, filepath.Join(dir, "index"))
	a, b, c := r.stored(5000), r.stored(5000), r.stored(5000)
	write(t, x, &Batch{Blobs: []StoredBlob{a}})
	must(t, x.Close())
	old := filepath.Join(dir, "old")
	must(t, os.CopyFS(old, os.DirFS(x.dir)))
	x = open(t, x.dir)
	key := LeafKey{r.set(), r.path()}
	write(t, x, &Batch{Blobs: []StoredBlob{b}, Leaves: []LeafRow{{key, r.leaf(InBatch(0), 1)}}})
	must(t, x.Close())
	must(t, os.RemoveAll(x.dir))
	must(t, os.Rename(old, x.dir))
	x = open(t, x.dir)
	wantChunks(t, x, a, 1)
	wantChunks(t, x, b, 0)
	write(t, x, &Batch{Blobs: []StoredBlob{c}})
	wantChunks(t, x, c, 2)
	wantChunks(t, x, b, 0)
	if _, ok := x.Leaf(key); ok {
		t.Error("a leaf of later is there")
	}
	wantConsistent(t, x)
}

// Mixed, and with numbers given twice, the files of two copies never make an
// answer wrong.
func TestIndex_MixedCopies(t *testing.T) {
	testsize.Long(t)
	t.Parallel()
	r := newSource(t)
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	x := open(t, base)
	write(t, x, &Batch{Blobs: []StoredBlob{r.stored(100)}})
	must(t, x.Close())
	truth := map[chunk.ID]StoredBlob{}
	var copies []string
	for i := range 2 {
		d := filepath.Join(dir, strconv.Itoa(i))
		must(t, os.CopyFS(d, os.DirFS(base)))
		x := open(t, d)
		for range 3 {
			s := r.stored(2000)
			for _, row := range s.Rows {
				one := s
				one.Rows = nil
				truth[row.ID] = one
			}
			write(t, x, &Batch{Blobs: []StoredBlob{s}})
		}
		must(t, x.Close())
		copies = append(copies, d)
	}
	for i := range 10 {
		d := filepath.Join(dir, "mixed")
		must(t, os.RemoveAll(d))
		must(t, os.CopyFS(d, os.DirFS(copies[0])))
		names, err := os.ReadDir(filepath.Join(copies[1], dbName))
		must(t, err)
		for _, e := range names {
			if r.IntN(2) == 0 {
				continue
			}
			text, err := os.ReadFile(filepath.Join(copies[1], dbName, e.Name()))
			must(t, err)
			put(t, filepath.Join(d, dbName), e.Name(), string(text))
		}
		x, err := Open(d, Options{Key: testKey})
		if err != nil {
			continue // refused is fine
		}
		for id, s := range truth {
			out := make([]Loc, 1)
			must(t, x.Chunks([]chunk.ID{id}, out))
			if in, ok := x.Blob(out[0].Blob); ok && in != s.Info {
				t.Fatalf("round %d: chunk of blob %v is said to be in %v", i, s.Name, in.Name)
			}
		}
		must(t, x.Close())
	}
}
