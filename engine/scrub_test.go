package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"vaultik/engine/checked"
	"vaultik/engine/events"
	"vaultik/internal/testsize"
	"vaultik/vault/layout"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// scrubbed is one object of the store of TestScrub.
type scrubbed struct {
	size         int64
	stored, read time.Time
}

// TestScrub: a store that grows and is pruned, scrubbed day by day, with days that are missed
// and runs that are killed half-way. Each byte is read once in the period, and on no day much
// more than its share.
func TestScrub(t *testing.T) {
	const day, period = 24 * time.Hour, 30 * 24 * time.Hour
	r := rand.New(rand.NewPCG(testsize.Seed(t), 0))
	path := filepath.Join(t.TempDir(), "scrub")
	begun := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	store, next := map[int]*scrubbed{}, 0
	add := func(n int, at time.Time) {
		for range n {
			store[next] = &scrubbed{size: 1 + r.Int64N(16), stored: at}
			next++
		}
	}
	add(300, begun.Add(-time.Duration(r.IntN(1000))*day))
	last := begun.Add(-day)
	for d := range 70 {
		now := begun.Add(time.Duration(d) * day)
		add(3, now.Add(-time.Hour))
		for i := range store {
			if r.IntN(200) == 0 {
				delete(store, i) // pruned
			}
		}
		total := int64(0)
		for i, o := range store {
			total += o.size
			since := o.read
			if since.IsZero() {
				since = o.stored
				if since.Before(begun.Add(-day)) {
					since = begun.Add(-day)
				}
			}
			if age := now.Sub(since); age > period+now.Sub(last)-day { // as far as it was on
				t.Fatalf("day %d: object %d was not read for %v", d, i, age)
			}
		}
		if d%17 == 5 || d%17 == 6 {
			continue // the machine is off
		}
		read := int64(0)
		for kills := r.IntN(3); kills >= 0; kills-- {
			ev := scrubDay(t, path, store, period, now, kills > 0, r)
			read += ev.Bytes
			if kills == 0 && d > 40 && ev.Recent < ev.Total*9/10 {
				t.Errorf("day %d: %+v", d, ev)
			}
		}
		missed := float64(now.Sub(last)) / float64(day)
		if share := float64(read) / float64(total); share > missed/float64(period/day)*1.6+0.04 {
			t.Errorf("day %d: %.1f %% of the store read after %v days", d, 100*share, missed)
		}
		last = now
	}
}

// scrubDay is one run, which may be killed half-way. It returns what it says.
func scrubDay(t *testing.T, path string, store map[int]*scrubbed, period time.Duration,
	now time.Time, kill bool, r *rand.Rand) events.Scrubbed {
	t.Helper()
	log, err := checked.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &scrubbing{log: log, period: period, now: now}
	inv, numbers := plan.NewInventory(), []int(nil)
	host := inv.Host(layout.HostID{1})
	for n, o := range store {
		i, err := inv.AddBlob(0, host, snapshot.BlobSize{Name: sha256.Sum256(fmt.Append(nil, n)),
			Size: o.size})
		if err != nil {
			t.Fatal(err)
		}
		inv.At(i).Stored = uint32(o.stored.Unix())
		numbers = append(numbers, n)
	}
	read := int64(0)
	due, err := s.choose(inv)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range numbers {
		if !due(i) || kill && r.IntN(2) == 0 {
			continue
		}
		if err := s.checked(i); err != nil {
			t.Fatal(err)
		}
		store[n].read = now
		read += store[n].size
	}
	ev := s.event()
	if ev.Bytes != read || ev.Recent > ev.Total {
		t.Errorf("%+v", ev)
	}
	if !kill {
		if err := errors.Join(s.finish(true), log.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return ev
}
