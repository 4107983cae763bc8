package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"vaultik/config"
	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type indexCmd struct {
	Check   indexCheckCmd   `cmd:"" help:"Compare the index of this host with the store; change nothing."`
	Drop    indexDropCmd    `cmd:"" help:"Remove the index of this host."`
	Rebuild indexRebuildCmd `cmd:"" help:"Rebuild the index of a host from its snapshots."`
}

type indexRebuildCmd struct {
	pick
	Out string `required:"" help:"Directory to create; it must not exist." placeholder:"DIR"`
}

func (indexRebuildCmd) Help() string {
	return `For a host that has lost its index and has a slow upload. Run it on a machine that
may have VAULTIK_AGE_SECRET_KEY, not on that host; then copy the directory there, to
the index_path shown by "vaultik config show". The index is rebuilt from the newest
snapshot of each set of the host, or of the set given by --set.

The next backup then reads all files again, but uploads only what these
snapshots do not have. Without this it uploads everything again.`
}

func (c *indexRebuildCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.RebuildIndex(ctx, engine.RebuildOptions{Pick: c.pick.engine(),
		Out: c.Out}, s)
	return err
}

// showIndex prints what was made, and how to put it in its place.
func (s *session) showIndex(e events.Index) {
	out := s.out.result
	host := events.NameOf(e.Hostname, e.Hostname64, e.Host)
	out("index: %s", e.Raw())
	out("host: %s", host)
	out("from: %s, %s, %s", words.Plural(int64(e.Sets), "set", "sets"),
		words.Plural(int64(e.Blobs), "blob", "blobs"), words.Plural(e.Chunks, "chunk", "chunks"))
	from := config.Quote(e.Raw())
	if e.Place == "" {
		out("next: scp -r %s %s:index.new", from, config.Quote(host))
		out("then there, with no backup running: run vaultik config show, " +
			"and replace its index_path with index.new")
		return
	}
	aside := ""
	if _, err := os.Lstat(e.Place); !errors.Is(err, fs.ErrNotExist) {
		aside = "mv -T " + config.Quote(e.Place) + " " + config.Quote(e.Place+".old") + " && "
	}
	out("next: %scp -aT %s %s", aside, from, config.Quote(e.Place))
}
