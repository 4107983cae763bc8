// Package oddtree makes a tree that holds each kind of entry and each odd value
// that a backup must bring back: names, times, modes, links, holes, attributes,
// devices, sizes around every boundary of the format. The same options make the
// same tree, byte for byte and time for time, so that two of them can be compared.
package oddtree
