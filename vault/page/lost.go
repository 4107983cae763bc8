package page

import "fmt"

// LostPaths are the paths that a damaged page held, as Tree.Lost tells them: those
// after After, up to and with Last, or all of the tree if Last is "". Of a damaged list page
// both are the file whose contents are lost.
type LostPaths struct {
	After, Last string
	Reason      string // why the page cannot be read; may be empty
}

// String names the paths as users know them, absolute, without the reason.
func (l LostPaths) String() string {
	switch {
	case l.Last == "":
		return "all entries"
	case l.After == l.Last:
		return fmt.Sprintf("the contents of %q", absolute(l.Last))
	case l.After == "":
		return fmt.Sprintf("all entries up to %q", absolute(l.Last))
	}
	return fmt.Sprintf("all entries after %q, up to %q", absolute(l.After), absolute(l.Last))
}

func absolute(path string) string {
	if path == "." {
		return "/"
	}
	return "/" + path
}
