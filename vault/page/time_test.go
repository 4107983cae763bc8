package page

import (
	"math"
	"testing"
	"time"
)

func TestTime_String(t *testing.T) {
	for _, c := range []struct {
		time Time
		want string
	}{
		{Time{}, "0.000000000"},
		{Time{1, 2}, "1.000000002"},
		{Time{-1, 500000000}, "-0.500000000"}, // as touch -d @-0.5 understands it
		{Time{-2, 500000000}, "-1.500000000"},
		{Time{-2, 0}, "-2.000000000"},
		{Time{math.MaxInt64, 999999999}, "9223372036854775807.999999999"},
		{Time{math.MinInt64, 0}, "-9223372036854775808.000000000"},
		{Time{math.MinInt64, 1}, "-9223372036854775807.999999999"},
	} {
		if got := c.time.String(); got != c.want {
			t.Errorf("%v: got %q, want %q", c.time, got, c.want)
		}
		if got, err := ParseTime(c.want); err != nil || got != c.time {
			t.Errorf("%q: got %v, %v, want %v", c.want, got, err, c.time)
		}
	}
}

func TestTime_Order(t *testing.T) {
	order := []Time{{-2, 0}, {-2, 5}, {-1, 0}, {0, 0}, {0, 1}, {1, 0}}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v against %v: got %d, want %d", a, b, got, want)
			}
		}
		if back := TimeOf(a.Time()); back != a {
			t.Errorf("%v came back as %v", a, back)
		}
	}
	if u := time.Unix(7, 8); TimeOf(u) != (Time{7, 8}) {
		t.Errorf("got %v", TimeOf(u))
	}
}

func TestTime_Text(t *testing.T) {
	b, err := Time{3, 4}.MarshalText()
	var back Time
	if err != nil || back.UnmarshalText(b) != nil || back != (Time{3, 4}) {
		t.Errorf("got %q, %v, back %v", b, err, back)
	}
	if _, err := (Time{0, -1}).MarshalText(); err == nil {
		t.Error("negative nanoseconds were formatted")
	}
}
