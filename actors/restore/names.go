package restore

import (
	"errors"
	"fmt"
	"os"
	"strings"

	vfs "vaultik/vault/fs"
)

// manyNames is how many remembered names make it worth a try whether anything folds there.
const manyNames = 4096

// clash fails with ErrSameName if an earlier entry of the directory that the walk
// is in has a name that the target takes for the one of path.
func (w *walker) clash(d *walkDir, dir *restoreDir, path string) error {
	if d == nil || d.names.off || dir == nil || dir.Err != nil {
		return nil //nolint:nilerr // then nothing is made in it
	}
	_, name := splitPath(path)
	name = strings.Clone(name) // it is kept, and the path must not be
	s := &d.names
	plain := isPlainLower(name)
	if plain && len(s.first) == 0 {
		return nil
	}
	fold := vfs.FoldName(name)
	earlier, ok := s.first[fold]
	if !ok && fold != name && isPlainLower(fold) && !isASCII(name) {
		// An earlier name of lower-case ASCII was not remembered.
		if _, err := w.run.tree.Find(w.run.ctx, joinPath(w.pathOf(d), fold)); err == nil {
			earlier, ok = fold, true
		}
	}
	if ok && w.oneName(s, dir, earlier, name) {
		return &os.PathError{
			Op: "create", Path: absIn(w.run.abs, w.run.part.Place(path)),
			Err: fmt.Errorf("%w as that of %q", vfs.ErrSameName, earlier),
		}
	}
	if ok || plain {
		return nil
	}
	if s.first == nil {
		s.first = map[string]string{}
	}
	s.first[fold] = name
	if len(s.first)%manyNames == 0 && !w.oneName(s, dir, "aA", "Aa") &&
		!w.oneName(s, dir, "\u00e4", "a\u0308") {
		s.off, s.first = true, nil
	}
	return nil
}

// oneName tries whether two names are one there.
func (w *walker) oneName(s *nameSet, dir *restoreDir, a, b string) bool {
	ascii := isASCII(a) && isASCII(b)
	if s.another[ascii] {
		return false
	}
	try := w.run.target.OneName
	if w.run.faults.OneName != nil {
		try = w.run.faults.OneName
	}
	one, err := try(dir.Path(), a, b)
	if err != nil && !errors.Is(err, os.ErrPermission) {
		return false // the error is reported when the entry is made
	}
	if !one {
		if s.another == nil {
			s.another = map[bool]bool{}
		}
		s.another[ascii] = true
	}
	return one
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isPlainLower reports whether a name has neither upper-case letters nor any beyond ASCII.
func isPlainLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func joinPath(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
