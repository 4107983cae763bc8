package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Pick narrows down which snapshots are meant. The zero value leaves all.
type Pick struct {
	Set  string // its name or id
	Host string // its name or id
}

// nonePicked is the error where a Pick leaves nothing.
func nonePicked(key *keys.Identity) error {
	msg := "no snapshot of that set and host found"
	if key == nil {
		msg += "; the names of other hosts need the secret key"
	}
	return &noSnapshot{msg: msg}
}

// splitSnapshot cuts SNAPSHOT[:PATH].
func splitSnapshot(spec string) (id, path string) {
	id, path, _ = strings.Cut(spec, ":")
	return id, path
}

// latest means the newest snapshot of the one set that is left.
const latest = "latest"

// find gives the one snapshot that id means: "latest", or the first 4 to 64 hex
// digits of an id. The identity may be nil; with it all names are known.
func (j *job) find(ctx context.Context, c *catalog, id string, p Pick, key *keys.Identity) (*row,
	error) {
	if id == latest {
		chains, err := c.chains(ctx, p, key)
		if err != nil {
			return nil, err
		}
		return j.newest(c, chains, p, key)
	}
	if len(id) < 4 || len(id) > 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, &fault.UsageError{
			Msg: fmt.Sprintf(
				"%q is not a snapshot: give at least 4 hex digits of its id, or latest", id),
			Advice: "list the snapshots: vaultik snapshots",
		}
	}
	found, err := c.withPrefix(ctx, id, p, key)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, c.noSnapshot("no snapshot id begins with " + id)
	}
	e := &fault.UsageError{Msg: fmt.Sprintf("%s is ambiguous: %d snapshots match", id, len(found))}
	for _, r := range found {
		e.Ways = append(e.Ways, j.again(r.ID()[:min(64, max(8, len(id)+4))]))
	}
	return nil, e
}

// withPrefix gives the snapshots that p leaves whose ids begin with prefix.
func (c *catalog) withPrefix(ctx context.Context, prefix string, p Pick,
	key *keys.Identity) (found []*row, err error) {
	for _, r := range c.rows {
		if !strings.HasPrefix(r.ID(), prefix) {
			continue
		}
		n, err := c.name(ctx, r.chain(), r, key)
		if err != nil {
			return nil, err
		}
		if n.fits(p) {
			found = append(found, r)
		}
	}
	return found, nil
}

// again is the command that was run, for another snapshot, which flags may follow.
func (j *job) again(snapshot string) string {
	id, flags, _ := strings.Cut(snapshot, " ")
	if flags != "" {
		flags = " " + flags
	}
	if j.within != "" {
		id = config.Quote(id + ":" + j.within)
	}
	return j.here(j.command + " " + id + flags + j.rest)
}

// noSnapshot says that there is none, and what could not be read and might have been one.
func (c *catalog) noSnapshot(msg string) error {
	if len(c.problems) == 0 {
		return &noSnapshot{msg: msg}
	}
	err := &noSnapshot{msg: msg, err: c.problems[0]}
	if hint := c.op.strayInLine(c.problems[0]); hint != "" {
		return fault.WithHint(err, hint)
	}
	return err
}

// named is a chain with its names.
type named struct {
	chain
	hostName, setName string
	newest            *row // nil: none can be read
}

func (n named) fits(p Pick) bool {
	return fits(p.Host, n.hostName, n.host.String()) && fits(p.Set, n.setName, n.set.String())
}

// chains lists the sets that p leaves, newest first: this host's if any of them
// are left and no host is named, else all.
func (c *catalog) chains(ctx context.Context, p Pick, key *keys.Identity) ([]named, error) {
	heads, order := c.heads()
	choose := func(ownOnly bool) (out []named, err error) {
		for _, k := range order {
			if own := c.op.Host != nil && c.op.Host.ID == k.host; ownOnly && !own {
				continue
			}
			n, err := c.name(ctx, k, heads[k], key)
			if err != nil {
				return nil, err
			}
			if n.fits(p) {
				out = append(out, n)
			}
		}
		return c.withoutStrange(out), nil
	}
	if p.Host == "" {
		if own, err := choose(true); err != nil || len(own) > 0 {
			return own, err
		}
	}
	return choose(false)
}

// withoutStrange leaves out sets of which nothing is signed, unless there is no other:
// anybody who may write to the store can make them up. What this machine has seen of a
// set is no such thing.
func (c *catalog) withoutStrange(chains []named) []named {
	known := slices.DeleteFunc(slices.Clone(chains), func(n named) bool {
		_, ok := c.seen[config.SetOf{Host: n.host, Set: n.set}]
		return n.newest == nil && !ok
	})
	if len(known) == 0 {
		return chains
	}
	return known
}

// heads finds the newest snapshot of each set, and the sets of which only
// problems are left, newest first.
func (c *catalog) heads() (heads map[chain]*row, order []chain) {
	heads, times := map[chain]*row{}, map[chain]time.Time{}
	for _, r := range c.rows {
		if h := heads[r.chain()]; h == nil || r.Seq > h.Seq {
			heads[r.chain()], times[r.chain()] = r, r.Time
		}
	}
	for _, pr := range c.problems {
		if k := (chain{pr.Host, pr.Set}); !pr.Set.IsZero() && heads[k] == nil {
			times[k] = time.Time{}
		}
	}
	order = slices.Collect(maps.Keys(times))
	newestFirst(order, times)
	return heads, order
}

// name finds the names of a set; a root is only read where this host does not know them.
func (c *catalog) name(ctx context.Context, k chain, newest *row, key *keys.Identity) (named,
	error) {
	n := named{chain: k, newest: newest, hostName: c.hostName(k, nil), setName: c.setName(k, nil)}
	if n.setName != k.set.String() && n.hostName != k.host.String() {
		return n, nil
	}
	root, err := c.rootOf(ctx, newest, key)
	n.hostName, n.setName = c.hostName(k, root), c.setName(k, root)
	return n, err
}

// rootOf is openRoot where a root that cannot be read only costs names.
func (c *catalog) rootOf(ctx context.Context, r *row, key *keys.Identity) (*snapshot.Root, error) {
	if r == nil {
		return nil, nil
	}
	root, err := c.openRoot(ctx, r, key)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	return root, nil
}

func fits(want, name, id string) bool { return want == "" || want == name || want == id }

// newest is the newest snapshot of the one set that is left.
func (j *job) newest(c *catalog, chains []named, p Pick,
	key *keys.Identity) (*row, error) {
	switch {
	case len(chains) == 0 && p != Pick{}:
		return nil, nonePicked(key)
	case len(chains) == 0:
		return nil, c.noSnapshot("the store has no snapshot yet")
	case len(chains) > 1:
		e := &fault.UsageError{Msg: fmt.Sprintf("latest is ambiguous: %d sets match", len(chains))}
		for _, k := range chains {
			e.Ways = append(e.Ways, j.again(latest+k.flags(chains, p)))
		}
		return nil, e
	}
	k := chains[0]
	for _, pr := range c.problems {
		if errors.Is(pr.Err, snapshot.ErrGap) || errors.Is(pr.Err, snapshot.ErrRecipients) {
			continue // older ones are missing, or others can read it: this one is what it is
		}
		if pr.Host == k.host && pr.Set == k.set && (k.newest == nil || pr.Seq >= k.newest.Seq) {
			e := &newestBad{set: k.setName, err: pr, older: c.beneath(k, pr.Seq),
				stray: c.op.strayInLine(pr)}
			if e.older != nil {
				e.again = j.again(e.older.short())
			}
			if manifestKind(pr.Err) == "unreadable" {
				return nil, j.newestUnread(e)
			}
			return nil, e
		}
	}
	return k.newest, nil
}

// newestUnread is the end of a command if the newest snapshot of a set cannot be read.
func (j *job) newestUnread(bad *newestBad) error {
	err := notRead("the newest snapshot of set "+bad.set, bad.err, j.again(latest))
	if bad.older == nil {
		return err
	}
	hint := "to take the older one: " + bad.again
	if _, own := classify(bad.err); own != "" {
		hint = own + "; " + hint
	}
	return fault.WithHint(err, hint)
}

// beneath is the newest snapshot of a chain before seq, nil if there is none.
func (c *catalog) beneath(k named, seq uint64) *row {
	var best *row
	for _, r := range c.rows {
		if r.chain() == k.chain && r.Seq < seq && (best == nil || r.Seq > best.Seq) {
			best = r
		}
	}
	return best
}

// flags are the --set and --host that single n out among all, which p left. Names that
// two of them share are replaced by ids.
func (n named) flags(all []named, p Pick) string {
	set, host := n.setName, n.hostName
	hosts := map[layout.HostID]bool{}
	for _, o := range all {
		if o.setName == n.setName && o.host == n.host && o.set != n.set {
			set = n.set.String()
		}
		if o.hostName == n.hostName && o.host != n.host {
			host = n.host.String()
		}
		hosts[o.host] = true
	}
	flags := " --set " + config.Quote(set)
	switch {
	case len(hosts) > 1:
		return flags + " --host " + config.Quote(host)
	case p.Host != "":
		return flags + " --host " + config.Quote(p.Host)
	}
	return flags
}

// newestBad: the newest snapshot of a set is damaged, missing or forked. An older
// one is never taken in its place, only named.
type newestBad struct {
	set   string
	err   error
	older *row   // nil: there is none
	again string // the command that takes the older one
	stray string // how to remove what stands there, if it may be a stranger's
}

func (e *newestBad) Error() string {
	msg := fmt.Sprintf("the newest snapshot of set %s is not available: %v", e.set, e.err)
	if e.older != nil {
		msg += fmt.Sprintf("; snapshot %s of %s is not affected", e.older.short(),
			e.older.when())
	}
	return msg
}

func (e *newestBad) Unwrap() error { return e.err }

func (*newestBad) Exit() fault.Code { return fault.Damage }

func (e *newestBad) Hint() string {
	hints := []string{e.stray}
	if e.older != nil {
		hints = []string{"use the older one: " + e.again, e.stray}
	}
	return strings.TrimSuffix(strings.Join(hints, "; "), "; ")
}
