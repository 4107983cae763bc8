package main

import (
	"context"
	"strings"

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
STORED is the size of the blobs that a snapshot needs; others may share them. On a
terminal long names of sets are cut; -v shows them whole.`
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
	table := [][]string{{"ID", "TIME", "HOST", "SET", "FILES", "SIZE", "STORED", ""}}
	for _, r := range res.List {
		files, bytes := "-", "-"
		if r.Files != nil {
			files, bytes = words.Count(*r.Files), words.Size(*r.Bytes)
		}
		id := r.ID[:8]
		if s.out.verbose {
			id = r.ID
		}
		table = append(table, []string{id, words.Moment(r.Time),
			words.Printable(events.NameOf(r.Hostname, r.Hostname64, r.Host)),
			words.Printable(events.NameOf(r.SetName, r.SetName64, r.Set)), files, bytes,
			words.Size(r.Stored), strings.Join(remarksOf(r), ", ")})
	}
	if width := terminalWidth(s.out.stdout); width > 0 && !s.out.verbose {
		narrow(table, setColumn, width)
	}
	s.showTable(table)
}

// setColumn has the names of sets, which may be made of many paths.
const setColumn = 3

// narrow cuts one column so that the table fits into so many columns of a terminal, if that
// leaves something of it.
func narrow(table [][]string, column, width int) {
	left := width - 1 // the last column makes some terminals wrap
	for i := range table[0] {
		widest := 0
		for _, row := range table {
			widest = max(widest, columns(row[i]))
		}
		if i != column {
			left -= widest
		}
		if i > 0 && widest > 0 {
			left -= 2 // the space between
		}
	}
	const dots, least = "...", 12
	for _, row := range table {
		if limit := max(left, least); columns(row[column]) > limit {
			row[column] = fit(row[column], limit-len(dots)) + dots
		}
	}
}

// trimEnds drops the spaces that columns leave at line ends.
func trimEnds(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}
