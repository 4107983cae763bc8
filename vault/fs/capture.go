package fs

import "vaultik/vault/page"

// Fill gives e what s says: all but its path, contents, and what only the file
// system knows.
func (s *Stat) Fill(e *page.Entry, names *NameCache) {
	e.Type, e.Mode = s.Type, s.Mode
	e.UID, e.GID = s.UID, s.GID
	e.User, e.Group = names.User(s.UID), names.Group(s.GID)
	e.Mtime, e.Btime = s.Mtime, s.Btime
	e.Major, e.Minor = s.Major, s.Minor
	e.Size = 0
	if s.Type == page.File {
		e.Size = s.Size
	}
	e.Target, e.Flags, e.Xattrs = "", 0, nil
}
