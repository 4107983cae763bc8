package main

import (
	"context"
	"fmt"

	"vaultik/actors"
	"vaultik/actors/verify"
	"vaultik/backends"
	"vaultik/messages"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

type verifyCmd struct {
	Snapshot string `arg:"" optional:"" help:"Digits of a snapshot's id, or latest; without, all snapshots are checked."`
	pick
	ReadData bool `help:"Read every object, not only list it, and check its SHA-256."`
	Parallel int  `help:"The same as --connections." placeholder:"N"`
}

// Help is shown by --help.
func (verifyCmd) Help() string {
	return `Checks that the store has what its snapshots need. Without the secret key:
signatures, that no snapshot is missing in its row, that every object is there with
its size; with --read-data also the SHA-256 of each. With the key in
VAULTIK_AGE_SECRET_KEY it reads every page too and says which files a problem concerns,
and with --read-data it decrypts and checks every chunk.

It exits 13 if there is damage.`
}

// Run verifies.
func (c *verifyCmd) Run(ctx context.Context, s *session) error {
	key, err := s.optionalIdentity()
	if err != nil {
		return err
	}
	parallel, memory, err := s.settings(c.Parallel)
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
	rows, problems, err := c.choose(ctx, s, cat, key)
	if err != nil {
		return err
	}
	v := &verification{s: s, cat: cat, rows: rows, signed: problems, readData: c.ReadData, key: key}
	for _, p := range problems {
		v.sayProblem(v.ofManifest(p))
	}
	spec := &verify.Spec{
		Store: op.Backend, Opened: op.Store, ReadData: c.ReadData, Identity: key, Parallel: parallel, Memory: memory,
		Progress: &messages.Progress{}, Warn: func(text string) { s.out.warn("", "%s", text) },
	}
	for _, r := range rows {
		spec.Snapshots = append(spec.Snapshots, r.Loaded)
	}
	system := actors.NewSystem(nil)
	defer system.Close()
	stop := s.showProgress(spec.Progress)
	rep, err := verify.Run(ctx, system, spec)
	stop()
	if rep == nil {
		return err
	}
	return v.report(ctx, rep, err)
}

// choose gives the snapshots to be checked, and the problems that concern them.
func (c *verifyCmd) choose(ctx context.Context, s *session, cat *catalog, key *keys.Identity) ([]*row, []snapshot.Problem, error) {
	if c.Snapshot != "" {
		id, path := splitSnapshot(c.Snapshot)
		if path != "" {
			return nil, nil, &usageError{msg: "a snapshot is checked as a whole: leave out :" + path, command: "verify"}
		}
		r, err := s.find(ctx, cat, id, c.pick, key)
		if err != nil {
			return nil, nil, err
		}
		s.sum.Snapshot = r.ID()
		var mine []snapshot.Problem
		others := int64(0)
		for _, p := range cat.problems {
			if p.Host == r.Host && p.Set == r.Set && p.Seq == r.Seq {
				mine = append(mine, p)
			} else {
				others++
			}
		}
		if others > 0 {
			s.out.note("%s elsewhere in the store: %s", plural(others, "problem", "problems"), s.commandHere("verify"))
		}
		return []*row{r}, mine, nil
	}
	if c.pick == (pick{}) {
		return cat.rows, cat.problems, nil
	}
	chains, err := cat.chains(ctx, c.pick, key)
	if err != nil {
		return nil, nil, err
	}
	if len(chains) == 0 {
		return nil, nil, &noSnapshot{msg: "no snapshot of that set and host is known; names of other hosts need the secret key"}
	}
	wanted := map[chain]bool{}
	for _, k := range chains {
		wanted[k.chain] = true
	}
	var rows []*row
	var problems []snapshot.Problem
	for _, r := range cat.rows {
		if wanted[r.chain()] {
			rows = append(rows, r)
		}
	}
	for _, p := range cat.problems {
		if wanted[chain{p.Host, p.Set}] {
			problems = append(problems, p)
		}
	}
	return rows, problems, nil
}

// name is a snapshot for people.
func (v *verification) name(r *row) string {
	return fmt.Sprintf("%s (%s of %s, %s)", r.short(), printable(v.cat.setName(r.chain(), r.Root)), printable(v.cat.hostName(r.chain(), r.Root)), r.when())
}
