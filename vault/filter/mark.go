package filter

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"strings"

	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// IgnoreFile is the name of files with patterns for the directory that holds them: a
// leading slash stands for that directory, and they apply to what is below it.
// Variables mean nothing in them. They are saved like other files, and do not exclude
// each other.
const IgnoreFile = ".vaultikignore"

// Limits of one ignore file, and of all that apply at once (a directory's and those
// above it): they are read during a walk, and a user who may write somewhere must not
// be able to fill the memory of the backup.
const (
	maxIgnoreFile     = 1 << 20 // bytes
	maxIgnorePatterns = 1 << 16
)

// Tag is an entry that says that the contents of its directory are not to be saved.
type Tag struct {
	Name   string
	Header string // with which it must begin; "": anything of that name will do
	Source string // of the setting
}

// CacheTag is https://bford.info/cachedir/.
func CacheTag(source string) Tag {
	return Tag{"CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55", source}
}

// ParseTag reads NAME[:HEADER].
func ParseTag(text, source string) (Tag, error) {
	name, header, _ := strings.Cut(text, ":")
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return Tag{}, fmt.Errorf("%q: NAME must be a plain file name, such as .nobackup", text)
	}
	return Tag{name, header, source}, nil
}

// String is what ParseTag reads.
func (t Tag) String() string {
	if t.Header == "" {
		return t.Name
	}
	return t.Name + ":" + t.Header
}

// marks reports whether the directory has the tag. What cannot be read is no tag:
// the walk that saves it says what is wrong.
func (w *Walk) marks(t *Tag, d fs.Dir) bool {
	if !d.Has(t.Name) {
		return false
	}
	st, err := d.Lstat(t.Name)
	if err != nil || !w.may(t.Name, d, &st) {
		return false
	}
	if t.Header == "" {
		return true
	}
	f, _, err := d.Open(t.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(t.Header))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == t.Header
}

// sticky marks directories where everybody may put files but not remove those of others.
const sticky = 0o1000

// may reports whether the owner of a tag or an ignore file may decide about the
// directory: a user who could not remove its files must not be able to exclude them
// from a backup either.
func (w *Walk) may(name string, d fs.Dir, st *fs.Stat) bool {
	if w.rules.Anyone || d.Stat().Mode&sticky == 0 || st.UID == 0 || st.UID == d.Stat().UID || int64(st.UID) == int64(os.Geteuid()) {
		return true
	}
	if w.rules.Warn != nil {
		w.rules.Warn(fmt.Sprintf("%q is skipped: anyone may write to its directory, and it belongs to neither root nor the directory's owner", "/"+join(d.Path(), name)))
	}
	return false
}

func isIgnoreFile(path string) bool {
	return strings.HasSuffix(path, IgnoreFile) && (len(path) == len(IgnoreFile) || path[len(path)-len(IgnoreFile)-1] == '/')
}

// maxIgnoreErrors is how many malformed lines of an ignore file are reported.
const maxIgnoreErrors = 5

// readIgnore reads the ignore file of d, and says how large it is. Malformed lines are
// in the error, and the others apply.
func (w *Walk) readIgnore(d fs.Dir) (l *List, size int, err error) {
	name := "/" + join(d.Path(), IgnoreFile)
	f, st, err := d.Open(IgnoreFile)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil, 0, nil // gone since the names were read
	case errors.Is(err, fs.ErrSwapped):
		return nil, 0, fmt.Errorf("%s is skipped: it is not a regular file", name)
	case err != nil && w.excluded(join(d.Path(), IgnoreFile)):
		return nil, 0, nil // nobody wants to hear of it
	case err != nil:
		return nil, 0, fmt.Errorf("an ignore file is skipped: %w", err)
	}
	defer f.Close()
	if !w.may(IgnoreFile, d, &st) {
		return nil, 0, nil
	}
	l, size, err = parseIgnore(name, f)
	bytes, patterns := size, l.Len()
	for i := range w.frames {
		bytes, patterns = bytes+w.frames[i].size, patterns+w.frames[i].ignore.Len()
	}
	if bytes > maxIgnoreFile || patterns > maxIgnorePatterns {
		return nil, 0, fmt.Errorf("%s is skipped: together with those above it, it is larger than %d MiB or has more than %d patterns",
			name, maxIgnoreFile>>20, maxIgnorePatterns)
	}
	return l, size, err
}

// excluded reports whether a pattern leaves out a file, which is not named.
func (w *Walk) excluded(path string) bool {
	matched, _ := w.match(path, page.File)
	return matched && !w.rules.roots[path]
}

// parseIgnore is readIgnore of what is in the file.
func parseIgnore(name string, r io.Reader) (l *List, size int, err error) {
	lines, size, err := readLines(name, r, maxIgnoreFile, maxIgnorePatterns)
	if err != nil {
		return nil, 0, fmt.Errorf("an ignore file is skipped: %w", err)
	}
	l, bad := compileValid(lines, Options{})
	if len(bad) == 0 {
		return l, size, nil
	}
	more := ""
	if n := len(bad) - maxIgnoreErrors; n > 0 {
		bad, more = bad[:maxIgnoreErrors], fmt.Sprintf("; and %d more", n)
	}
	return l, size, fmt.Errorf("an ignore file has malformed lines: %w%s", bad, more)
}
