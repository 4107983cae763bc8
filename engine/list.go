package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/actors"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/page"
)

// ListOptions say which entries of which snapshot.
type ListOptions struct {
	Snapshot string // ID[:PATH] or latest[:PATH]
	Pick     Pick
	Xattrs   bool // read extended attributes that are kept apart
}

// List tells of the entries of a snapshot in the order of paths, each an [events.Entry].
func (e *Engine) List(ctx context.Context, o ListOptions, sink events.Sink) (events.Totals, error) {
	j := e.begin("ls", sink)
	return j.told(ctx, func() error { return j.list(ctx, o) })
}

func (j *job) list(ctx context.Context, o ListOptions) error {
	if _, _, err := j.effort(); err != nil {
		return err
	}
	r, err := j.openSnapshot(ctx, o.Snapshot, o.Pick)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.tree == nil {
		j.Note("snapshot %s is empty", r.row.short())
		return nil
	}
	return j.orRemoved(ctx, r.opened, r.row, "listed", j.listAll(ctx, o, r))
}

func (j *job) listAll(ctx context.Context, o ListOptions, r *reading) error {
	lost, unread := int64(0), error(nil)
	r.tree.Lost = func(after, last string, err error) error {
		if ctx.Err() != nil || endsListing(err) {
			return err
		}
		if actors.Unreadable(err) {
			if unread == nil {
				unread = err
			}
		} else {
			lost++
		}
		j.sum.Errors++
		j.Warn("", "unreadable: %v: %v", page.LostPaths{After: after, Last: last}, err)
		return nil
	}
	if err := j.walk(ctx, r, o.Xattrs); err != nil {
		return err
	}
	if lost > 0 {
		return fault.WithHint(
			fault.Damaged(fmt.Sprintf("%s of snapshot %s unreadable; everything listed is intact",
				words.Plural(lost, "page", "pages"), r.row.short())),
			"see every problem: "+j.here("verify --read-data"),
		)
	}
	if unread != nil {
		return notRead("pages of snapshot "+r.row.short()+" (everything listed is intact)",
			unread, j.here("ls "+r.row.short()))
	}
	return nil
}

// walk tells of each entry.
func (j *job) walk(ctx context.Context, r *reading, withXattrs bool) error {
	return r.tree.Walk(ctx, r.from, func(e *page.Entry) error {
		if !page.Within(r.from, e.Path) {
			return page.SkipAll
		}
		if e.Implied { // a directory above what was backed up
			return nil
		}
		if e.Type == page.File {
			j.sum.Files++
		}
		j.Tell(r.event(ctx, e, withXattrs))
		return nil
	})
}

// endsListing tells a store that cannot be read at all from what is wrong with one page.
func endsListing(err error) bool {
	return actors.StoreGone(err) || errors.Is(err, page.ErrNewerFormat)
}

// event is an entry.
func (r *reading) event(ctx context.Context, e *page.Entry, withXattrs bool) events.Entry {
	ev := events.Entry{Type: "entry", PathText: events.PathOf(shown(e.Path)), Kind: string(e.Type),
		Mode: fmt.Sprintf("%04o", e.Mode),
		UID:  e.UID, GID: e.GID, Mtime: timeText(e.Mtime), HardLink: e.HL, Flags: e.Flags,
		SHA256: e.SHA256, Of: e}
	ev.User, ev.User64 = events.Twin(e.User)
	ev.Group, ev.Group64 = events.Twin(e.Group)
	ev.Target, ev.Target64 = events.Twin(e.Target)
	if e.Btime != (page.Time{}) {
		ev.Btime = timeText(e.Btime)
	}
	switch e.Type {
	case page.File:
		ev.Size = &e.Size
	case page.Char, page.Block:
		ev.Major, ev.Minor = &e.Major, &e.Minor
	}
	xattrs := e.Xattrs
	if withXattrs && len(e.XattrRefs) > 0 {
		var err error
		if xattrs, err = r.tree.Xattrs(ctx, e); err != nil {
			// It says so; the walk meets the end of ctx.
			_ = r.tree.Lost(e.Path, e.Path, fmt.Errorf("read its attributes: %w", err))
		}
	}
	for _, x := range xattrs {
		n := events.Xattr{Value: x.Value}
		n.Name, n.Name64 = events.Twin(x.Name)
		ev.Xattrs = append(ev.Xattrs, n)
	}
	return ev
}

// timeText is RFC 3339; years beyond 9999 just have more digits.
func timeText(t page.Time) string {
	return time.Unix(t.Sec, int64(t.Nsec)).UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
}
