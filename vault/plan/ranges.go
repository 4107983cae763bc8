package plan

const (
	// maxGap is how many bytes between two wanted frames are fetched rather than
	// asked around: about what arrives during one round trip. It is also what a
	// request counts for when fetching parts is compared with fetching all.
	maxGap = 256 << 10

	// MaxRange is how many bytes of plaintext one range has, unless a single frame has more.
	MaxRange = 8 << 20
)

// Range is a part of a blob's plaintext that holds whole frames.
type Range struct {
	Off, Len     int64
	First, Count int // of Lease.Frames
}

// Whole reports whether all of the blob is to be fetched: parts of it would cost,
// with their requests, three quarters of it at least. All of it is one request
// and is decrypted in place; so at most a third more than needed is fetched.
func (l *Lease[T]) Whole() bool {
	return partsCost(l.Ranges()) >= l.Info.Size/4*3
}

// Cost is how many bytes are fetched for the lease, but for headers and what encryption adds.
func (l *Lease[T]) Cost() int64 {
	if l.Whole() {
		return l.Info.Size
	}
	var n int64
	for _, r := range l.Ranges() {
		n += r.Len
	}
	return n
}

// partsCost is what fetching parts costs, in bytes; opening the blob is a request as well.
func partsCost(ranges []Range) int64 {
	n := int64(maxGap)
	for i := range ranges {
		n += ranges[i].Len + maxGap
	}
	return n
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
