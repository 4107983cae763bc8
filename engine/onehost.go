package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/layout"
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
	return &cloned{j.state.HostFile(), []string{j.becomeNewHost(), j.vaultik("backup --same-host")}}
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

// foreignWriter adds to an error that another may write as this host what to do then.
func (j *job) foreignWriter(err error) error {
	if errors.Is(err, backup.ErrForeignWriter) {
		return &strange{err, []string{j.vaultik("host resume --same-host"), j.becomeNewHost()}}
	}
	return err
}

// knowsOwn fails where a backup would, since the store has snapshots of this host that this
// machine does not know for its own.
func knowsOwn(ctx context.Context, op *opened) error {
	newest := map[layout.SetID]layout.Object{}
	keys := map[layout.SetID]string{}
	err := op.Objects.List(ctx, layout.ManifestPrefix(op.Host.ID), func(key string, _ int64) error {
		o, err := layout.Parse(key)
		if err == nil && o.Kind == layout.KindManifest && o.Seq > newest[o.Set].Seq {
			newest[o.Set], keys[o.Set] = o, key
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	for _, r := range op.Sets.Sets {
		w := op.Seen.Written(op.Store.Doc.Store, op.Host.ID, r.ID)
		own, err := w.Seq >= newest[r.ID].Seq, error(nil)
		if newest[r.ID].Seq == w.Seq+1 && len(w.Next) > 0 {
			own, err = ofPoints(ctx, op, keys[r.ID], w.Next)
		}
		if err != nil {
			return err
		}
		if !own {
			return fmt.Errorf("%w: snapshot %d of set %q; the last that it wrote is %d",
				backup.ErrForeignWriter, newest[r.ID].Seq, string(r.Name), w.Seq)
		}
	}
	return nil
}

// ofPoints reports whether an object is one of those.
func ofPoints(ctx context.Context, op *opened, key string, points []config.Point) (bool, error) {
	b, err := op.Objects.Get(ctx, key, 0, -1)
	if err != nil {
		return false, err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	return slices.ContainsFunc(points, func(p config.Point) bool { return p.Sum == sum }), nil
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

// becomeNewHost is the command that puts aside who this machine was and begins
// with a store of its own.
func (j *job) becomeNewHost() string {
	aside := filepath.Join(j.places.Dir(), "old-host")
	words := []string{"mkdir", config.Quote(aside), "&&", "mv"}
	for _, f := range j.places.HostFiles() {
		words = append(words, config.Quote(f))
	}
	words = append(words, config.Quote(aside))
	if dir := j.places.IndexDir(j.conf); exists(dir) {
		words = append(words, "&&", "mv", config.Quote(dir), config.Quote(dir+".old-host"))
	}
	return strings.Join(words, " ") + " && " + j.vaultik("--store URL init")
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
