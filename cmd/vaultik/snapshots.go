package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/words"
)

type snapshotsCmd struct {
	pick
	cacheFlag
}

func (snapshotsCmd) Help() string {
	return `Lists ids, times and sizes, and the names that this host knows. With the secret
key in VAULTIK_AGE_SECRET_KEY it shows names, paths and counts of all snapshots.
STORED is the size of the blobs that a snapshot needs; others may share them.`
}

// Run prints the snapshots, newest last.
func (c *snapshotsCmd) Run(ctx context.Context, s *session) error {
	if err := s.cached(c.cacheFlag); err != nil {
		return err
	}
	res, err := s.engine.Snapshots(ctx, c.pick.engine(), s)
	s.sum.Totals = res.Totals
	if res.URL != "" {
		s.showRows(res)
		for _, p := range res.Problems {
			s.out.warn("", "%v", p)
		}
	}
	return err
}

// showRows prints the table, or the objects.
func (s *session) showRows(res engine.SnapshotsResult) {
	for _, r := range res.List {
		s.out.event(r)
	}
	if len(res.List) == 0 {
		s.out.note("no snapshots in %s", res.URL)
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tHOST\tSET\tFILES\tSIZE\tSTORED\t")
	for _, r := range res.List {
		files, bytes, remark := "-", "-", ""
		if r.Files != nil {
			files, bytes = words.Count(*r.Files), words.Size(*r.Bytes)
		}
		if !r.Complete {
			remark = "incomplete"
		}
		id := r.ID[:8]
		if s.out.verbose {
			id = r.ID
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id, words.Moment(r.Time),
			words.Printable(events.NameOf(r.Hostname, r.Hostname64, r.Host)),
			words.Printable(events.NameOf(r.SetName, r.SetName64, r.Set)), files, bytes,
			words.Size(r.Stored), remark)
	}
	_ = t.Flush() // a strings.Builder never fails
	s.out.raw(trimEnds(b.String()))
}

// trimEnds drops the spaces that columns leave at line ends.
func trimEnds(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}
