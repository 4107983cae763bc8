package main

import (
	"fmt"

	"vaultik/vault/snapshot"
)

// Errors that only commands make. Each carries what its hint needs; explain.go
// has the hints.

// usageError is a command line that cannot be meant so.
type usageError struct {
	msg     string
	command string   // "" for none in particular
	hint    string   // instead of the usual one
	choices []string // commands that say what was left open
}

func (e *usageError) Error() string { return e.msg }

// internalError is a panic: a bug of this program.
type internalError struct{ value, stack string }

func (e *internalError) Error() string { return "internal error: " + e.value }

// noStoreNamed: there is neither a configuration nor --store.
type noStoreNamed struct{ err error }

func (e *noStoreNamed) Error() string { return e.err.Error() }
func (e *noStoreNamed) Unwrap() error { return e.err }

// fileExists: a file that must be new is there already.
type fileExists struct{ path string }

func (e *fileExists) Error() string { return fmt.Sprintf("%s exists already", e.path) }

// configured: init found a configuration or what is left of one.
type configured struct {
	file     string
	leftover bool // state without a configuration
	dir      string
}

func (e *configured) Error() string {
	if e.leftover {
		return fmt.Sprintf("%s is there without a configuration: it holds the keys of a host", e.file)
	}
	return fmt.Sprintf("this machine is configured already: %s exists", e.file)
}

// storeTaken: init found something in the place for a new store.
type storeTaken struct {
	url, path string // path: of a file store, else ""
	file      bool   // path is no directory
	isStore   bool
	halfMade  bool   // store.json and trust only: an init ended before its time
	kit       string // recovery kit of a half-made store that is still there, or ""
	example   string // something foreign that is in the way
}

func (e *storeTaken) Error() string {
	switch {
	case e.file:
		return fmt.Sprintf("make store %s: there is a file of that name", e.url)
	case e.halfMade:
		return fmt.Sprintf("make store %s: an init that did not finish left a store without any backup there", e.url)
	case e.isStore:
		return fmt.Sprintf("make store %s: there is a store already", e.url)
	default:
		return fmt.Sprintf("make store %s: the place is not empty, it holds %q", e.url, e.example)
	}
}

// ownerDiffers: the store's owner is not the one that was pinned or asked for.
type ownerDiffers struct {
	url, want string
	asked     bool // by --owner
	err       error
}

func (e *ownerDiffers) Error() string {
	if e.asked {
		return fmt.Sprintf("store %s does not belong to the owner %s that --owner names", e.url, e.want)
	}
	return fmt.Sprintf("the owner of store %s has changed: it was %s", e.url, e.want)
}

func (e *ownerDiffers) Unwrap() error { return e.err }

// otherStore: the configured URL leads to a store that this host does not belong to.
type otherStore struct{ url, got, want string }

func (e *otherStore) Error() string {
	return fmt.Sprintf("the store at %s is not this host's: its id is %s, this host belongs to %s", e.url, e.got, e.want)
}

// notHost: this machine does not write to the store that was opened.
type notHost struct{ url string }

func (e *notHost) Error() string {
	return fmt.Sprintf("this machine is no host of the store at %s: it has no keys to write there", e.url)
}

// nothingToSave: none of the paths is there.
type nothingToSave struct{ err error }

func (e *nothingToSave) Error() string { return "nothing to back up: " + e.err.Error() }
func (e *nothingToSave) Unwrap() error { return e.err }

// partial: done, but some files could not be read or written; they were listed.
type partial struct{ msg string }

func (e *partial) Error() string { return e.msg }

// staleTrust: the store shows an older trust list than was seen of it before.
type staleTrust struct {
	url       string
	got, want uint64
}

func (e *staleTrust) Error() string {
	return fmt.Sprintf("store %s shows trust list %d, but list %d of it was seen before, or another one of that number", e.url, e.got, e.want)
}

func (e *staleTrust) Unwrap() error { return snapshot.ErrTrustRollback }

// noSnapshot: nothing fits what was asked for.
type noSnapshot struct {
	msg string
	err error // what could not be read and might have been it; nil for nothing
}

func (e *noSnapshot) Error() string {
	if e.err != nil {
		return fmt.Sprintf("%s; what could not be read: %v", e.msg, e.err)
	}
	return e.msg
}

func (e *noSnapshot) Unwrap() error { return e.err }

// newestBad: the newest snapshot of a set is damaged, missing or forked. An older
// one is never taken in its place, only named.
type newestBad struct {
	set   string
	err   error
	older *row                // nil: there is none
	again func(string) string // the command that was run, for another snapshot
}

func (e *newestBad) Error() string {
	msg := fmt.Sprintf("the newest snapshot of set %s cannot be had: %v", e.set, e.err)
	if e.older != nil {
		msg += fmt.Sprintf("; snapshot %s of %s is not affected by this", e.older.short(), e.older.when())
	}
	return msg
}

func (e *newestBad) Unwrap() error { return e.err }

// damage: objects of the store are damaged; each has been said.
type damage struct{ msg string }

func (e *damage) Error() string { return e.msg }

// hinted is an error with a hint of its own, instead of that of its class.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
