package main

import (
	"fmt"
	"strings"

	"vaultik/engine/events"
	"vaultik/internal/words"
)

// abilities are rows about what a place can do.
func abilities(a events.Abilities) [][2]string {
	rows := [][2]string{
		{"create if absent", told(a.ConditionalPut, "of two writers with one name exactly one wins",
			"not supported: see safety")},
		{"atomic replace", told(a.AtomicReplace, "readers see the old or the new object",
			"an object may be missing for a moment while it is replaced")},
		{"checksums", told(a.Checksums, "the store refuses objects damaged in transit",
			"the store does not check uploads; to check them: vaultik verify --read-data")},
		{"sorted listing", told(a.Sorted, "", "")},
		{"ranged reading", told(a.RangeNative, "",
			"the store sends only whole objects: restoring single files reads more")},
		{"largest object", "no limit known"},
	}
	if a.MaxObject != nil {
		rows[len(rows)-1][1] = words.Size(*a.MaxObject)
	}
	return rows
}

// told writes yes or no, and what that means.
func told(is bool, yes, no string) string {
	word, why := "no", no
	if is {
		word, why = "yes", yes
	}
	if why == "" {
		return word
	}
	return word + ": " + why
}

// room writes how much space a place has, as far as that is known.
func room(free, total *int64) string {
	switch {
	case free == nil && total == nil:
		return "unknown"
	case free == nil:
		return words.Size(*total) + " in total"
	case total == nil:
		return words.Size(*free) + " free"
	}
	return words.Size(*free) + " of " + words.Size(*total) + " free"
}

const weak = "two machines that write as one host are noticed afterwards, not stopped; " +
	"only one machine may prune"

// promises are what the format does about two writers of one name, in words.
var promises = map[events.Promise]string{
	events.NewStrong: "a store created here never lets two machines write as one host",
	events.NewWeak:   "for a store created here: " + weak,
	events.Weak:      weak,
	events.StrongBroken: "but this place cannot create an object only if absent: " +
		"this copy can be read and restored, but not backed up to",
	events.Strong: "two machines never write as one host",
}

// table prints rows of a name and a value.
func (o *output) table(rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		o.result("%s", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, r[0],
			words.Printable(r[1])), " "))
	}
}
