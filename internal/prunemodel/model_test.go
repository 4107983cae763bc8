package prunemodel

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestHistories(t *testing.T) {
	start := time.Now()
	steps, bad := 0, 0
	n, _ := strconv.Atoi(os.Getenv("N"))
	for seed := range uint64(n) {
		n, err := history(seed, weakness{}, nil)
		steps += n
		if err != nil {
			if bad++; bad < 8 {
				t.Errorf("seed %d: %v", seed, err)
			}
			if bad == 1 {
				var b strings.Builder
				_, _ = history(seed, weakness{}, &b)
				t.Log(b.String())
			}
		}
	}
	t.Log(bad, steps, time.Since(start))
}

func TestWeak(t *testing.T) {
	var w weakness
	v := reflect.ValueOf(&w).Elem()
	for i := range v.NumField() {
		w = weakness{}
		reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Elem().SetBool(true)
		bad, first := 0, -1
		var e error
		for seed := range uint64(2000) {
			if _, err := history(seed, w, nil); err != nil {
				if bad++; first < 0 {
					first, e = int(seed), err
				}
			}
		}
		t.Log(w.String(), bad, first, e)
	}
}
