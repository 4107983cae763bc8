package events

import (
	"cmp"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"vaultik/internal/fault"
	"vaultik/vault/page"
)

// PathText is a path: plain where it is UTF-8, else in base64.
type PathText struct {
	Path   string `json:"path,omitempty"`
	Path64 string `json:"path64,omitempty"`
}

// PathOf is a path as JSON has it.
func PathOf(p string) PathText {
	if utf8.ValidString(p) {
		return PathText{Path: p}
	}
	return PathText{Path64: base64.StdEncoding.EncodeToString([]byte(p))}
}

// Raw is the path itself.
func (p PathText) Raw() string {
	if p.Path64 == "" {
		return p.Path
	}
	b, _ := base64.StdEncoding.DecodeString(p.Path64) // PathOf made it
	return string(b)
}

// Progress comes about once a second while a job runs.
type Progress struct {
	Type       string   `json:"type"` // progress
	Phase      string   `json:"phase,omitempty"`
	FilesDone  int64    `json:"files_done"`
	FilesTotal int64    `json:"files_total"` // known so far
	BytesDone  int64    `json:"bytes_done"`
	BytesTotal int64    `json:"bytes_total"` // known so far
	BytesRead  int64    `json:"bytes_read"`
	Stored     int64    `json:"bytes_stored"`
	Errors     int64    `json:"errors"`
	TotalKnown bool     `json:"total_known"` // the totals will not grow any more
	PathText            // what is being worked on
	Seconds    float64  `json:"seconds"`
	Left       *float64 `json:"seconds_left,omitempty"`
}

// Item is what became of one path.
type Item struct {
	Type string `json:"type"` // item
	PathText
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Warning is something that did not stop the job.
type Warning struct {
	Type    string `json:"type"` // warning
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error is what ended a job.
type Error struct {
	Type    string     `json:"type"` // error
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
	Choices []string   `json:"choices,omitempty"` // commands, one of which is meant
	Exit    fault.Code `json:"exit"`
}

// Summary is the last object of every command; all its fields are always there.
type Summary struct {
	Type    string     `json:"type"` // summary
	Command string     `json:"command"`
	Exit    fault.Code `json:"exit"`
	Totals
	Seconds float64 `json:"seconds"`
}

// Totals are what a job has counted, whichever it was.
type Totals struct {
	Snapshot  string `json:"snapshot"` // 64 hex digits, "" for none
	Files     int64  `json:"files"`
	New       int64  `json:"new"`
	Changed   int64  `json:"changed"`
	Unchanged int64  `json:"unchanged"`
	BytesRead int64  `json:"bytes_read"`
	Stored    int64  `json:"bytes_stored"`
	Objects   int64  `json:"objects_stored"`
	Written   int64  `json:"bytes_written"`
	Errors    int64  `json:"errors"`
	Retries   int64  `json:"retries"` // calls of the store that were made again
}

// Snapshot is one snapshot. What only a key or this host's own files tell
// is left out where neither does.
type Snapshot struct {
	Type       string     `json:"type"` // snapshot
	ID         string     `json:"id"`   // 64 hex digits
	Time       time.Time  `json:"time"`
	Host       string     `json:"host"` // id
	Set        string     `json:"set"`  // id
	Seq        uint64     `json:"seq"`
	Complete   bool       `json:"complete"`
	Blobs      int64      `json:"blobs"`        // that it needs
	Stored     int64      `json:"bytes_stored"` // of these blobs
	Hostname   string     `json:"hostname,omitempty"`
	Hostname64 string     `json:"hostname64,omitempty"`
	SetName    string     `json:"setname,omitempty"`
	SetName64  string     `json:"setname64,omitempty"`
	Paths      []PathText `json:"paths,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Unnamed    int64      `json:"tags_unnamed,omitempty"` // tags whose names are not known
	Pinned     bool       `json:"pinned,omitempty"`       // no retention removes it
	Files      *int64     `json:"files,omitempty"`
	Bytes      *int64     `json:"bytes,omitempty"`
	Errors     *int64     `json:"errors,omitempty"`
}

// Verdict says what a policy does with one snapshot.
type Verdict struct {
	Type       string    `json:"type"` // verdict
	ID         string    `json:"id"`   // 64 hex digits
	Time       time.Time `json:"time"`
	Host       string    `json:"host"` // id
	Set        string    `json:"set"`  // id
	Seq        uint64    `json:"seq"`
	Complete   bool      `json:"complete"`
	Whole      bool      `json:"whole"` // the store lists all that it needs
	Hostname   string    `json:"hostname,omitempty"`
	Hostname64 string    `json:"hostname64,omitempty"`
	SetName    string    `json:"setname,omitempty"`
	SetName64  string    `json:"setname64,omitempty"`
	Keep       bool      `json:"keep"`
	Reasons    []string  `json:"reasons,omitempty"` // why it is kept, in words
}

// Entry is one entry of a snapshot.
type Entry struct {
	Type string `json:"type"` // entry
	PathText
	Kind     string  `json:"kind"`
	Mode     string  `json:"mode"` // octal, without the type
	UID      uint32  `json:"uid"`
	GID      uint32  `json:"gid"`
	User     string  `json:"user,omitempty"`
	User64   string  `json:"user64,omitempty"`
	Group    string  `json:"group,omitempty"`
	Group64  string  `json:"group64,omitempty"`
	Size     *int64  `json:"size,omitempty"`
	Mtime    string  `json:"mtime"`
	Btime    string  `json:"btime,omitempty"`
	Target   string  `json:"target,omitempty"`
	Target64 string  `json:"target64,omitempty"`
	Major    *uint32 `json:"major,omitempty"`
	Minor    *uint32 `json:"minor,omitempty"`
	HardLink string  `json:"hardlink,omitempty"` // equal in all names of one file
	Flags    uint32  `json:"flags,omitempty"`
	Xattrs   []Xattr `json:"xattrs,omitempty"`
	SHA256   string  `json:"sha256,omitempty"`

	Of *page.Entry `json:"-"` // as the snapshot has it
}

// Xattr is an extended attribute of an entry.
type Xattr struct {
	Name   string `json:"name,omitempty"`
	Name64 string `json:"name64,omitempty"`
	Value  []byte `json:"value"` // in base64
}

// Problem is something in the store that is not as it should be.
type Problem struct {
	Type      string     `json:"type"` // problem
	Kind      string     `json:"kind"`
	Key       string     `json:"key,omitempty"` // of the object; none for a gap
	Host      string     `json:"host,omitempty"`
	Set       string     `json:"set,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
	Reason    string     `json:"reason"`
	Snapshots []string   `json:"snapshots,omitempty"` // ids of those affected
	Paths     []PathText `json:"paths,omitempty"`     // the first few that need it
	Lost      []string   `json:"lost,omitempty"`      // what a damaged page held, in words
	MorePaths bool       `json:"more_paths,omitempty"`

	Err error `json:"-"` // why it could not be read; nil unless Kind says so

	SetName, HostName string `json:"-"` // for people, the ids where these are not known
}

// Verified is how much was checked.
type Verified struct {
	Type      string   `json:"type"` // verified
	Snapshots int      `json:"snapshots"`
	Affected  []string `json:"affected,omitempty"` // ids of snapshots that need something bad
	Objects   int64    `json:"objects"`
	Bytes     int64    `json:"bytes"` // of the objects
	Checked   int64    `json:"checked"`
	Parity    int64    `json:"parity"`         // blobs that have parity beside them
	ParityOK  int64    `json:"parity_checked"` // of which it was read and is right
	Pages     int64    `json:"pages"`
	Chunks    int64    `json:"chunks"`
	Entries   int64    `json:"entries"`
	BytesRead int64    `json:"bytes_read"`
	Problems  int64    `json:"problems"`
}

// Scrubbed is what a check has read that reads what is due, and when the rest was read.
type Scrubbed struct {
	Type    string    `json:"type"`           // scrubbed
	Period  float64   `json:"period_seconds"` // in which each byte is to be read once
	Objects int64     `json:"objects"`        // read now
	Bytes   int64     `json:"bytes"`          // of these
	Total   int64     `json:"bytes_total"`    // that the snapshots need
	Recent  int64     `json:"bytes_recent"`   // of these, read or written within the period
	Oldest  time.Time `json:"oldest"`         // when that was read or written that was longest ago

	Within string `json:"-"` // the period as people write it
}

// Drilled is what a drill has done, at its end.
type Drilled struct {
	Type      string       `json:"type"` // drilled
	Sets      []DrilledSet `json:"sets"`
	Blobs     int64        `json:"blobs"`          // opened now, with the key itself
	ByEpoch   int64        `json:"blobs_by_epoch"` // with the key of their epoch only
	Older     int64        `json:"blobs_older"`    // not opened: only for snapshots for other keys
	Before    int64        `json:"blobs_before"`   // drilled by an earlier run
	Left      int64        `json:"blobs_left"`     // left for the next run
	Keys      int64        `json:"keys"`           // wrappings of epoch keys that were opened
	Files     int64        `json:"files"`          // restored into memory
	FileBytes int64        `json:"bytes_files"`    // of these
	BytesRead int64        `json:"bytes_read"`
	Affected  []string     `json:"affected,omitempty"` // ids of snapshots that need something bad
	Problems  int64        `json:"problems"`
	Since     *time.Time   `json:"since,omitempty"` // the drill before, with the same key
}

// DrilledSet is a set and its newest snapshots.
type DrilledSet struct {
	Host       string     `json:"host"` // id
	Set        string     `json:"set"`  // id
	Hostname   string     `json:"hostname,omitempty"`
	Hostname64 string     `json:"hostname64,omitempty"`
	SetName    string     `json:"setname,omitempty"`
	SetName64  string     `json:"setname64,omitempty"`
	Newest     time.Time  `json:"newest"`
	Whole      *time.Time `json:"newest_whole,omitempty"` // complete, and nothing of it bad
	Snapshot   string     `json:"snapshot,omitempty"`     // id of that
	Old        bool       `json:"old"`                    // Whole is older than was asked for

	HostText, SetText string `json:"-"` // for people, the ids where names are not known
}

// IndexChecked is what an index and its store say of each other.
type IndexChecked struct {
	Type string `json:"type"` // index-checked
	PathText
	Host         string `json:"host"`          // id
	Sets         int    `json:"sets"`          // whose newest snapshot was compared
	Blobs        int64  `json:"blobs"`         // that the index knows
	Gone         int64  `json:"blobs_gone"`    // of these, no longer in the store
	Size         int64  `json:"blobs_size"`    // of these, of another size in the store
	Unknown      int64  `json:"blobs_unknown"` // needed by the newest snapshots, and not known
	UnknownBytes int64  `json:"bytes_unknown"` // of these
	Missing      int64  `json:"blobs_missing"` // that the newest snapshots need and the store lacks
	BadRows      int64  `json:"bad_rows"`      // that cannot be read, and count for nothing
}

// StoreMade is a new store, and what init made with it.
type StoreMade struct {
	Type     string `json:"type"` // store: init made it
	Store    string `json:"store"`
	URL      string `json:"url,omitempty"`
	URL64    string `json:"url64,omitempty"`
	Owner    string `json:"owner"` // fingerprint
	Config   string `json:"config,omitempty"`
	Config64 string `json:"config64,omitempty"`
	Kit      string `json:"recovery_kit,omitempty"`
	Kit64    string `json:"recovery_kit64,omitempty"`

	Secret bool `json:"-"` // the kit holds the identity that was made
}

// Compacted is what a backup has stored anew, so that blobs of which little is used are not
// needed any more.
type Compacted struct {
	Type   string `json:"type"` // compacted
	Set    string `json:"set"`  // id
	Stored int64  `json:"bytes"`
	Blobs  int    `json:"blobs"`      // that the snapshot does not need any more
	Left   int64  `json:"blob_bytes"` // of these
}

// Resumed is a set of this host that goes on after a snapshot which this machine did not know.
type Resumed struct {
	Type      string    `json:"type"` // resumed
	Set       string    `json:"set"`
	SetName   string    `json:"setname,omitempty"`
	SetName64 string    `json:"setname64,omitempty"`
	Snapshot  string    `json:"snapshot"` // 64 hex digits
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`
	Known     uint64    `json:"known_seq"` // the last that this machine had known; 0: none
}

// Recipients are those for whom a host encrypts.
type Recipients struct {
	Type       string   `json:"type"`           // recipients
	Host       string   `json:"host,omitempty"` // id; none: this host
	Recipients []string `json:"recipients"`     // none: only their sum is known
	Sum        string   `json:"sum"`            // 64 hex digits: what the owner signs
	Signed     bool     `json:"signed"`         // the owner had signed it before

	Kit string `json:"-"` // the recipient of the recovery kit, "" if it holds no identity
}

// Rollback is what a store has lost that was put back from an older copy.
type Rollback struct {
	Type      string          `json:"type"` // rollback
	Store     string          `json:"store"`
	Snapshots uint64          `json:"snapshots"` // that are lost
	Sets      []LostSnapshots `json:"sets"`
	TrustFrom uint64          `json:"trust_from,omitempty"` // trust lists that are lost
	TrustTo   uint64          `json:"trust_to,omitempty"`
	GC        []LostGC        `json:"gc,omitempty"`
	Hosts     []StoreHost     `json:"hosts"` // that are trusted now
}

// LostGC is the newest gc object about a host that is gone: what it condemned, and which
// snapshots were pruned, is forgotten.
type LostGC struct {
	Host string `json:"host"`
	Seq  uint64 `json:"seq"`
}

// LostSnapshots is a run of snapshots of one set that are gone.
type LostSnapshots struct {
	Host       string `json:"host"`
	Hostname   string `json:"hostname,omitempty"`
	Hostname64 string `json:"hostname64,omitempty"`
	Set        string `json:"set"`
	SetName    string `json:"setname,omitempty"`
	SetName64  string `json:"setname64,omitempty"`
	From       uint64 `json:"from_seq"`
	To         uint64 `json:"to_seq"`
}

// Author is a key that has signed objects of a store whose trust list is damaged.
type Author struct {
	Type      string     `json:"type"` // author
	Host      string     `json:"host,omitempty"`
	Key       string     `json:"key"`       // fingerprint
	Snapshots int        `json:"snapshots"` // manifests that it has signed
	GCs       int        `json:"gc_objects"`
	Last      *time.Time `json:"last,omitempty"` // of the newest of these snapshots
	Known     bool       `json:"known"`          // an older trust list names it
}

// Identity is a new key pair.
type Identity struct {
	Type      string    `json:"type"` // identity
	Identity  string    `json:"identity,omitempty"`
	Recipient string    `json:"recipient"`
	File      string    `json:"file,omitempty"`
	File64    string    `json:"file64,omitempty"`
	Created   time.Time `json:"created"`
}

// Config is the configuration in force; sizes are written as in the file.
type Config struct {
	Type         string                    `json:"type"` // config
	File         string                    `json:"file,omitempty"`
	File64       string                    `json:"file64,omitempty"`
	StorageURL   string                    `json:"storage_url,omitempty"`
	StorageURL64 string                    `json:"storage_url64,omitempty"`
	Recipients   []string                  `json:"age_recipients"`
	Sets         map[string]map[string]any `json:"snapshots"` // settings as in the file
	Retention    map[string]any            `json:"retention,omitempty"`
	Compression  int                       `json:"compression_level"`
	ChunkSize    string                    `json:"chunk_size"`
	BlobSize     string                    `json:"blob_size"`
	Compact      string                    `json:"compact_budget"`
	Parity       string                    `json:"parity"`
	Memory       string                    `json:"memory"`
	BWLimit      string                    `json:"bwlimit"`
	Connections  int                       `json:"connections"`
	Parallel     int                       `json:"parallel"` // the same
	Elapsed      string                    `json:"retry_elapsed"`
	Stall        string                    `json:"retry_stall"`
	SlowStore    bool                      `json:"retry_slow_store"`
	IndexPath    string                    `json:"index_path,omitempty"`
	IndexPath64  string                    `json:"index_path64,omitempty"`
	StateDir     string                    `json:"state_dir,omitempty"`
	StateDir64   string                    `json:"state_dir64,omitempty"`
	Hostname     string                    `json:"hostname"`
}

// Check is one thing that config check or store check looked at.
type Check struct {
	Type   string `json:"type"` // check
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warning, failed or omitted
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`

	Seconds float64 `json:"seconds,omitempty"`

	Failures []string `json:"-"` // of a promise that is not kept, one by one
}

// ConfigPath is where the files of the program are.
type ConfigPath struct {
	Type     string `json:"type"` // config-path
	Config   string `json:"config,omitempty"`
	Config64 string `json:"config64,omitempty"`
	State    string `json:"state,omitempty"`
	State64  string `json:"state64,omitempty"`
	Index    string `json:"index,omitempty"`
	Index64  string `json:"index64,omitempty"`
	Store    string `json:"store,omitempty"` // the embedded one
	Store64  string `json:"store64,omitempty"`
}

// Version is which program this is.
type Version struct {
	Type     string `json:"type"` // version
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Format   int    `json:"format"` // of stores
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Retry is a call of a store that failed and is made again.
type Retry struct {
	Type    string  `json:"type"`  // retry
	Store   string  `json:"store"` // its URL, without secrets
	Op      string  `json:"op"`
	Key     string  `json:"key,omitempty"`
	Attempt int     `json:"attempt"` // that failed, from 1
	Reason  string  `json:"reason"`
	Wait    float64 `json:"wait_seconds"`    // before the next attempt, at most
	Trouble float64 `json:"trouble_seconds"` // since the store began to fail
}

// StoreBack is the end of what [Retry] events told of.
type StoreBack struct {
	Type    string  `json:"type"` // store-back
	Store   string  `json:"store"`
	Trouble float64 `json:"trouble_seconds"`
}

// Index is an index that was rebuilt.
type Index struct {
	Type string `json:"type"` // index
	PathText
	Host       string `json:"host"` // id
	Hostname   string `json:"hostname,omitempty"`
	Hostname64 string `json:"hostname64,omitempty"`
	Sets       int    `json:"sets"`
	Blobs      int    `json:"blobs"`
	Chunks     int64  `json:"chunks"`

	Place string `json:"-"` // where this machine has its index, "" if that is another host
}

// Restored is what became of a restore, all in one.
type Restored struct {
	Type         string         `json:"type"` // restored
	Files        int64          `json:"files"`
	Dirs         int64          `json:"dirs"`
	Symlinks     int64          `json:"symlinks"`
	Others       int64          `json:"others"`
	Restored     int64          `json:"restored"`
	Replaced     int64          `json:"replaced"`
	Changed      int64          `json:"changed"`
	Unchanged    int64          `json:"unchanged"`
	Kept         int64          `json:"kept"`
	Deleted      int64          `json:"deleted"`
	Ignored      int64          `json:"ignored"`
	Failed       int64          `json:"failed"`
	Written      int64          `json:"bytes_written"`
	Reused       int64          `json:"bytes_reused"`
	BytesRead    int64          `json:"bytes_read"`
	Parts        int64          `json:"parts"`
	Half         []PathText     `json:"half,omitempty"`
	Damaged      bool           `json:"damaged"`
	Problems     []ItemProblem  `json:"problems,omitempty"`
	MoreProblems bool           `json:"more_problems,omitempty"`
	Lost         []string       `json:"lost,omitempty"`
	Unread       []string       `json:"unread,omitempty"` // pages that could not be read
	Attributes   []AttributeSum `json:"attributes,omitempty"`

	LostWhy   []string      `json:"-"` // for each of Lost
	UnreadWhy []string      `json:"-"` // for each of Unread
	Leftovers int64         `json:"-"` // removed temporary files of an interrupted restore
	Above     int64         `json:"-"` // directories above what was restored that lack attributes
	Duration  time.Duration `json:"-"`
}

// ItemProblem is one entry that failed.
type ItemProblem struct {
	PathText
	Reason string `json:"reason"`

	Why string `json:"-"` // the reason without the path, which others may share
}

// AttributeSum is one kind of attribute that could not be set.
type AttributeSum struct {
	What     string `json:"what"`
	Entries  int64  `json:"entries"`
	PathText        // the first of them
	Reason   string `json:"reason"` // why not there
}

// Plan is what a restore would do.
type Plan struct {
	Type      string  `json:"type"` // plan
	Create    int64   `json:"create"`
	Replace   int64   `json:"replace"`
	Change    int64   `json:"change"`
	Unchanged int64   `json:"unchanged"`
	Keep      int64   `json:"keep"`
	Delete    int64   `json:"delete"`
	Ignored   int64   `json:"ignored"`
	Failed    int64   `json:"failed"`
	Corrected int64   `json:"corrected"`
	Write     int64   `json:"bytes_write"`
	Reuse     int64   `json:"bytes_reuse"`
	Fetch     int64   `json:"bytes_fetch"`
	Space     []Space `json:"space,omitempty"`

	Snapshot string `json:"-"` // its short id
	Freed    int64  `json:"-"` // bytes, by what would be deleted
}

// Space is what a restore would take of one file system.
type Space struct {
	PathText         // a directory on it
	Needed     int64 `json:"needed"`
	Free       int64 `json:"free"`
	NeedInodes int64 `json:"inodes_needed"`
	FreeInodes int64 `json:"inodes_free"`
	Unsure     bool  `json:"unsure"`
}

// Copied is what store copy has done, also if it ended early.
type Copied struct {
	Type      string `json:"type"` // copied
	Store     string `json:"store"`
	To        string `json:"to"`        // without secrets
	Snapshots int    `json:"snapshots"` // of the source that the target has now
	New       int    `json:"new_snapshots"`
	Objects   int64  `json:"objects"` // that the snapshots need
	Bytes     int64  `json:"bytes"`   // of these
	There     int64  `json:"objects_there"`
	Sent      int64  `json:"objects_sent"`
	SentBytes int64  `json:"bytes_sent"`
	Replaced  int64  `json:"objects_replaced"`
	Read      int64  `json:"bytes_read"`
	Spare     int64  `json:"objects_left_out"`
	Extra     int    `json:"snapshots_kept"` // that only the target has
	Problems  int64  `json:"problems"`
}

// Repair is what repair has done about one object, or would do.
type Repair struct {
	Type      string   `json:"type"` // repair
	Key       string   `json:"key"`
	Done      string   `json:"done"`           // one of the words below
	From      string   `json:"from,omitempty"` // mirror, parity, blob
	Reason    string   `json:"reason"`         // what was wrong
	Bytes     int64    `json:"bytes"`
	Snapshots []string `json:"snapshots,omitempty"` // ids of those that need it
	DryRun    bool     `json:"dry_run"`
}

// What repair does about an object.
const (
	RepairPut      = "put"      // it was missing
	RepairReplaced = "replaced" // it was damaged
	RepairReleased = "released" // its name is no longer condemned
	RepairParity   = "parity"   // it is the parity of a blob, and was made

	FromMirror = "mirror" // see [Repair.From]
)

// Repaired is what repair has done, or would do, also if it ended early.
type Repaired struct {
	Type       string   `json:"type"` // repaired
	DryRun     bool     `json:"dry_run"`
	Snapshots  int      `json:"snapshots"`
	Objects    int64    `json:"objects"`     // that the snapshots need
	Put        int64    `json:"put"`         // objects that were put back
	FromMirror int64    `json:"from_mirror"` // of these
	FromParity int64    `json:"from_parity"` // of these
	Sectors    int64    `json:"sectors"`     // of 4 KiB that parity has corrected
	Released   int64    `json:"released"`    // names that are no longer condemned
	Parities   int64    `json:"parities"`    // parities of blobs that were made
	PutBytes   int64    `json:"bytes_put"`
	Left       int64    `json:"left"`               // problems that are left
	Affected   []string `json:"affected,omitempty"` // ids of snapshots that these affect
}

// Pruned is what prune did in one host's part of the store, or would do, also if it ended early.
type Pruned struct {
	Type       string `json:"type"` // pruned
	Host       string `json:"host"`
	Hostname   string `json:"hostname,omitempty"`
	Hostname64 string `json:"hostname64,omitempty"`
	DryRun     bool   `json:"dry_run"`
	Snapshots  int    `json:"snapshots"` // that stay
	Removed    int    `json:"snapshots_removed"`
	GC         uint64 `json:"gc"` // number of the gc object that was written; 0: none

	All       Amount `json:"all"`       // that the store lists
	Needed    Amount `json:"needed"`    // by snapshots, and by running backups
	Young     Amount `json:"young"`     // not needed, and too new to be condemned
	Condemned Amount `json:"condemned"` // by this run
	Waiting   Amount `json:"waiting"`   // condemned, and deleted later
	Ripe      Amount `json:"ripe"`      // condemned, and to be deleted now
	Deleted   Amount `json:"deleted"`   // of these, those that were
	Kept      Amount `json:"kept"`      // to be deleted, and not let go by the store
	Locked    Amount `json:"locked"`    // to be deleted now, and kept by object lock
	Versions  bool   `json:"versions"`  // the store keeps what is deleted as older versions

	Age         float64    `json:"age"`                // seconds until the unneeded is condemned
	Grace       float64    `json:"grace"`              // seconds from there until it is deleted
	AfterBackup bool       `json:"after_backup"`       // and not before the host's next backup
	Next        *time.Time `json:"next,omitempty"`     // when the first that waits can go
	Unlocked    *time.Time `json:"unlocked,omitempty"` // when the last that is locked can
	Error       string     `json:"error,omitempty"`
}

// Amount is a number of objects, and their bytes.
type Amount struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// StoreInfo is a store as a whole.
type StoreInfo struct {
	Type      string          `json:"type"` // store-info
	Store     string          `json:"store"`
	URL       string          `json:"url"` // without secrets
	Kind      string          `json:"kind"`
	Owner     string          `json:"owner"` // fingerprint
	Created   time.Time       `json:"created"`
	Safety    string          `json:"safety"` // strong or weak
	TrustSeq  uint64          `json:"trust_seq"`
	Hosts     []StoreHost     `json:"hosts"`
	Sets      int             `json:"sets"`
	Snapshots int64           `json:"snapshots"`
	Objects   []ObjectsOfKind `json:"objects"`
	Total     *int64          `json:"total,omitempty"` // bytes
	Free      *int64          `json:"free,omitempty"`
	Abilities

	Promise Promise `json:"-"` // what Safety means
}

// StoreHost is a host of a store.
type StoreHost struct {
	Host    string     `json:"host"`
	Roles   []string   `json:"roles"`
	Revoked *time.Time `json:"revoked,omitempty"`

	Here bool `json:"-"` // it is this machine
}

// ObjectsOfKind is how much of one kind a store has.
type ObjectsOfKind struct {
	Kind    string `json:"kind"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// Abilities are what a place can do.
type Abilities struct {
	ConditionalPut bool   `json:"conditional_put"`
	AtomicReplace  bool   `json:"atomic_replace"`
	Checksums      bool   `json:"server_checksum"`
	Sorted         bool   `json:"sorted"`
	RangeNative    bool   `json:"range_native"`
	EmptyObjects   bool   `json:"empty_objects"`
	MaxObject      *int64 `json:"max_object,omitempty"` // bytes
	Connections    int    `json:"connections"`
}

// StoreCheck is what a place can do, and what store check found.
type StoreCheck struct {
	Type   string `json:"type"`            // store-check
	URL    string `json:"url"`             // without secrets
	Store  string `json:"store,omitempty"` // id
	Kind   string `json:"kind"`
	Safety string `json:"safety"` // strong or weak
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Left   int    `json:"omitted"`
	Total  *int64 `json:"total,omitempty"` // bytes
	Free   *int64 `json:"free,omitempty"`
	Abilities
	Lock  string   `json:"object_lock"`                // in words
	Clock *float64 `json:"clock_difference,omitempty"` // seconds that the store's clock is ahead
	Speed
	Stuck int64 `json:"left_behind"` // objects that could not be removed

	Promise Promise `json:"-"` // what Safety means
}

// Speed is how fast a place is.
type Speed struct {
	LatencyPut float64 `json:"put_latency"` // seconds, of 1 KiB
	LatencyGet float64 `json:"get_latency"`
	PutOne     float64 `json:"put_speed"` // bytes a second, one connection
	GetOne     float64 `json:"get_speed"`
	PutAll     float64 `json:"put_speed_all"` // with all connections
	GetAll     float64 `json:"get_speed_all"`

	Workers int `json:"-"` // how many these are
}

// Twin is a name as JSON has it: plain, or in base64 if it is not UTF-8.
func Twin(s string) (plain, b64 string) {
	p := PathOf(s)
	return p.Path, p.Path64
}

// NameOf is the name of which Twin made a field and its twin; otherwise if it has none.
func NameOf(plain, b64, otherwise string) string {
	return cmp.Or(PathText{plain, b64}.Raw(), otherwise)
}

// Promise is what a store does about two writers of one name.
type Promise int

// The promises.
const (
	NewStrong    Promise = iota // a store made there would be strong
	NewWeak                     // a store made there would be weak
	Weak                        // the store is weak
	StrongBroken                // the store is strong, the place of this copy is not
	Strong                      // the store is strong
)

// HostRequest is what a machine asks the owner of a store for: to be trusted.
type HostRequest struct {
	Type       string    `json:"type"` // host-request
	Store      string    `json:"store"`
	Host       string    `json:"host"`
	Hostname   string    `json:"hostname,omitempty"`
	Hostname64 string    `json:"hostname64,omitempty"`
	Key        string    `json:"key"` // fingerprint, to be compared by a person
	Roles      []string  `json:"roles"`
	Time       time.Time `json:"time"`
	Recipients []string  `json:"recipients"` // for whom it will encrypt
	Sum        string    `json:"recipients_sum,omitempty"`
	Request    string    `json:"request,omitempty"` // what host accept takes; only from host add

	Kit  string `json:"-"` // the recipient of the recovery kit, "" if it holds no identity
	File string `json:"-"` // where host add wrote the request, "" for nowhere
}

// Host is a machine that a store trusts, or has trusted.
type Host struct {
	Type       string     `json:"type"` // host
	Host       string     `json:"host"`
	Hostname   string     `json:"hostname,omitempty"`
	Hostname64 string     `json:"hostname64,omitempty"`
	Key        string     `json:"key"` // fingerprint
	Roles      []string   `json:"roles"`
	Since      *time.Time `json:"since,omitempty"`
	// Recipients is the sum of those that the owner has signed last.
	Recipients string       `json:"recipients_sum,omitempty"`
	Snapshot   string       `json:"snapshot,omitempty"` // the newest
	Last       *time.Time   `json:"last,omitempty"`     // its time
	Revoked    *time.Time   `json:"revoked,omitempty"`
	Stands     []Standing   `json:"stands,omitempty"`
	StandsGC   []StandingGC `json:"stands_gc,omitempty"`
	Here       bool         `json:"this_machine"`
}

// Revocation is what the owner is about to say of a host: nothing that its key has signed
// counts but what stands.
type Revocation struct {
	Type       string       `json:"type"` // revocation
	Host       string       `json:"host"`
	Hostname   string       `json:"hostname,omitempty"`
	Hostname64 string       `json:"hostname64,omitempty"`
	Key        string       `json:"key"` // fingerprint
	Roles      []string     `json:"roles"`
	Stands     []Standing   `json:"stands"`
	StandsGC   []StandingGC `json:"stands_gc"`
	Dropped    int          `json:"snapshots_dropped"` // newer ones, which count no longer
}

// Standing is the last snapshot of a set that counts of a host that is revoked.
type Standing struct {
	Set       string     `json:"set"`
	SetName   string     `json:"setname,omitempty"`
	SetName64 string     `json:"setname64,omitempty"`
	Seq       uint64     `json:"seq"`
	Snapshot  string     `json:"snapshot"`       // 64 hex digits
	Time      *time.Time `json:"time,omitempty"` // unless it is missing
}

// StandingGC is the last gc object about a host that counts of a pruner that is revoked.
type StandingGC struct {
	Host string `json:"host"`
	Seq  uint64 `json:"seq"`
}

// FleetHost is how a host of a store is doing.
type FleetHost struct {
	Type       string     `json:"type"` // fleet-host
	Host       string     `json:"host"`
	Hostname   string     `json:"hostname,omitempty"`
	Hostname64 string     `json:"hostname64,omitempty"`
	Roles      []string   `json:"roles"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	Objects    int64      `json:"objects"`
	Bytes      int64      `json:"bytes"`                 // in the store
	Week       *int64     `json:"added_7d,omitempty"`    // bytes, by the times of the store
	Month      *int64     `json:"added_30d,omitempty"`   // the same in 30 days
	Age        *float64   `json:"age_seconds,omitempty"` // of the newest snapshot
	Stale      bool       `json:"stale"`
	Problems   int        `json:"problems"`
}

// FleetSet is how a set of a host is doing.
type FleetSet struct {
	Type       string     `json:"type"` // fleet-set
	Host       string     `json:"host"`
	Hostname   string     `json:"hostname,omitempty"`
	Hostname64 string     `json:"hostname64,omitempty"`
	Set        string     `json:"set"`
	SetName    string     `json:"setname,omitempty"`
	SetName64  string     `json:"setname64,omitempty"`
	Snapshots  int        `json:"snapshots"`
	Snapshot   string     `json:"snapshot,omitempty"` // the newest
	Time       *time.Time `json:"time,omitempty"`
	Age        *float64   `json:"age_seconds,omitempty"`
	Complete   bool       `json:"complete"` // nothing that was to be saved is missing from it
	Whole      bool       `json:"whole"`    // the store has all that it needs
	Bytes      int64      `json:"bytes"`    // that it needs; other snapshots share them
	Stale      bool       `json:"stale"`
	Problems   int        `json:"problems"`
}
