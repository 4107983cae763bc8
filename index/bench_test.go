package index

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"vaultik/vault/chunk"
)

// rss returns the anonymous and the file-backed resident memory of the process.
func rss(tb testing.TB) (anon, file int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("needs /proc")
	}
	get := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+)`).FindSubmatch(b)
		if m == nil {
			return 0
		}
		kb, _ := strconv.Atoi(string(bytes.TrimSpace(m[1])))
		return kb >> 10
	}
	return get("RssAnon"), get("RssFile")
}

// fillIndex writes n chunk rows, 200 a blob, 20 blobs a batch.
func fillIndex(tb testing.TB, x *Index, r source, n int) (some []chunk.ID) {
	for n > 0 {
		var b Batch
		for range min(20, (n+199)/200) {
			b.Blobs = append(b.Blobs, r.stored(min(n, 200)))
			some = append(some, b.Blobs[len(b.Blobs)-1].Rows[0].ID)
			n -= len(b.Blobs[len(b.Blobs)-1].Rows)
		}
		write(tb, x, &b)
	}
	return some
}

func benchLookup(b *testing.B, x *Index, ids []chunk.ID) {
	out := make([]Loc, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 100 {
		at := i % (len(ids) - 100)
		if err := x.Chunks(ids[at:at+100], out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ids/s")
}

// BenchmarkIndex_Chunks: lookups in an index of a million chunk rows, in batches of 100.
func BenchmarkIndex_Chunks(b *testing.B) {
	r := newSource(b)
	x := open(b, b.TempDir())
	present := fillIndex(b, x, r, 1_000_000)
	r.Shuffle(len(present), func(i, j int) { present[i], present[j] = present[j], present[i] })
	absent := make([]chunk.ID, 10_000)
	for i := range absent {
		absent[i] = r.id()
	}
	b.Run("present", func(b *testing.B) { benchLookup(b, x, present) })
	b.Run("absent-filter", func(b *testing.B) { benchLookup(b, x, absent) })
	x = reopen(b, x)
	b.Run("absent-reopened", func(b *testing.B) { benchLookup(b, x, absent) })
	b.Run("present-reopened", func(b *testing.B) { benchLookup(b, x, present) })
}

// BenchmarkIndex_Write: chunk rows, 4,000 a batch; memory after a million of them.
func BenchmarkIndex_Write(b *testing.B) {
	r := newSource(b)
	const n = 1_000_000
	rows := make([]Batch, 10)
	for i := range rows {
		for range 20 {
			rows[i].Blobs = append(rows[i].Blobs, r.stored(200))
		}
	}
	for b.Loop() {
		b.StopTimer()
		x := open(b, b.TempDir())
		runtime.GC()
		before, _ := rss(b)
		most := 0
		b.StartTimer()
		for i := range n / 4000 {
			batch := &rows[i%len(rows)]
			for j := range batch.Blobs { // new ids each time
				batch.Blobs[j].Name[0] ^= byte(i) + 1
				for k := range batch.Blobs[j].Rows {
					id := &batch.Blobs[j].Rows[k].ID
					id[i%32] += byte(i) + 1
				}
			}
			write(b, x, batch)
			anon, _ := rss(b)
			most = max(most, anon)
		}
		b.StopTimer()
		_, file := rss(b)
		b.ReportMetric(float64(most-before), "peakAnonMiB")
		b.ReportMetric(float64(file), "fileMiB")
		b.ReportMetric(float64(x.Stats().DiskBytes>>20), "diskMiB")
		must(b, x.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkOpen: an index of a million chunk rows, read and verified.
func BenchmarkOpen(b *testing.B) {
	r := newSource(b)
	x := open(b, b.TempDir())
	fillIndex(b, x, r, 1_000_000)
	for b.Loop() {
		x = reopen(b, x)
	}
}
