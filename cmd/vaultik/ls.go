package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"vaultik/backends"
	"vaultik/vault/page"
)

type lsCmd struct {
	Snapshot string `arg:"" name:"snapshot[:path]" help:"Digits of a snapshot's id, or latest; with :PATH only what is there."`
	pick
}

// Help is shown by --help.
func (lsCmd) Help() string {
	return `Lists all files and directories of a snapshot, or those from PATH on, in order,
each with type and mode, owner, group, bytes, time and path. It needs the secret
key in VAULTIK_AGE_SECRET_KEY. --json has every attribute.

  vaultik ls latest
  vaultik ls 4e1f09ab:/home/ann/Documents`
}

// Run lists the entries.
func (c *lsCmd) Run(ctx context.Context, s *session) error {
	if _, _, err := s.settings(0); err != nil {
		return err
	}
	r, err := s.openSnapshot(ctx, c.Snapshot, c.pick)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.tree == nil {
		s.out.note("snapshot %s is empty", r.row.short())
		return nil
	}
	lost := int64(0)
	r.tree.Lost = func(after, last string, err error) error {
		if ctx.Err() != nil || errors.Is(err, backends.ErrUnreachable) || errors.Is(err, backends.ErrContainerNotFound) || errors.Is(err, backends.ErrPermission) || errors.Is(err, page.ErrNewerFormat) {
			return err
		}
		lost++
		s.out.warn("", "not listed: %s: %v", lostText(page.LostPaths{After: after, Last: last}), err)
		return nil
	}
	err = r.tree.Walk(ctx, r.from, func(e *page.Entry) error {
		if !page.Within(r.from, e.Path) {
			return page.SkipAll
		}
		if e.Implied { // a directory above what was backed up
			return nil
		}
		if e.Type == page.File {
			s.sum.Files++
		}
		if s.out.json {
			s.out.event(r.event(ctx, e))
		} else {
			s.out.result("%s", entryLine(e))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.sum.Errors = lost
	if lost > 0 {
		return &hinted{&damage{fmt.Sprintf("%s of snapshot %s could not be read; all that is listed is as it was", plural(lost, "page", "pages"), r.row.short())},
			"see all that is wrong: " + s.commandHere("verify --read-data")}
	}
	return nil
}

// entryLine is an entry as ls -l shows it.
func entryLine(e *page.Entry) string {
	size := strconv.FormatInt(e.Size, 10)
	switch e.Type {
	case page.Char, page.Block:
		size = fmt.Sprintf("%d, %d", e.Major, e.Minor)
	case page.File:
	default:
		size = "-"
	}
	name := printable(shown(e.Path))
	if e.Type == page.Symlink {
		name += " -> " + printable(e.Target)
	}
	return fmt.Sprintf("%s %-8s %-8s %12s %s %s", modeText(e.Type, e.Mode), printable(ownerText(e.User, e.UID)),
		printable(ownerText(e.Group, e.GID)), size, timeOf(e.Mtime).Local().Format("2006-01-02 15:04:05"), name)
}

func ownerText(name string, id uint32) string {
	if name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// typeLetters are those of ls.
var typeLetters = map[page.Type]byte{page.File: '-', page.Dir: 'd', page.Symlink: 'l', page.FIFO: 'p', page.Char: 'c', page.Block: 'b', page.Socket: 's'}

// modeText is type and mode as ls writes them, special bits included.
func modeText(t page.Type, mode uint32) string {
	b := []byte("?rwxrwxrwx")
	if l, ok := typeLetters[t]; ok {
		b[0] = l
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit   uint32
		at    int
		lower byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		switch {
		case mode&special.bit == 0:
		case b[special.at] == 'x':
			b[special.at] = special.lower
		default:
			b[special.at] = special.lower - 'a' + 'A'
		}
	}
	return string(b)
}

func timeOf(t page.Time) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// event is an entry for --json.
func (r *reading) event(ctx context.Context, e *page.Entry) entryEvent {
	ev := entryEvent{Type: "entry", jsonPath: pathOf(shown(e.Path)), Kind: string(e.Type), Mode: fmt.Sprintf("%04o", e.Mode),
		UID: e.UID, GID: e.GID, Mtime: timeText(e.Mtime), HardLink: e.HL, Flags: e.Flags, SHA256: e.SHA256}
	ev.User, ev.User64 = twin(e.User)
	ev.Group, ev.Group64 = twin(e.Group)
	ev.Target, ev.Target64 = twin(e.Target)
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
	if len(e.XattrRefs) > 0 {
		var err error
		if xattrs, err = r.tree.Xattrs(ctx, e); err != nil {
			_ = r.tree.Lost(e.Path, e.Path, fmt.Errorf("read its attributes: %w", err)) // it says so; the walk meets the end of ctx
		}
	}
	for _, x := range xattrs {
		ev.Xattrs = append(ev.Xattrs, nameOfXattr(x))
	}
	return ev
}

func nameOfXattr(x page.Xattr) jsonXattr {
	n := jsonXattr{Value: x.Value}
	n.Name, n.Name64 = twin(x.Name)
	return n
}

// timeText is RFC 3339; years beyond 9999 just have more digits.
func timeText(t page.Time) string {
	return timeOf(t).UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
}
