package engine

import (
	"fmt"
	"path/filepath"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/snapshot"
)

// noStoreNamed: there is neither a configuration nor a store that was named.
type noStoreNamed struct{ err error }

func (e *noStoreNamed) Error() string  { return e.err.Error() }
func (e *noStoreNamed) Unwrap() error  { return e.err }
func (*noStoreNamed) Exit() fault.Code { return fault.NoStore }
func (*noStoreNamed) Hint() string {
	return "create a configuration: vaultik init; or name a store: vaultik --store URL snapshots"
}

// namedMissing: the configuration that was named is not there. It is no config.ErrMissing:
// what does without a configuration, or makes one, does not do so in place of this one.
type namedMissing struct{ file, by string }

func (e *namedMissing) Error() string {
	return fmt.Sprintf("%s names the configuration %s, which does not exist", e.by, e.file)
}

func (*namedMissing) Exit() fault.Code { return fault.Usage }
func (e *namedMissing) Hint() string {
	return "correct the name; or set up this machine with that configuration: vaultik --config " +
		config.Quote(e.file) + " init"
}

// notSetUp: there is no configuration, and a backup would have to make one unasked.
type notSetUp struct {
	file   string // that is missing
	other  string // configuration of the user that sudo was called by, "" for none
	caller string // that user
	again  string // the backup, for the other configuration
}

func (e *notSetUp) Error() string {
	if e.other != "" {
		return fmt.Sprintf("there is no configuration at %s, but %s, who called this command, "+
			"has one at %s", e.file, e.caller, e.other)
	}
	return fmt.Sprintf("there is no configuration at %s, and without a terminal none is created "+
		"unless --init says so", e.file)
}

func (*notSetUp) Exit() fault.Code { return fault.Failed }
func (e *notSetUp) Choices() []string {
	if e.other == "" {
		return nil
	}
	return []string{e.again, "vaultik backup --init PATH"}
}

func (e *notSetUp) Hint() string {
	if e.other != "" {
		return ""
	}
	return "check HOME and XDG_CONFIG_HOME; or set up this machine: vaultik init, " +
		"or vaultik backup --init PATH"
}

// fileExists: a file that must be new is there already.
type fileExists struct{ path string }

func (e *fileExists) Error() string  { return fmt.Sprintf("%s already exists", e.path) }
func (*fileExists) Exit() fault.Code { return fault.Failed }
func (e *fileExists) Hint() string {
	return "choose another file, or move this one away: mv " + config.Quote(e.path) + " " +
		config.Quote(e.path+".old")
}

// configured: init found a configuration or what is left of one.
type configured struct {
	file     string
	leftover bool // state without a configuration
	dir      string
}

func (e *configured) Error() string {
	if e.leftover {
		return fmt.Sprintf("%s exists without a configuration: it holds the keys of a host",
			e.file)
	}
	return fmt.Sprintf("this machine is already configured: %s exists", e.file)
}

func (*configured) Exit() fault.Code { return fault.Failed }
func (e *configured) Hint() string {
	if e.leftover {
		return "put the configuration back, or start over: mv " + config.Quote(e.dir) + " " +
			config.Quote(e.dir+".old")
	}
	return "to see it: vaultik config show; to create a second one elsewhere: " +
		"vaultik --config DIR/config.yaml init"
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
		return fmt.Sprintf("create store %s: a file of that name exists", e.url)
	case e.halfMade:
		return fmt.Sprintf(
			"create store %s: an interrupted init left a store without backups there", e.url)
	case e.isStore:
		return fmt.Sprintf("create store %s: a store exists there", e.url)
	default:
		return fmt.Sprintf("create store %s: the place is not empty, it contains %q", e.url,
			e.example)
	}
}

func (*storeTaken) Exit() fault.Code { return fault.Failed }
func (e *storeTaken) Hint() string {
	switch {
	case e.halfMade && e.path != "":
		things := config.Quote(filepath.Join(e.path, "store.json")) + " " +
			config.Quote(filepath.Join(e.path, "trust"))
		if e.kit != "" {
			things += " " + config.Quote(e.kit)
		}
		return "remove what it left, then start over: rm -r " + things
	case e.halfMade:
		return "remove store.json and trust/ there, then start over"
	case e.isStore:
		return "list its snapshots: vaultik --store " + config.Quote(e.url) +
			" snapshots; for a new store choose another place: vaultik init --store URL"
	default:
		return "choose an empty or new directory: vaultik init --store URL"
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
		return fmt.Sprintf("store %s does not belong to the owner %s that --owner names", e.url,
			e.want)
	}
	return fmt.Sprintf("the owner of store %s has changed: it was %s", e.url, e.want)
}

func (e *ownerDiffers) Unwrap() error  { return e.err }
func (*ownerDiffers) Exit() fault.Code { return fault.Damage }
func (e *ownerDiffers) Hint() string {
	return "if the store was created again, use the fingerprint in its recovery kit: " +
		"vaultik --store " + config.Quote(e.url) + " --owner SHA256:... snapshots"
}

// otherStore: the configured URL leads to a store that this host does not belong to.
type otherStore struct{ url, got, want string }

func (e *otherStore) Error() string {
	return fmt.Sprintf("the store at %s is not this host's: its id is %s, this host's is %s",
		e.url, e.got, e.want)
}

func (*otherStore) Exit() fault.Code { return fault.Damage }
func (*otherStore) Hint() string {
	return "check storage_url: vaultik config show"
}

// notHost: this machine does not write to the store that was opened.
type notHost struct {
	url  string
	file string // host.json, which is missing; "": another store was named
	anew string // the command that makes it another host
}

func (e *notHost) Error() string {
	if e.file != "" {
		return e.file + " is missing: it has the keys with which this machine writes to the store"
	}
	return fmt.Sprintf(
		"this machine is not a host of the store at %s: it has no keys to write there", e.url)
}

func (*notHost) Exit() fault.Code { return fault.Failed }
func (e *notHost) Hint() string {
	if e.file != "" {
		return "put back a copy of it; only if there is none, begin as a new host: " + e.anew
	}
	return "to back up to this machine's own store, omit --store: vaultik backup PATH"
}

// nothingToSave: none of the paths is there.
type nothingToSave struct {
	err        error
	configured bool // the paths are those of the configuration
}

func (e *nothingToSave) Error() string  { return "nothing to back up: " + e.err.Error() }
func (e *nothingToSave) Unwrap() error  { return e.err }
func (*nothingToSave) Exit() fault.Code { return fault.Failed }

func (e *nothingToSave) Hint() string {
	if e.configured {
		return pathsHint
	}
	return ""
}

// pathsHint is what to do about paths that are not there, where nobody has just named them.
const pathsHint = "see which paths are configured: vaultik config show"

// NothingNamed is the error of a list that names no path.
func NothingNamed(err error) error { return &nothingToSave{err: err} }

// staleTrust: the store shows an older trust list than was seen of it before.
type staleTrust struct {
	url       string
	got, want uint64
}

func (e *staleTrust) Error() string {
	return fmt.Sprintf(
		"store %s has trust list %d, but list %d, or another one with that number, was seen before",
		e.url, e.got, e.want)
}

func (e *staleTrust) Unwrap() error { return snapshot.ErrTrustRollback }

// noSnapshot: nothing fits what was asked for.
type noSnapshot struct {
	msg string
	err error // what could not be read and might have been it; nil for nothing
}

func (e *noSnapshot) Error() string {
	if e.err != nil {
		return fmt.Sprintf("%s; unreadable: %v", e.msg, e.err)
	}
	return e.msg
}

func (e *noSnapshot) Unwrap() error { return e.err }
func (*noSnapshot) Hint() string    { return "list the snapshots: vaultik snapshots" }
func (e *noSnapshot) Exit() fault.Code {
	if e.err != nil {
		return fault.Damage
	}
	return fault.Failed
}
