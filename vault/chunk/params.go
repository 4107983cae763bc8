package chunk

import (
	"fmt"
	"math/bits"
)

// FastCDC is the only algorithm of format 1: the registry name in go-cdc-chunkers,
// https://github.com/PlakarKorp/go-cdc-chunkers. It names masks and Gear table
// exactly; an algorithm that cuts elsewhere gets another name.
const FastCDC = "fastcdc-v1.0.0"

const (
	// MaxSize bounds every chunk: a large chunk is one frame, and readers accept frames of 16 MiB.
	MaxSize = 16 << 20
	// MinAvg is the least average size in bytes: below, a chunk's row costs more than it saves.
	MinAvg = 4 << 10
	// MaxAvg is the greatest: above, the largest chunk of ParamsFor exceeds MaxSize.
	MaxAvg = MaxSize / 4
)

// Params says how streams are cut. They stand in every snapshot's root.
// Sizes are bytes; Avg is what random data yields, roughly.
type Params struct {
	Alg string `json:"alg"`
	Min int    `json:"min"`
	Avg int    `json:"avg"`
	Max int    `json:"max"`
}

// DefaultParams cuts at 256 KiB, 1 MiB and 4 MiB.
func DefaultParams() Params { return ParamsFor(1 << 20) }

// ParamsFor cuts at a quarter of avg, avg, and four times avg. Check the result with Validate.
func ParamsFor(avg int) Params {
	return Params{Alg: FastCDC, Min: avg / 4, Avg: avg, Max: avg * 4}
}

// Validate says what is wrong with the parameters, in the words of the configuration.
func (p Params) Validate() error {
	switch {
	case p.Alg != FastCDC:
		return fmt.Errorf("check chunk parameters: unknown algorithm %q, want %q", p.Alg, FastCDC)
	case p.Avg < MinAvg || p.Avg > MaxAvg:
		return fmt.Errorf("check chunk parameters: average size %d is outside %d to %d (4 KiB to 4 MiB)", p.Avg, MinAvg, MaxAvg)
	case bits.OnesCount(uint(p.Avg)) != 1:
		low := 1 << (bits.Len(uint(p.Avg)) - 1)
		return fmt.Errorf("check chunk parameters: average size %d is not a power of two; the nearest are %d and %d", p.Avg, low, 2*low)
	case p.Min < 64 || p.Min >= p.Avg:
		return fmt.Errorf("check chunk parameters: minimum size %d is outside 64 to %d (below the average)", p.Min, p.Avg-1)
	case p.Max <= p.Avg || p.Max > MaxSize:
		return fmt.Errorf("check chunk parameters: maximum size %d is outside %d to %d (above the average, at most 16 MiB)", p.Max, p.Avg+1, MaxSize)
	}
	return nil
}
