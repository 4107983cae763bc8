package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
	"vaultik/vault/page"
)

type lsCmd struct {
	Snapshot string `arg:"" name:"snapshot[:path]" help:"First digits of a snapshot's id, or latest; with :PATH, list only what is below PATH."`
	pick
	cacheFlag
}

func (lsCmd) Help() string {
	return `Lists all files and directories of a snapshot, or those below PATH, in order,
each with type and mode, owner, group, bytes, time and path. It needs the secret
key in VAULTIK_AGE_SECRET_KEY. --json has every attribute.

  vaultik ls latest
  vaultik ls 4e1f09ab:/home/ann/Documents`
}

func (c *lsCmd) Run(ctx context.Context, s *session) (err error) {
	if err := s.cached(c.cacheFlag); err != nil {
		return err
	}
	s.sum.Totals, err = s.engine.List(ctx, engine.ListOptions{Snapshot: c.Snapshot,
		Pick: c.pick.engine(), Xattrs: s.out.json}, s)
	return err
}

// entryLine is an entry as ls -l shows it.
func entryLine(ev events.Entry) string {
	e := ev.Of
	size := strconv.FormatInt(e.Size, 10)
	switch e.Type {
	case page.Char, page.Block:
		size = fmt.Sprintf("%d, %d", e.Major, e.Minor)
	case page.File:
	default:
		size = "-"
	}
	name := words.Printable(ev.Raw())
	if e.Type == page.Symlink {
		name += " -> " + words.Printable(e.Target)
	}
	return fmt.Sprintf("%s %-8s %-8s %12s %s %s", modeText(e.Type, e.Mode),
		words.Printable(ownerText(e.User, e.UID)),
		words.Printable(ownerText(e.Group, e.GID)), size,
		timeOf(e.Mtime).Local().Format("2006-01-02 15:04:05"), name)
}

func ownerText(name string, id uint32) string {
	if name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// typeLetters are those of ls.
var typeLetters = map[page.Type]byte{page.File: '-', page.Dir: 'd', page.Symlink: 'l',
	page.FIFO: 'p', page.Char: 'c', page.Block: 'b', page.Socket: 's'}

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
