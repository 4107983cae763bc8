package filter

import (
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// Decide is fs.WalkOptions.Exclude: what matches is left out with all below it.
func (l *List) Decide(path string, st *fs.Stat) fs.Decision {
	if matched, _ := l.MatchEntry(path, st.Type == page.Dir); matched {
		return fs.Skip
	}
	return fs.Keep
}
