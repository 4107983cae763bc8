package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type verifyCmd struct {
	Snapshot string `arg:"" optional:"" help:"First digits of a snapshot's id, or latest (default: all snapshots)."`
	pick
	ReadData bool `help:"Read every object instead of only listing it, and check its SHA-256." xor:"depth"`

	ReadDataSubset  string `help:"Read only some: a share like 5%, at random, or a part like 1/30." placeholder:"SUBSET" xor:"depth"`
	Scrub           string `help:"Read what is due for every byte to be read once in that time, like 30d." placeholder:"TIME" xor:"depth"`
	ServerChecksums bool   `help:"Compare the SHA-256 that the server has of every object, without reading it." xor:"depth"`

	Parallel int `help:"The same as --connections." placeholder:"N"`
}

func (verifyCmd) Help() string {
	return `Checks that the store has what its snapshots need. Without the secret key:
signatures, that no snapshot is missing from its set, that every object is there with
its size; with --read-data also the SHA-256 of each. With the key in
VAULTIK_AGE_SECRET_KEY it also reads every page and names the affected files, and with
--read-data it decrypts and checks every chunk.

To read less at a time: --read-data-subset 1/30, 2/30 and so on to 30/30 read everything
between them. --scrub 30d, run every day, reads what was read longest ago, as much of it
as is due; this machine remembers what it has read.

--server-checksums trusts the server: it finds what the server knows to be another object,
not what its disks have changed unnoticed. It costs one request an object and no traffic.

It exits 13 if there is damage.`
}

func (c *verifyCmd) Run(ctx context.Context, s *session) error {
	if err := s.parallel(c.Parallel); err != nil {
		return err
	}
	s.item = s.affectedItem
	res, err := s.engine.Verify(ctx, engine.VerifyOptions{Snapshot: c.Snapshot,
		Pick: c.pick.engine(), ReadData: c.ReadData, Subset: c.ReadDataSubset, Scrub: c.Scrub,
		ServerSums: c.ServerChecksums}, s)
	s.sum.Totals = res.Totals
	if res.Whole {
		s.out.result("%s, %s, %s: %s (%s)", words.Plural(int64(res.Verified.Snapshots), "snapshot",
			"snapshots"), words.Plural(res.Verified.Objects, "object", "objects"),
			words.Size(res.Verified.Bytes), words.Verdict(res.Verified.Problems), checked(&res))
	}
	return err
}

// checked says what was looked at.
func checked(res *engine.VerifyResult) string {
	parts := []string{"signatures", "presence", "sizes"}
	switch {
	case res.ReadData:
		parts = append(parts, "SHA-256")
	case res.Some:
		parts = append(parts, "SHA-256 of "+words.Plural(res.Verified.Checked, "object",
			"objects"))
	case res.Vouched > 0:
		parts = append(parts, "SHA-256 that the server has of "+words.Plural(res.Vouched,
			"object", "objects"))
	}
	if res.Verified.ParityOK > 0 {
		parts = append(parts, "parity of "+words.Plural(res.Verified.ParityOK, "blob", "blobs"))
	}
	if res.Key {
		parts = append(parts, words.Plural(res.Verified.Pages, "page", "pages"))
	}
	if res.Key && (res.ReadData || res.Some) {
		parts = append(parts, words.Plural(res.Verified.Chunks, "chunk", "chunks"))
	}
	return "checked: " + strings.Join(parts, ", ")
}

// showProblem prints one problem: it is a result.
func (s *session) showProblem(ev events.Problem) {
	out := s.out
	where := ev.Key
	if where == "" {
		where = fmt.Sprintf("snapshot %d of set %s of %s", ev.Seq, words.Printable(ev.SetName),
			words.Printable(ev.HostName))
	}
	out.result("%s: %s: %s", ev.Kind, where, words.Printable(ev.Reason))
	if len(ev.Snapshots) > 0 {
		out.result("  needed by: %s", strings.Join(short(ev.Snapshots), " "))
	}
	lost := "lost"
	if ev.Err != nil {
		lost = "not read"
	}
	for _, l := range ev.Lost {
		out.result("  %s: %s", lost, l)
	}
	var files []string
	for _, p := range ev.Paths {
		files = append(files, fmt.Sprintf("%q", p.Raw()))
	}
	if len(files) > 0 {
		if ev.MorePaths {
			files = append(files, "and others (-v names all)")
		}
		out.result("  for: %s", strings.Join(files, " "))
	}
}

// affectedItem prints a file that needs something bad.
func (s *session) affectedItem(e events.Item) {
	s.out.event(e)
	if s.out.verbose {
		s.out.result("affected: %q: needs %s", e.Raw(), e.Reason)
	}
}

// showScrubbed prints how much was read when.
func (s *session) showScrubbed(e events.Scrubbed) {
	share := 100.0
	if e.Total > 0 {
		share = math.Floor(1000*float64(e.Recent)/float64(e.Total)) / 10
	}
	s.out.result("read now: %s, %s; read or written within %s: %v %% of %s, longest ago: %s",
		words.Plural(e.Objects, "object", "objects"), words.Size(e.Bytes), e.Within,
		share, words.Size(e.Total), words.Moment(e.Oldest))
}

// maxNamed is how many snapshots are named in one place.
const maxNamed = 8

// short are the ids as people know them, some of them if they are many.
func short(ids []string) (out []string) {
	for i, id := range ids {
		if i == maxNamed {
			return append(out, fmt.Sprintf("and %s more", words.Count(int64(len(ids)-i))))
		}
		out = append(out, id[:8])
	}
	return out
}

// showAffected names snapshots.
func (s *session) showAffected(e events.Affected) {
	title := map[bool]string{true: "affected: ", false: "not affected: "}[e.Bad]
	for _, n := range e.Named {
		s.out.result("%ssnapshot %s (%s of %s, %s)", title, n.ID[:8], words.Printable(n.Set),
			words.Printable(n.Host), words.Moment(n.Time))
	}
	if e.Older > 0 {
		s.out.result("%s%s", title, words.Plural(int64(e.Older), "older snapshot",
			"older snapshots"))
	}
}
