package read

import (
	"errors"
	"fmt"
)

// LostPaths are paths that a damaged page held: those after After, up to and
// with Last ("" for all of them). Of a damaged list page both are the file whose contents are lost.
type LostPaths struct {
	After, Last string
	Reason      string
}

func (l LostPaths) String() string {
	switch {
	case l.Last == "":
		return "the whole snapshot"
	case l.After == l.Last:
		return fmt.Sprintf("the contents of %q", l.Last)
	case l.After == "":
		return fmt.Sprintf("everything up to %q", l.Last)
	}
	return fmt.Sprintf("everything after %q, up to %q", l.After, l.Last)
}

// ErrEmptySnapshot means that the snapshot holds no entries at all.
var ErrEmptySnapshot = errors.New("the snapshot is empty")
