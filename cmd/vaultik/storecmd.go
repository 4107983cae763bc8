package main

import (
	"fmt"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/vault/snapshot"
)

type storeCmd struct {
	Info  storeInfoCmd  `cmd:"" help:"Show whose store it is and what is in it."`
	Check storeCheckCmd `cmd:"" help:"Try out whether backups can be kept in a place, and what it can do."`
	Copy  storeCopyCmd  `cmd:"" help:"Mirror a store to another place, or bring a mirror up to date."`
}

// abilities are what a place can do, for people.
func abilities(info backends.Info) [][2]string {
	rows := [][2]string{
		{"create if absent", told(info.ConditionalPut, "of two writers of one name exactly one wins", "not offered: see safety")},
		{"atomic replace", told(info.AtomicReplace, "readers see the old or the new object", "an object that is replaced may be missing for a moment")},
		{"checksums", told(info.ServerChecksum, "the store refuses what was damaged on its way", "the store takes what arrives; vaultik verify --read-data reads it back")},
		{"sorted listing", told(info.Sorted, "", "")},
		{"ranged reading", told(info.RangeNative, "", "the store sends whole objects: restoring single files reads more")},
		{"largest object", "no limit known"},
	}
	if info.MaxObjectSize > 0 {
		rows[len(rows)-1][1] = size(info.MaxObjectSize)
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

// room writes how much space a place has.
func room(info backends.Info) string {
	switch {
	case info.Free < 0 && info.Total < 0:
		return "not known"
	case info.Free < 0:
		return size(info.Total) + " in all"
	case info.Total < 0:
		return size(info.Free) + " free"
	}
	return size(info.Free) + " of " + size(info.Total) + " free"
}

// safety says what the format does about two writers of one name. doc is nil
// where there is no store yet.
func safety(doc *snapshot.StoreDoc, conditional bool) (word, meaning string) {
	const weak = "two machines that write as one host are noticed afterwards, not stopped; one machine prunes"
	switch {
	case doc == nil && conditional:
		return "strong", "a store made here never lets two machines write as one host"
	case doc == nil:
		return snapshot.SafetyWeak, "of a store made here: " + weak
	case doc.Safety == snapshot.SafetyWeak:
		return snapshot.SafetyWeak, weak
	case !conditional:
		return "strong", "but this place cannot create an object only if absent: this copy can be read and restored, backups to it fail"
	}
	return "strong", "two machines never write as one host"
}

// table prints rows of a name and a value.
func (o *output) table(rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		o.result("%s", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, r[0], printable(r[1])), " "))
	}
}

// day writes a time of long ago.
func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
