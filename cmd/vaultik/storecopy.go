package main

import (
	"context"

	"vaultik/engine"
	"vaultik/internal/words"
)

type storeCopyCmd struct {
	To       string `required:"" help:"Where the mirror is, or is to be: a directory, s3://BUCKET/PREFIX or rclone://REMOTE/PATH." placeholder:"URL"`
	New      bool   `help:"Begin anew where a mirror was that is gone."`
	ReadData bool   `help:"Also read what the target has already, and replace what is damaged there."`
	Parallel int    `help:"Transfers at once, 1 to 64 (default: the configuration's)." placeholder:"N"`
}

// Help is shown by --help.
func (storeCopyCmd) Help() string {
	return `Copies all that the snapshots of a store need to another place, of whatever kind, and
then the snapshots: they can be read, verified and restored there. It needs no key. Run
again it copies what is new; interrupted or killed it goes on, and what is in the target
is a whole store all the time. The SHA-256 of each object is checked on its way;
what is damaged is named, not copied, and the exit code is 13.

Nothing is deleted in the target, and nothing of another store, or of one whose
snapshots are others, is touched.`
}

// Run copies.
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
