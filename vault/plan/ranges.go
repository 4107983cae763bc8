package plan

const (
	// wholeShare is the part of a blob, as a fraction 1/wholeShare, from which on all of it is
	// fetched in one go: that costs one request, is decrypted in place, and what
	// is fetched in vain takes less time than several round trips.
	wholeShare = 4

	// maxGap is how many bytes between two wanted frames are fetched rather than
	// asked around: about what arrives during one round trip.
	maxGap = 256 << 10

	// MaxRange is how many bytes of plaintext one range has, unless a single frame has more.
	MaxRange = 8 << 20
)

// Range is a part of a blob's plaintext that holds whole frames.
type Range struct {
	Off, Len     int64
	First, Count int // of Lease.Frames
}

// Whole reports whether so much of the blob is wanted that all of it is to be fetched.
func (l *Lease[T]) Whole() bool {
	var n, end int64
	for i := range l.Frames {
		f := &l.Frames[i]
		n += max(0, int64(f.Off)+int64(f.Len)-max(int64(f.Off), end))
		end = max(end, int64(f.Off)+int64(f.Len))
	}
	return n*wholeShare >= l.Info.Size
}

// Ranges are what to fetch, in order: together they hold all frames. Frames that
// are close to each other share one.
func (l *Lease[T]) Ranges() []Range {
	var out []Range
	for i := range l.Frames {
		off, end := int64(l.Frames[i].Off), int64(l.Frames[i].Off)+int64(l.Frames[i].Len)
		if n := len(out); n > 0 {
			r := &out[n-1]
			if off-(r.Off+r.Len) <= maxGap && end-r.Off <= MaxRange {
				r.Len = max(r.Len, end-r.Off)
				r.Count++
				continue
			}
		}
		out = append(out, Range{Off: off, Len: end - off, First: i, Count: 1})
	}
	return out
}
