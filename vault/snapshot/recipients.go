package snapshot

import "slices"

// CheckRecipients finds manifests whose recipients the owner has not signed: those with
// another sum, and those without one after one of their set that has it. Where the owner has
// signed nothing for a host, anything goes. They take what [Store.Manifests] gives.
func (t *Trust) CheckRecipients(loaded []*Loaded) (out []Problem) {
	said := make(map[chainKey]bool) // the chain has a manifest with a sum
	for _, l := range loaded {
		host, ok := t.Host(l.Host)
		if _, signed := host.SignedFor(); !ok || !signed {
			continue
		}
		k := chainKey{l.Host, l.Set}
		switch {
		case l.Recipients.IsZero() && !said[k]: // of an older version
		case !slices.Contains(host.Recipients, l.Recipients):
			out = append(out, Problem{Key: l.Key, Host: l.Host, Set: l.Set, Seq: l.Seq,
				Err: ErrRecipients})
		}
		said[k] = said[k] || !l.Recipients.IsZero()
	}
	return out
}
