package placecheck

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"vaultik/backends"
	"vaultik/engine/events"
)

const (
	speedObject = 1 << 20         // bytes of an object
	speedBytes  = 12 << 20        // at most, of one measurement
	speedTime   = 4 * time.Second // a measurement starts no transfer after that
)

// speed is how fast a place is.
type speed struct {
	latencyPut, latencyGet time.Duration // of 1 KiB, the median of some
	connections            int
	put, get               [2]float64 // bytes a second: with one connection, with all
}

func (v *speed) event() events.Speed {
	return events.Speed{LatencyPut: v.latencyPut.Seconds(), LatencyGet: v.latencyGet.Seconds(),
		PutOne: v.put[0], GetOne: v.get[0], PutAll: v.put[1], GetAll: v.get[1],
		Workers: v.connections}
}

// measureSpeed puts and gets some objects below the scratch prefix.
func measureSpeed(ctx context.Context, sc scratch, latency time.Duration) (v speed, err error) {
	v.connections = sc.workers
	tries := 9
	if latency > time.Second {
		tries = 3
	}
	if err := v.latencies(ctx, sc, tries); err != nil {
		return v, err
	}
	for i, workers := range []int{1, v.connections} {
		prefix := sc.next()
		if v.put[i], v.get[i], err = throughput(ctx, sc, prefix, workers); err != nil {
			return v, err
		}
		sc.remove(ctx, prefix)
		if workers == v.connections { // one is all there are
			v.put[1], v.get[1] = v.put[i], v.get[i]
			break
		}
	}
	return v, nil
}

func (v *speed) latencies(ctx context.Context, sc scratch, tries int) error {
	prefix := sc.next()
	defer sc.remove(ctx, prefix)
	var puts, gets []time.Duration
	for i := range tries {
		key, began := fmt.Sprintf("%s%d", prefix, i), time.Now()
		if err := sc.put(ctx, key, string(randomBytes(1024))); err != nil {
			return err
		}
		put := time.Now()
		if _, err := backends.ReadRange(ctx, sc.backend, key, 0, -1, nil); err != nil {
			return err
		}
		puts, gets = append(puts, put.Sub(began)), append(gets, time.Since(put))
	}
	slices.Sort(puts)
	slices.Sort(gets)
	v.latencyPut, v.latencyGet = puts[tries/2], gets[tries/2]
	return nil
}

// throughput puts objects with so many connections, and gets them back.
func throughput(ctx context.Context, sc scratch, prefix string, workers int) (put, get float64,
	err error) {
	data := randomBytes(speedObject)
	stored, put, err := race(ctx, workers, speedBytes/speedObject,
		func(ctx context.Context, i int) error {
			own := append(fmt.Appendf(nil, "%d", i), data...)[:speedObject] // no two are the same
			return sc.put(ctx, fmt.Sprintf("%s%d", prefix, i), string(own))
		})
	if err != nil {
		return 0, 0, err
	}
	_, get, err = race(ctx, workers, stored, func(ctx context.Context, i int) error {
		r, _, err := sc.backend.Get(ctx, fmt.Sprintf("%s%d", prefix, i), 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	})
	return put, get, err
}

// race runs fn for 0, 1, 2... in so many goroutines, until n are done or time is
// up. It returns how many were done, and bytes a second.
func race(ctx context.Context, workers, n int, fn func(context.Context, int) error) (done int,
	rate float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	var mu sync.Mutex
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil || done == n || done > 0 && time.Since(began) > speedTime {
			return 0, false
		}
		done++
		return done - 1, true
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if e := fn(ctx, i); e != nil {
					mu.Lock()
					err = cmp.Or(err, e)
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return done, float64(done) * speedObject / time.Since(began).Seconds(), err
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
