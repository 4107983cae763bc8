package engine

import (
	"slices"

	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

// maxSums is how many sets of recipients of a host are shown, the newest: it may have signed
// any number of them.
const maxSums = 8

// hostRecipients are recipients that a host's manifests name by their sum, and that the
// readable trust list does not have.
type hostRecipients struct {
	sum   snapshot.Sum
	event events.Recipients
	sure  bool // the owner's by the recovery kit or --confirm: nobody has to be asked
}

// recipients tells for whom the backups of a host are, by its manifests. A host that somebody
// has broken into signs what they like: only the sum of the kit's own key needs no other word
// of the owner's.
func (r *headRepair) recipients(a *snapshot.Author) (out []hostRecipients) {
	var unknown, others bool
	older := 0
	for i, sum := range a.Recipients {
		if a.Entry != nil && slices.Contains(a.Entry.Recipients, sum) {
			continue
		}
		confirmed := slices.Contains(r.o.Confirm, sum.String())
		if i < len(a.Recipients)-maxSums && !confirmed {
			older++
			continue
		}
		known, own := r.known(sum)
		ev := events.Recipients{Type: "recipients", Host: a.Host.String(), Recipients: known,
			Sum: sum.String(), Kit: r.kit.Recipient}
		r.Tell(ev)
		out = append(out, hostRecipients{sum, ev, own || confirmed})
		unknown = unknown || len(known) == 0 && !confirmed
		others = others || len(known) > 0 && r.kit.Recipient != "" &&
			!slices.Contains(known, r.kit.Recipient)
	}
	if unknown {
		r.Warn("compare the sum with that of the host's age_recipients (vaultik config show): "+
			"printf '%s\\n' age1... | LC_ALL=C sort -u | sha256sum; "+
			"only if it is the same, confirm it, here or with --confirm SUM",
			"recipients of host %s are not known here: their sum is neither that of the recovery "+
				"kit's key alone nor that of this machine's age_recipients", a.Host)
	}
	if others {
		r.Warn("", "the key of the recovery kit %s is not among the recipients of host %s: "+
			"it does not open what was saved for them", r.o.Kit, a.Host)
	}
	if older > 0 {
		r.Warn("", "%s of host %s are not shown, and are signed with --confirm SUM only",
			words.Plural(int64(older), "older set of recipients", "older sets of recipients"),
			a.Host)
	}
	return out
}

// known are the recipients of a sum, if the kit or this machine's configuration has them; own:
// they are the kit's key alone.
func (r *headRepair) known(sum snapshot.Sum) (list []string, own bool) {
	if kit, err := keys.ParseRecipients([]string{r.kit.Recipient}); err == nil && kit.Sum() == sum {
		return kit.Strings(), true
	}
	// Without a configuration, or with a broken one, the store can be repaired all the same.
	if conf, err := r.config(); err == nil && conf.Recipients.Sum() == sum {
		return conf.Recipients.Strings(), false
	}
	return []string{}, false
}

// way is the command that confirms a key, and those of its host's recipients that were shown.
func (r *headRepair) way(key string, found []hostRecipients) string {
	way := "store repair-head --kit " + config.Quote(r.o.Kit) + " --confirm " + key
	for _, f := range found {
		if !f.sure && len(f.event.Recipients) > 0 {
			way += " --confirm " + f.event.Sum
		}
	}
	return r.here(way)
}

// anySum reports whether a host has signed this sum of recipients.
func anySum(found []snapshot.Author, sum string) bool {
	return slices.ContainsFunc(found, func(a snapshot.Author) bool {
		return slices.ContainsFunc(a.Recipients, func(s snapshot.Sum) bool {
			return s.String() == sum
		})
	})
}

// entry trusts a host, and signs those of its recipients that are the owner's.
func (r *headRepair) entry(a *snapshot.Author, found []hostRecipients) snapshot.TrustHost {
	h := entryOf(a)
	h.Recipients = slices.Clone(h.Recipients)
	for _, f := range found {
		if f.sure || r.o.AgreeTo != nil && len(r.o.Confirm) == 0 && r.o.AgreeTo(f.event) {
			h.Recipients = append(h.Recipients, f.sum)
			continue
		}
		r.Warn("on that host: vaultik recipient sign --kit FILE",
			"recipients of host %s are not signed, since nobody has confirmed their sum: %s",
			a.Host, f.event.Sum)
	}
	return h
}
