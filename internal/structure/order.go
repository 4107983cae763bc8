package structure

import (
	"maps"
	"slices"
)

// References say which files refer to which: References[a][b] holds the names that
// file a uses and file b declares.
type References map[string]map[string][]string

// Count returns the number of references: pairs of files.
func (r References) Count() (n int) {
	for _, to := range r {
		n += len(to)
	}
	return n
}

// Reference is that of one file to another one.
type Reference struct {
	From, To string
	Names    []string // what From uses, sorted
}

// Back returns the references that run back up in an order of files, sorted by it.
func (r References) Back(order []string) (back []Reference) {
	for i, from := range order {
		for _, to := range order[:i] {
			if names := r[from][to]; names != nil {
				back = append(back, Reference{from, to, names})
			}
		}
	}
	return back
}

// Order returns the files in an order in which few references run back up: whoever
// refers to others stands above them. It depends on nothing but its arguments.
func (r References) Order(files []string) []string {
	left := slices.Sorted(slices.Values(files))
	var above, below []string
	take := func(file string) { left = slices.DeleteFunc(left, func(f string) bool { return f == file }) }
	for len(left) > 0 {
		out, in := r.degrees(left)
		best := left[0]
		for _, f := range left[1:] {
			if out[f]-in[f] > out[best]-in[best] {
				best = f
			}
		}
		sink := slices.IndexFunc(left, func(f string) bool { return out[f] == 0 && in[f] > 0 })
		if sink >= 0 {
			best = left[sink]
			below = append(below, best)
		} else {
			above = append(above, best)
		}
		take(best)
	}
	slices.Reverse(below)
	order := append(above, below...)
	for r.moveOne(order) {
	}
	return order
}

// degrees counts the references from and to each of the files, among them alone.
func (r References) degrees(files []string) (out, in map[string]int) {
	out, in = map[string]int{}, map[string]int{}
	for _, from := range files {
		for to := range maps.Keys(r[from]) {
			if slices.Contains(files, to) {
				out[from]++
				in[to]++
			}
		}
	}
	return out, in
}

// moveOne moves the first file that stands better elsewhere to its best place, and
// says whether there was one.
func (r References) moveOne(order []string) bool {
	cost := func(a, b string) int { // of a standing above b: b's reference to it runs back
		if r[b][a] != nil {
			return 1
		}
		return 0
	}
	for i, f := range order {
		best, place := 0, i
		for _, step := range []int{-1, 1} {
			gain := 0
			for j := i + step; j >= 0 && j < len(order); j += step {
				passed := order[j]
				if step < 0 { // f comes to stand above it
					gain += cost(passed, f) - cost(f, passed)
				} else {
					gain += cost(f, passed) - cost(passed, f)
				}
				if gain > best {
					best, place = gain, j
				}
			}
		}
		if best > 0 {
			moved := slices.Delete(slices.Clone(order), i, i+1)
			copy(order, slices.Insert(moved, place, f))
			return true
		}
	}
	return false
}
