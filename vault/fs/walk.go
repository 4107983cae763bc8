package fs

// Decision is what to do with one entry.
type Decision int

// Keep is the zero value.
const (
	Keep         Decision = iota // the entry and what is below it
	Skip                         // neither the entry nor what is below it
	SkipContents                 // the entry, without what is below it
)

// WalkOptions narrow a walk.
type WalkOptions struct {
	// Exclude is asked about each entry, roots included and implied directories
	// not, before the walk opens it. Nil keeps everything. st must not be kept.
	Exclude func(path string, st *Stat) Decision
	// OneFS leaves out what is mounted inside a root, other roots excepted: the
	// mount point is kept, its contents are not.
	OneFS bool
}

// A WalkItem is one entry, or one failure. Where Err is set only Path is: a
// failure to read a directory comes after the directory's own item. An entry that
// vanished while the walk was under way gives an item whose Err is fs.ErrNotExist.
type WalkItem struct {
	Path    string // without the leading slash; "." for the top
	Stat    Stat
	Implied bool // a directory above the roots: attributes only
	Err     error

	// DirFD and Name look the entry up without its path, until the callback returns.
	DirFD int
	Name  string
}
