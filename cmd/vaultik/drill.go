package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

type drillCmd struct {
	pick
	Sample int    `default:"5" help:"Files of the newest snapshot of each set to restore into memory (default: ${default})." placeholder:"N"`
	MaxAge string `help:"Fail if the newest whole snapshot of a set is older than that, like 26h or 8d." placeholder:"TIME"`
	Blobs  int    `help:"Open at most so many new blobs, the latest first; the next drill goes on (default: all)." placeholder:"N"`
	All    bool   `help:"Also open the blobs that an earlier drill has opened."`
}

func (drillCmd) Help() string {
	return `Proves that a restore would work, on a machine with the key in
VAULTIK_AGE_SECRET_KEY, and changes nothing:

  * the key itself opens every blob that is new since the last drill, and the end and
    a random part of each are as they were sealed
  * every wrapping of an epoch key that this key should open, does
  * the newest snapshot of each set opens, for the recipients that the owner has signed
  * random files of it are read, and every chunk compared with its id
  * with --max-age: the newest whole snapshot of each set is not older

It finds a host that encrypts for somebody else before anybody needs a restore. What was
opened is remembered on this machine, so a drill a day costs little. verify --read-data
and --scrub check every byte; they need no key.

It exits 13 if something is found, 12 if the key opens nothing, 1 if a set is too old.`
}

func (c *drillCmd) Run(ctx context.Context, s *session) error {
	if c.Sample < 0 || c.Blobs < 0 {
		return fault.Misuse("drill", "--sample and --blobs take a number, 0 or more")
	}
	s.item = func(e events.Item) { s.out.event(e) }
	res, err := s.engine.Drill(ctx, engine.DrillOptions{Pick: c.pick.engine(), Files: c.Sample,
		Blobs: c.Blobs, All: c.All, MaxAge: c.MaxAge}, s)
	s.sum.Totals = res.Totals
	if res.Whole {
		verdict := "passed"
		if err != nil {
			verdict = "failed"
		}
		s.out.result("drill: %s", verdict)
	}
	return err
}

// showDrilled prints what was tried out.
func (s *session) showDrilled(e events.Drilled) {
	out := s.out.result
	for _, set := range e.Sets {
		state := "no whole snapshot"
		if set.Whole != nil {
			state = fmt.Sprintf("newest whole snapshot %s of %s, %s old", set.Snapshot[:8],
				words.Moment(*set.Whole), words.Lasting(s.began.Sub(*set.Whole)))
		}
		if set.Old {
			state += ": too old"
		}
		out("set %s of %s: %s", words.Printable(set.SetText), words.Printable(set.HostText), state)
	}
	blobs := []string{words.Plural(e.Blobs, "new blob", "new blobs") + " opened"}
	for _, more := range []struct {
		n    int64
		text string
	}{
		{e.ByEpoch, "opened by their epoch key"}, {e.Older, "for other recipients"},
		{e.Before, "opened before"}, {e.Left, "left for the next drill"},
	} {
		if more.n > 0 {
			blobs = append(blobs, words.Count(more.n)+" "+more.text)
		}
	}
	if e.Since != nil {
		blobs[len(blobs)-1] += ", last drill " + e.Since.Local().Format(time.DateTime)
	}
	out("blobs: %s", strings.Join(blobs, ", "))
	out("epoch keys: %s read", words.Plural(e.Keys, "wrapping", "wrappings"))
	out("restored into memory and compared: %s, %s; read from the store: %s",
		words.Plural(e.Files, "file", "files"), words.Size(e.FileBytes), words.Size(e.BytesRead))
}
