package config

import (
	"errors"
	"io/fs"
	"slices"

	"vaultik/vault/layout"
)

const setsFile = "sets.json"

// Sets are the sets this host has backed up, with the ids that stand for them in the
// store. Only here are names and paths in the clear.
type Sets struct {
	V    int         `json:"v"`
	Sets []SetRecord `json:"sets"`
}

// SetRecord is one set; other paths make another set.
type SetRecord struct {
	ID     layout.SetID `json:"id"`
	Name   Text         `json:"name"`
	Source string       `json:"source,omitempty"` // "": paths
	Paths  []Text       `json:"paths"`            // absolute, sorted; none for a list, which may be long

	// Reread is the last day whose share of the files has been read again, in days since
	// 1970; 0: none yet.
	Reread int64 `json:"reread,omitempty"`
}

// Sources of sets that are identified by name instead of paths.
const (
	SourceList   = "list"   // paths come from a list
	SourceStream = "stream" // content is no file; its one path is a name for it
)

// SortedPaths is the form in which the paths of two sets are compared.
func SortedPaths(paths []string) []string {
	out := slices.Clone(paths)
	slices.Sort(out)
	return slices.Compact(out)
}

// PathStrings gives the paths as strings.
func (r SetRecord) PathStrings() []string {
	out := make([]string, len(r.Paths))
	for i, p := range r.Paths {
		out[i] = string(p)
	}
	return out
}

// Name is the name of a set, "" when this host does not know it.
func (s *Sets) Name(id layout.SetID) string {
	for _, r := range s.Sets {
		if r.ID == id {
			return string(r.Name)
		}
	}
	return ""
}

// ByName lists the sets of one name, newest last: a name whose paths changed has several.
func (s *Sets) ByName(name string) []SetRecord {
	var out []SetRecord
	for _, r := range s.Sets {
		if string(r.Name) == name {
			out = append(out, r)
		}
	}
	return out
}

// ByPaths lists the sets of exactly these paths, in any order.
func (s *Sets) ByPaths(paths []string) []SetRecord {
	want := SortedPaths(paths)
	var out []SetRecord
	for _, r := range s.Sets {
		if r.Source == "" && slices.Equal(r.PathStrings(), want) {
			out = append(out, r)
		}
	}
	return out
}

// Add records a new set with a random id.
func (s *Sets) Add(name string, paths []string) SetRecord {
	r := SetRecord{ID: layout.NewSetID(), Name: Text(name)}
	for _, p := range SortedPaths(paths) {
		r.Paths = append(r.Paths, Text(p))
	}
	s.Sets = append(s.Sets, r)
	return r
}

// Named finds or adds the set of this source and name.
func (s *Sets) Named(source, name string) SetRecord {
	for _, r := range s.Sets {
		if r.Source == source && string(r.Name) == name {
			return r
		}
	}
	r := SetRecord{ID: layout.NewSetID(), Name: Text(name), Source: source, Paths: []Text{}}
	s.Sets = append(s.Sets, r)
	return r
}

// LoadSets reads sets.json; a missing one has no sets.
func (s State) LoadSets() (*Sets, error) {
	sets := Sets{V: stateVersion}
	f := s.Path(setsFile)
	err := s.load(setsFile, "put back a copy, or let the next backup begin new sets: mv "+Quote(f)+" "+Quote(f+".broken"), &sets)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &sets, nil
}

// UpdateSets changes sets.json with no other process in between.
func (s State) UpdateSets(fn func(*Sets) error) error {
	return s.locked(func() error {
		sets, err := s.LoadSets()
		if err != nil {
			return err
		}
		if err := fn(sets); err != nil {
			return err
		}
		return s.save(setsFile, sets)
	})
}
