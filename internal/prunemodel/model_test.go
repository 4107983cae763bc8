package prunemodel

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func many(n int, weak weakness) (steps, bad int, first int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	seed := 0
	first = -1
	for range 2 {
		wg.Go(func() {
			for {
				mu.Lock()
				s := seed
				seed++
				mu.Unlock()
				if s >= n {
					return
				}
				st, e := history(uint64(s), weak, nil)
				mu.Lock()
				steps += st
				if e != nil {
					bad++
					if first < 0 || s < first {
						first, err = s, e
					}
					if weak == (weakness{}) && bad < 10 {
						fmt.Println(s, e)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return
}

func TestHistories(t *testing.T) {
	start := time.Now()
	n, _ := strconv.Atoi(os.Getenv("N"))
	steps, bad, first, err := many(n, weakness{})
	t.Log(bad, steps, time.Since(start))
	if err != nil {
		var b strings.Builder
		_, _ = history(uint64(first), weakness{}, &b)
		t.Error(b.String(), first, err)
	}
}

func TestWeak(t *testing.T) {
	var w weakness
	v := reflect.ValueOf(&w).Elem()
	for i := range v.NumField() {
		w = weakness{}
		reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Elem().SetBool(true)
		if o := os.Getenv("ONLY"); o != "" && !strings.Contains(o, w.String()) {
			continue
		}
		_, bad, first, e := many(2000, w)
		t.Log(w.String(), bad, first, e)
	}
}

func TestOne(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SEED"))
	var b strings.Builder
	_, err := history(uint64(n), weakness{}, &b)
	t.Log(b.String(), err)
}
