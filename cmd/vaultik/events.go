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
	Errors    int64   `json:"errors"`
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
	Type        string               `json:"type"` // config
	File        string               `json:"file"`
	StorageURL  string               `json:"storage_url"`
	Recipients  []string             `json:"age_recipients"`
	Sets        map[string]configSet `json:"snapshots"`
	Compression int                  `json:"compression_level"`
	ChunkSize   string               `json:"chunk_size"`
	BlobSize    string               `json:"blob_size"`
	Memory      string               `json:"memory"`
	Parallel    int                  `json:"parallel"`
	IndexPath   string               `json:"index_path"`
	Hostname    string               `json:"hostname"`
}

type configSet struct {
	Paths        []string `json:"paths"`
	Exclude      []string `json:"exclude,omitempty"`
	ExcludeFiles []string `json:"exclude_file,omitempty"`
}

// checkEvent is one thing that config check looked at.
type checkEvent struct {
	Type   string `json:"type"` // check
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warning or failed
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
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
