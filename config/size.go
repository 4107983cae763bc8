package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// KiB is 1024 bytes.
	KiB = 1 << 10
	// MiB is 1024 KiB.
	MiB = 1 << 20
)

// units by lower-case name; a single letter means the binary unit.
var units = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

// ParseSize reads a number of bytes with an optional unit: 16MiB, "1.5 GiB", 64K, 4096.
func ParseSize(s string) (int64, error) {
	num := strings.TrimSpace(s)
	cut := len(num)
	for cut > 0 && (num[cut-1] < '0' || num[cut-1] > '9') && num[cut-1] != '.' {
		cut--
	}
	unit, ok := units[strings.ToLower(strings.TrimSpace(num[cut:]))]
	n, err := strconv.ParseFloat(num[:cut], 64)
	if !ok || err != nil || strings.ContainsAny(num[:cut], "eExXpP_+-iInN") {
		return 0, fmt.Errorf("%q is not a size; write it like 16MiB, 64KiB or 1GiB", s)
	}
	if n *= unit; n >= math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return int64(n), nil
}

// FormatSize writes a size so that ParseSize reads the same number back.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", MiB}, {"KiB", KiB}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
