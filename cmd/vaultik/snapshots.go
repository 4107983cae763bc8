package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"vaultik/backends"
	"vaultik/vault/keys"
)

type snapshotsCmd struct{ pick }

// Help is shown by --help.
func (snapshotsCmd) Help() string {
	return `Lists ids, times and sizes, and what this host knows of names. With the secret
key in VAULTIK_AGE_SECRET_KEY it shows names, paths and counts of all of them.
STORED is the size of the blobs a snapshot needs, shared with others.`
}

// Run prints the snapshots, newest last.
func (c *snapshotsCmd) Run(ctx context.Context, s *session) error {
	key, err := s.optionalIdentity()
	if err != nil {
		return err
	}
	op, err := s.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	cat, err := s.catalog(ctx, op)
	if err != nil {
		return err
	}
	rows, wrong, err := c.read(ctx, cat, key)
	if err != nil {
		return err
	}
	s.showRows(cat, rows)
	for _, p := range cat.problems {
		s.out.warn("", "%v", p)
	}
	s.sum.Errors = int64(len(cat.problems))
	switch {
	case len(cat.problems) > 0:
		return &hinted{&damage{fmt.Sprintf("%s in the store; the snapshots listed are not affected by that", plural(int64(len(cat.problems)), "problem", "problems"))}, "see all that is wrong: " + s.commandHere("verify --read-data")}
	case wrong != nil && len(rows) > 0:
		return wrong
	}
	return nil
}

// read opens the roots and leaves out what is not asked for. wrong is set when
// the key opens none of them.
func (c *snapshotsCmd) read(ctx context.Context, cat *catalog, key *keys.Identity) (rows []*row, wrong, err error) {
	opened := 0
	for _, r := range cat.rows {
		root, err := cat.openRoot(ctx, r, key)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, nil, err
		case errors.Is(err, keys.ErrWrongIdentity), errors.Is(err, keys.ErrPlugin):
			wrong = err
		case err != nil:
			cat.problems = append(cat.problems, problemWith(r, err))
		case root != nil:
			opened++
		}
		if fits(c.Host, cat.hostName(r.chain(), root), r.Host.String()) && fits(c.Set, cat.setName(r.chain(), root), r.Set.String()) {
			rows = append(rows, r)
		}
	}
	if opened > 0 {
		wrong = nil
	}
	return rows, wrong, nil
}

// showRows prints the table, or the objects.
func (s *session) showRows(cat *catalog, rows []*row) {
	for _, r := range rows {
		s.out.event(cat.event(r))
	}
	if len(rows) == 0 {
		s.out.note("no snapshots in %s", backends.Redact(cat.op.URL))
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tHOST\tSET\tFILES\tSIZE\tSTORED\t")
	for _, r := range rows {
		files, bytes, remark := "-", "-", ""
		if r.Root != nil {
			files, bytes = count(r.Root.Counts.Files), size(r.Root.Counts.Bytes)
		}
		if !r.Complete {
			remark = "incomplete"
		}
		id := r.short()
		if s.out.verbose {
			id = r.ID()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id, r.when(), printable(cat.hostName(r.chain(), r.Root)),
			printable(cat.setName(r.chain(), r.Root)), files, bytes, size(r.Bytes), remark)
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
