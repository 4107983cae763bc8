package fs

import (
	"fmt"
	"slices"
	"strings"
)

// rootTree is one directory on the way to roots, or a root.
type rootTree struct {
	root  bool
	below map[string]*rootTree
}

// newRootTree places absolute, clean paths in one tree.
func newRootTree(roots []string) (*rootTree, error) {
	top := &rootTree{}
	for _, root := range roots {
		if !strings.HasPrefix(root, "/") {
			return nil, fmt.Errorf("walk %q: not an absolute path", root)
		}
		at := top
		if root != "/" {
			for name := range strings.SplitSeq(root[1:], "/") {
				if name == "" || name == "." || name == ".." {
					return nil, fmt.Errorf("walk %q: not a clean path", root)
				}
				next := at.below[name]
				if next == nil {
					if at.below == nil {
						at.below = map[string]*rootTree{}
					}
					next = &rootTree{}
					at.below[name] = next
				}
				at = next
			}
		}
		at.root = true
	}
	return top, nil
}

// names returns the names below, sorted by bytes.
func (t *rootTree) names() []string {
	names := make([]string, 0, len(t.below))
	for name := range t.below {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// roots calls fn with the path of every root at or below t, whose path is path, in order.
func (t *rootTree) roots(path string, fn func(string) error) error {
	if t.root {
		if err := fn(path); err != nil {
			return err
		}
	}
	for _, name := range t.names() {
		if err := t.below[name].roots(join(path, name), fn); err != nil {
			return err
		}
	}
	return nil
}

// join returns the path of name in the directory path.
func join(path, name string) string {
	if path == "." {
		return name
	}
	return path + "/" + name
}

// split is the opposite of join: the directory that holds path, and its name there.
func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return ".", path
}
