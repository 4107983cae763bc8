package prune_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vaultik/actors/backup"
	"vaultik/actors/jobtest"
	"vaultik/actors/prune"
	"vaultik/backends"
	"vaultik/internal/testtree"
	"vaultik/vault/gc"
	"vaultik/vault/retention"
	"vaultik/vault/snapshot"
)

// BenchmarkKeeping prints how a store grows in DAYS (30) simulated days: a tree of 300 MB of which
// some changes every hour, a snapshot an hour, and once a day what forget --prune does. If SVG
// names a file, a picture goes there. make bench-keeping runs it.
func BenchmarkKeeping(b *testing.B) {
	days, err := strconv.Atoi(cmp.Or(os.Getenv("DAYS"), "30"))
	jobtest.Must(b, err)
	month := keeping{days: days, hours: 24, files: 2000, largest: 1 << 20, changed: 4,
		blobSize: 15 << 20}
	for b.Loop() {
		table, picture := month.compare(b)
		fmt.Print(table)
		if name := os.Getenv("SVG"); name != "" {
			jobtest.Must(b, os.WriteFile(name, []byte(picture), 0o644))
		}
	}
}

// The benchmark works, and what it is about is so: snapshots that are forgotten give back space at
// once, and compaction saves some.
func TestKeeping(t *testing.T) {
	short := keeping{days: 15, hours: 2, files: 200, largest: 64 << 10, changed: 15,
		blobSize: 1 << 20}
	off, on := short.run(t, 0), short.run(t, 1<<30)
	last := len(off) - 1
	if off[last].anew != 0 || on[last].anew == 0 {
		t.Errorf("stored anew: %d and %d", off[last].anew, on[last].anew)
	}
	if off[last].freed == 0 || off[last].store >= off[last].ever {
		t.Errorf("nothing was given back: %+v", off[last])
	}
	if on[last].needed >= off[last].needed {
		t.Errorf("compaction saves nothing: %+v, and without %+v", on[last], off[last])
	}
	if p := picture(off, on); strings.Count(p, "<polyline") != 4 || strings.Contains(p, "NaN") {
		t.Errorf("%s", p)
	}
}

// keeping is a tree that changes for some days while it is backed up.
type keeping struct {
	days, hours    int // of a day, in each of which there is a snapshot
	files, changed int // there are, and are written anew in an hour
	largest        int64
	blobSize       int64
}

// kept is the state after a snapshot, and after the prune that followed it. All are bytes.
type kept struct {
	at     float64 // days
	live   int64   // in the tree
	needed int64   // by the newest snapshot
	store  int64   // all objects
	ever   int64   // that were stored by now: what the store would be if nothing was deleted
	freed  int64   // by this prune, at once
	anew   int64   // that compaction has stored by now
}

func (k keeping) compare(tb testing.TB) (table, svg string) {
	off, on := k.run(tb, 0), k.run(tb, 256<<20)
	var out strings.Builder
	fmt.Fprint(&out, "| day | in the tree | nothing deleted | store | given back | store, "+
		"compacting | given back | stored anew by then |\n"+
		"| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	mb := func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/1e6) }
	freed := [2]int64{}
	for i := range off {
		freed[0] += off[i].freed
		freed[1] += on[i].freed
		if day := (i + 1) / k.hours; (i+1)%k.hours == 0 && (day == 1 || day%3 == 0) {
			fmt.Fprintf(&out, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", day, mb(off[i].live),
				mb(off[i].ever), mb(off[i].store), mb(freed[0]), mb(on[i].store), mb(freed[1]),
				mb(on[i].anew))
			freed = [2]int64{}
		}
	}
	last := len(off) - 1
	fmt.Fprintf(&out, "\nThe newest snapshot needs %s MB, and %s MB if the store is compacted.\n",
		mb(off[last].needed), mb(on[last].needed))
	return out.String(), picture(off, on)
}

// run is one month, or as long as it takes, with a budget for compaction. In the end the store is
// verified, and the newest snapshot compared with the tree.
func (k keeping) run(tb testing.TB, budget int64) (all []kept) {
	h := jobtest.New(tb)
	store := &timed{Backend: h.Store, now: time.Now().Add(time.Hour), objects: map[string]object{}}
	h.Store, h.Now = store, func() time.Time { return store.now }
	h.Edit = func(s *backup.Spec) { s.BlobSize, s.CompactBudget = k.blobSize, budget }
	tree := &changing{tb: tb, dir: filepath.Join(tb.TempDir(), "home"), sizes: map[int]int64{},
		rng: rand.New(rand.NewPCG(1, 1)), largest: k.largest}
	for range k.files {
		tree.write(len(tree.sizes))
	}
	var anew int64
	for i := range k.days * k.hours {
		store.now = store.now.Add(24 * time.Hour / time.Duration(k.hours))
		r := h.Backup(tree.dir)
		if r.Errors != 0 || !r.Complete {
			tb.Fatalf("backup %d: %+v", i, r)
		}
		anew += r.Compacted.Bytes
		s := kept{at: float64(i+1) / float64(k.hours), anew: anew}
		if (i+1)%k.hours == 0 {
			s.freed = k.prune(h, store)
		}
		m, _, _ := h.Newest()
		s.live, s.needed = tree.size(), m.Bytes
		s.store, s.ever = store.size()
		all = append(all, s)
		if i+1 < k.days*k.hours {
			tree.change(k.changed)
		}
	}
	h.CheckTree(tree.dir)
	h.VerifyClean()
	h.CloseIndex()
	return all
}

// prune does what forget --keep-hourly 24 --keep-daily 7 --prune does on the machine itself.
func (k keeping) prune(h *jobtest.Host, store *timed) (freed int64) {
	policy := retention.Policy{{Every: retention.Hour, Count: 24}, {Every: retention.Day, Count: 7}}
	spec := h.PruneSpec(store)
	spec.Options = gc.Options{Now: store.now, Choose: func(all []*gc.Snapshot) (c gc.Choice, err error) {
		var set []retention.Snapshot
		sums := map[uint64]snapshot.Sum{}
		for _, s := range all {
			sums[s.Place.Seq] = s.Sum
			set = append(set, retention.Snapshot{Seq: s.Place.Seq, Time: s.Time, Stored: s.Stored,
				Complete: s.Complete, Whole: s.Whole})
		}
		verdicts, err := policy.Apply(set, retention.Options{Now: store.now})
		for i := range verdicts {
			if !verdicts[i].Keep() {
				c.Expire = append(c.Expire, sums[verdicts[i].Seq])
			}
		}
		return c, err
	}}
	before, _ := store.size()
	_, err := prune.Run(h.T.Context(), h.System, spec)
	jobtest.Must(h.T, err)
	after, _ := store.size()
	return before - after
}

// changing is a tree of files, a hundred to a directory, of contents that nothing compresses.
type changing struct {
	tb      testing.TB
	dir     string
	rng     *rand.Rand
	largest int64
	next    uint64
	sizes   map[int]int64
}

// write makes a file, or writes it anew. Small ones are more frequent than large ones.
func (c *changing) write(i int) {
	size := int64(math.Exp(math.Log(1<<10) + c.rng.Float64()*math.Log(float64(c.largest)/(1<<10))))
	name := filepath.Join(c.dir, fmt.Sprint(i/100), fmt.Sprint(i))
	jobtest.Must(c.tb, os.MkdirAll(filepath.Dir(name), 0o700))
	c.next++
	jobtest.Must(c.tb, os.WriteFile(name, testtree.Bytes(c.next, size), 0o600))
	c.sizes[i] = size
}

// change writes n files anew, half of them out of a tenth that changes often.
func (c *changing) change(n int) {
	for i := range n {
		among := len(c.sizes)
		if i%2 == 1 {
			among /= 10
		}
		c.write((c.rng.IntN(among) * 7919) % len(c.sizes))
	}
}

func (c *changing) size() (n int64) {
	for _, s := range c.sizes {
		n += s
	}
	return n
}

// timed is a store with a clock of its own.
type timed struct {
	backends.Backend
	now time.Time

	mu      sync.Mutex
	objects map[string]object
	ever    int64 // bytes
}

type object struct {
	size int64
	at   time.Time
}

func (s *timed) size() (now, ever int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		now += o.size
	}
	return now, s.ever
}

func (s *timed) mark(i backends.ObjectInfo) backends.ObjectInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.ModTime = cmp.Or(s.objects[i.Key].at, s.now)
	return i
}

// Put implements backends.Backend.
func (s *timed) Put(ctx context.Context, key string, src backends.Source, o backends.PutOptions) (
	backends.ObjectInfo, error) {
	i, err := s.Backend.Put(ctx, key, src, o)
	if err == nil {
		s.mu.Lock()
		s.objects[key] = object{i.Size, s.now}
		s.ever += i.Size
		s.mu.Unlock()
	}
	return s.mark(i), err
}

// Stat implements backends.Backend.
func (s *timed) Stat(ctx context.Context, key string) (backends.ObjectInfo, error) {
	i, err := s.Backend.Stat(ctx, key)
	return s.mark(i), err
}

// Delete implements backends.Backend.
func (s *timed) Delete(ctx context.Context, key string) error {
	err := s.Backend.Delete(ctx, key)
	if err == nil {
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
	}
	return err
}

// ListStream implements backends.Backend.
func (s *timed) ListStream(ctx context.Context, prefix string,
	fn func(backends.ObjectInfo) error) error {
	return s.Backend.ListStream(ctx, prefix, func(i backends.ObjectInfo) error {
		return fn(s.mark(i))
	})
}

// picture draws the store over time, every fourth hour.
func picture(off, on []kept) string {
	const width, height, left, top, right, bottom = 760, 380, 60, 20, 150, 40
	last := off[len(off)-1]
	most := float64(max(last.ever, last.store)) * 1.05
	x := func(at float64) float64 { return left + at/last.at*(width-left-right) }
	y := func(n int64) float64 { return height - bottom - float64(n)/most*(height-top-bottom) }
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="12">
<title>Size of a store over %.0f days of hourly snapshots</title>
<rect width="100%%" height="100%%" fill="#fff"/>
`, width, height, last.at)
	step := math.Pow(10, math.Floor(math.Log10(most/2)))
	for v := 0.0; v < most; v += step {
		fmt.Fprintf(&out, `<path d="M%d %.0fH%d" stroke="#ddd"/><text x="%d" y="%.0f" `+
			`text-anchor="end">%.0f MB</text>`+"\n", left, y(int64(v)), width-right, left-6,
			y(int64(v))+4, v/1e6)
	}
	for day := 0.0; day <= last.at; day += 5 {
		fmt.Fprintf(&out, `<text x="%.0f" y="%d" text-anchor="middle">day %.0f</text>`+"\n", x(day),
			height-bottom+18, day)
	}
	for _, line := range []struct {
		name, color string
		of          []kept
		value       func(*kept) int64
	}{
		{"nothing deleted", "#999", off, func(s *kept) int64 { return s.ever }},
		{"forget --prune daily", "#c33", off, func(s *kept) int64 { return s.store }},
		{"and compaction", "#26c", on, func(s *kept) int64 { return s.store }},
		{"in the tree", "#393", off, func(s *kept) int64 { return s.live }},
	} {
		var points []string
		for i := range line.of {
			if s := &line.of[i]; i%4 == 3 || i == len(line.of)-1 {
				points = append(points, fmt.Sprintf("%.0f,%.0f", x(s.at), y(line.value(s))))
			}
		}
		end := line.value(&line.of[len(line.of)-1])
		fmt.Fprintf(&out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+
			`<text x="%d" y="%.0f" fill="%s">%s</text>`+"\n",
			strings.Join(slices.Compact(points), " "), line.color, width-right+8, y(end)+4, line.color, line.name)
	}
	return out.String() + "</svg>\n"
}
