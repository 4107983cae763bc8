package backup

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	vfs "vaultik/vault/fs"
)

// maxNoAttrs is how many kinds of attributes that entries were saved without are told apart.
const maxNoAttrs = 20

// minor takes from what went wrong with the attributes of an entry what does not make a
// snapshot incomplete, and notes it: what the file system never gives, and all that is
// missing of a directory above the sources, whose attributes are a courtesy.
func (r *backupRun) minor(t *entryTask, err error) error {
	if t.Implied && err != nil && !errors.Is(err, vfs.ErrSwapped) {
		r.lacks(t, err)
		return nil
	}
	var all vfs.AttrErrors
	if !errors.As(err, &all) {
		return err
	}
	var bad []error
	for _, e := range all {
		if e.Minor() {
			r.lacks(t, e)
		} else {
			bad = append(bad, e)
		}
	}
	return errors.Join(bad...)
}

// lacks notes that an entry was saved without an attribute.
func (r *backupRun) lacks(t *entryTask, err error) {
	path := absolute(t.Path)
	n := NoAttrs{What: vfs.Reason(path, err), Implied: t.Implied, Path: path}
	key := n.What
	if n.Implied { // of a few directories; what they lack matters less than that it is one line
		key, n.What = "above", vfs.Reason(path, cause(err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lacking[key] == nil && len(r.lacking) < maxNoAttrs {
		r.lacking[key] = &n
	}
	if old := r.lacking[key]; old != nil {
		old.Entries++
	}
}

// cause is the first of several errors, and what it says without the path.
func cause(err error) error {
	var all vfs.AttrErrors
	if errors.As(err, &all) {
		return all[0]
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// noAttrs are the attributes that entries were saved without.
func (r *backupRun) noAttrs() (out []NoAttrs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.lacking {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b NoAttrs) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.What, b.What))
	})
	return out
}
