package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/snapshot"
)

// lockHost makes this process the only one that writes as this host, until the
// function that it returns is called. Those who only read need not ask.
func (j *job) lockHost() (release func(), err error) {
	lock, err := j.state.LockHost()
	if err != nil {
		return nil, err
	}
	return lock.Release, nil
}

// refuseClone fails on a machine that has another's host.json, before it has
// written anything. same is the user's word that it is the one it was made on,
// installed anew: that is remembered.
func (j *job) refuseClone(h *config.Host, same bool) error {
	switch {
	case !h.Moved():
		return nil
	case !same:
		return j.cloned()
	}
	h.Machine = config.MachineHash(h.Secret)
	return j.state.UpdateHost(func(now *config.Host) error {
		now.Machine = h.Machine
		return nil
	})
}

// cloned: host.json was made on another machine.
type cloned struct {
	file string
	ways []string
}

func (j *job) cloned() error {
	return &cloned{j.state.HostFile(), []string{j.becomeNewHost(storeOfItsOwn),
		j.vaultik("backup --same-host")}}
}

func (e *cloned) Error() string {
	return "the keys in " + e.file +
		" belong to another machine, and two machines must not write as one host: " +
		"make this one a separate host, or declare it to be the same machine, reinstalled"
}

func (*cloned) Exit() fault.Code    { return fault.Failed }
func (e *cloned) Choices() []string { return e.ways }

// strange: the store has snapshots of this host that this machine does not know for its own.
type strange struct {
	err  error
	ways []string
}

func (e *strange) Error() string {
	return e.err.Error() + ": if its state was put back from an older copy, resume; " +
		"if it is a copy of another machine, make it a separate host"
}

func (e *strange) Unwrap() error     { return e.err }
func (*strange) Exit() fault.Code    { return fault.Failed }
func (e *strange) Choices() []string { return e.ways }

// foreignWriter adds to an error that another may write as this host, or has put something
// where this host writes, what to do then.
func (j *job) foreignWriter(op *opened, err error) error {
	var way *backup.InTheWay
	switch {
	case errors.As(err, &way):
		return fault.WithHint(err, removeStray(op.URL, way.Key))
	case errors.Is(err, backup.ErrUnknownGC) && snapshot.Unproven(err):
		hint := putBack
		if stray := op.strayInLine(err); stray != "" {
			hint += "; " + stray
		}
		return fault.WithHint(err, hint)
	}
	if errors.Is(err, backup.ErrForeignWriter) {
		return &strange{err, []string{j.vaultik("host resume --same-host"),
			j.becomeNewHost(storeOfItsOwn)}}
	}
	return err
}

// knowsOwn fails where a backup would, since the store has snapshots of this host that this
// machine does not know for its own.
func knowsOwn(ctx context.Context, op *opened) error {
	for _, r := range op.Sets.Sets {
		heads, _, err := op.Store.Head(ctx, op.Host.ID, r.ID)
		if err != nil {
			return err
		}
		w := op.Seen.Written(op.Store.Doc.Store, op.Host.ID, r.ID)
		for _, l := range heads {
			next := l.Seq == w.Seq+1 && slices.ContainsFunc(w.Next,
				func(p config.Point) bool { return p.Sum == l.ID() })
			if l.Seq > w.Seq && !next {
				return fmt.Errorf("%w: snapshot %d of set %q; the last that it wrote is %d",
					backup.ErrForeignWriter, l.Seq, string(r.Name), w.Seq)
			}
		}
	}
	return nil
}

// headOf is what the actors are told of what this machine has written.
func headOf(w config.Written) (h backup.Head, err error) {
	h.Seq = w.Seq
	if w.Seq > 0 {
		h.Sum, err = w.Hash()
	}
	for _, p := range w.Next {
		sum, perr := p.Hash()
		h.Next, err = append(h.Next, sum), errors.Join(err, perr)
	}
	return h, err
}

// storeOfItsOwn is how a machine begins anew with a store of its own.
const storeOfItsOwn = "--store URL init"

// becomeNewHost is the command that puts aside who this machine was and begins anew with
// another command of the program.
func (j *job) becomeNewHost(anew string) string {
	aside := filepath.Join(j.places.State, "old-host")
	words := []string{"mkdir", config.Quote(aside), "&&", "mv"}
	for _, f := range j.places.HostFiles() {
		words = append(words, config.Quote(f))
	}
	words = append(words, config.Quote(aside))
	if dir := j.places.IndexDir(j.conf); exists(dir) {
		words = append(words, "&&", "mv", config.Quote(dir), config.Quote(dir+".old-host"))
	}
	return strings.Join(words, " ") + " && " + j.vaultik(anew)
}

// vaultik is a command of the program for the same configuration, as hints name it.
func (j *job) vaultik(words string) string {
	if j.o.Config != "" {
		words = "--config " + config.Quote(j.o.Config) + " " + words
	}
	return "vaultik " + words
}

// here is a command of the program for the same store.
func (j *job) here(words string) string {
	if j.o.Store != nil {
		words = "--store " + config.Quote(*j.o.Store) + " " + words
	}
	return j.vaultik(words)
}
