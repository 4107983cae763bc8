package main

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// The objects of --json, one a line, each with a type. docs/json.md is their
// schema; a field is never renamed or removed, new ones may come.

// jsonPath is a path: plain where it is UTF-8, else in base64.
type jsonPath struct {
	Path   string `json:"path,omitempty"`
	Path64 string `json:"path64,omitempty"`
}

func pathOf(p string) jsonPath {
	if utf8.ValidString(p) {
		return jsonPath{Path: p}
	}
	return jsonPath{Path64: base64.StdEncoding.EncodeToString([]byte(p))}
}

// raw is the path itself.
func (p jsonPath) raw() string {
	if p.Path64 == "" {
		return p.Path
	}
	b, _ := base64.StdEncoding.DecodeString(p.Path64) // pathOf made it
	return string(b)
}

// progressEvent comes about once a second while a job runs.
type progressEvent struct {
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
	jsonPath            // what is being worked on
	Seconds    float64  `json:"seconds"`
	Left       *float64 `json:"seconds_left,omitempty"`
}

// itemEvent is what became of one path.
type itemEvent struct {
	Type string `json:"type"` // item
	jsonPath
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

type warningEvent struct {
	Type    string `json:"type"` // warning
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

type errorEvent struct {
	Type    string   `json:"type"` // error
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty"`
	Choices []string `json:"choices,omitempty"` // commands, one of which is meant
	Exit    exit     `json:"exit"`
}

// summary is the last object of every command; all its fields are always there.
type summary struct {
	Type      string  `json:"type"` // summary
	Command   string  `json:"command"`
	Exit      exit    `json:"exit"`
	Snapshot  string  `json:"snapshot"` // 64 hex digits, "" for none
	Files     int64   `json:"files"`
	New       int64   `json:"new"`
	Changed   int64   `json:"changed"`
	Unchanged int64   `json:"unchanged"`
	BytesRead int64   `json:"bytes_read"`
	Stored    int64   `json:"bytes_stored"`
	Objects   int64   `json:"objects_stored"`
	Written   int64   `json:"bytes_written"`
	Errors    int64   `json:"errors"`
	Retries   int64   `json:"retries"` // calls of the store that were made again
	Seconds   float64 `json:"seconds"`
}

// snapshotEvent is one snapshot. What only a key or this host's own files tell
// is left out where neither does.
type snapshotEvent struct {
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
	Paths      []jsonPath `json:"paths,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Files      *int64     `json:"files,omitempty"`
	Bytes      *int64     `json:"bytes,omitempty"`
	Errors     *int64     `json:"errors,omitempty"`
}

// entryEvent is one entry of a snapshot.
type entryEvent struct {
	Type string `json:"type"` // entry
	jsonPath
	Kind     string      `json:"kind"`
	Mode     string      `json:"mode"` // octal, without the type
	UID      uint32      `json:"uid"`
	GID      uint32      `json:"gid"`
	User     string      `json:"user,omitempty"`
	User64   string      `json:"user64,omitempty"`
	Group    string      `json:"group,omitempty"`
	Group64  string      `json:"group64,omitempty"`
	Size     *int64      `json:"size,omitempty"`
	Mtime    string      `json:"mtime"`
	Btime    string      `json:"btime,omitempty"`
	Target   string      `json:"target,omitempty"`
	Target64 string      `json:"target64,omitempty"`
	Major    *uint32     `json:"major,omitempty"`
	Minor    *uint32     `json:"minor,omitempty"`
	HardLink string      `json:"hardlink,omitempty"` // equal in all names of one file
	Flags    uint32      `json:"flags,omitempty"`
	Xattrs   []jsonXattr `json:"xattrs,omitempty"`
	SHA256   string      `json:"sha256,omitempty"`
}

type jsonXattr struct {
	Name   string `json:"name,omitempty"`
	Name64 string `json:"name64,omitempty"`
	Value  []byte `json:"value"` // in base64
}

// problemEvent is something in the store that is not as it should be.
type problemEvent struct {
	Type      string     `json:"type"` // problem
	Kind      string     `json:"kind"`
	Key       string     `json:"key,omitempty"` // of the object; none for a gap
	Host      string     `json:"host,omitempty"`
	Set       string     `json:"set,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
	Reason    string     `json:"reason"`
	Snapshots []string   `json:"snapshots,omitempty"` // ids of those affected
	Paths     []jsonPath `json:"paths,omitempty"`     // the first few that need it
	Lost      []string   `json:"lost,omitempty"`      // what a damaged page held, in words
	MorePaths bool       `json:"more_paths,omitempty"`
}

// verifiedEvent is how much was checked.
type verifiedEvent struct {
	Type      string   `json:"type"` // verified
	Snapshots int      `json:"snapshots"`
	Affected  []string `json:"affected,omitempty"` // ids of snapshots that need something bad
	Objects   int64    `json:"objects"`
	Bytes     int64    `json:"bytes"` // of the objects
	Checked   int64    `json:"checked"`
	Pages     int64    `json:"pages"`
	Chunks    int64    `json:"chunks"`
	Entries   int64    `json:"entries"`
	BytesRead int64    `json:"bytes_read"`
	Problems  int64    `json:"problems"`
}

type storeEvent struct {
	Type   string `json:"type"` // store: init made it
	Store  string `json:"store"`
	URL    string `json:"url"`
	Owner  string `json:"owner"` // fingerprint
	Config string `json:"config"`
	Kit    string `json:"recovery_kit"`
}

type identityEvent struct {
	Type      string    `json:"type"` // identity
	Identity  string    `json:"identity,omitempty"`
	Recipient string    `json:"recipient"`
	File      string    `json:"file,omitempty"`
	Created   time.Time `json:"created"`
}

// configEvent is the configuration in force; sizes are written as in the file.
type configEvent struct {
	Type        string                    `json:"type"` // config
	File        string                    `json:"file"`
	StorageURL  string                    `json:"storage_url"`
	Recipients  []string                  `json:"age_recipients"`
	Sets        map[string]map[string]any `json:"snapshots"` // settings as in the file
	Compression int                       `json:"compression_level"`
	ChunkSize   string                    `json:"chunk_size"`
	BlobSize    string                    `json:"blob_size"`
	Memory      string                    `json:"memory"`
	BWLimit     string                    `json:"bwlimit"`
	Connections int                       `json:"connections"`
	Parallel    int                       `json:"parallel"` // the same
	Elapsed     string                    `json:"retry_elapsed"`
	Stall       string                    `json:"retry_stall"`
	IndexPath   string                    `json:"index_path"`
	Hostname    string                    `json:"hostname"`
}

// checkEvent is one thing that config check or store check looked at.
type checkEvent struct {
	Type   string `json:"type"` // check
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warning, failed or omitted
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`

	Seconds float64 `json:"seconds,omitempty"`
}

type configPathEvent struct {
	Type   string `json:"type"` // config-path
	Config string `json:"config"`
	Index  string `json:"index"`
	Store  string `json:"store"` // the embedded one
}

type versionEvent struct {
	Type     string `json:"type"` // version
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Format   int    `json:"format"` // of stores
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}
