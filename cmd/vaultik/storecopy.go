package main

import (
	"context"

	"vaultik/engine"
	"vaultik/internal/words"
)

type storeCopyCmd struct {
	To       string `required:"" help:"Where the mirror is or will be: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	New      bool   `help:"Start a new mirror where the old one is missing."`
	ReadData bool   `help:"Also read the objects already in the target, and replace damaged ones."`
	Parallel int    `help:"Concurrent transfers, 1 to 64 (default: as configured)." placeholder:"N"`
}

func (storeCopyCmd) Help() string {
	return `Copies everything that the snapshots of a store need to another place of any kind, and
then the snapshots: they can be read, verified and restored there. It needs no key.
Rerun it to copy what is new, or to resume it after an interruption; the target is a
valid store all the time. The SHA-256 of each object is checked in transit; damaged
objects are reported and not copied, and the exit code is 13.

Nothing is deleted in the target. A target that holds another store, or a copy with
different snapshots, is not touched.`
}

func (c *storeCopyCmd) Run(ctx context.Context, s *session) error {
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	res, err := s.engine.Copy(ctx, engine.CopyOptions{To: c.To, New: c.New, ReadData: c.ReadData},
		s)
	s.sum.Totals = res.Totals
	if res.Whole {
		s.out.result("%s now has %s, %s of them new: %s, %s, copied in %s", res.Copied.To,
			words.Plural(int64(res.Copied.Snapshots), "snapshot", "snapshots"),
			words.Count(int64(res.Copied.New)), words.Plural(res.Copied.Sent, "object", "objects"),
			words.Size(res.Copied.SentBytes), words.Took(res.Duration))
	}
	return err
}
