package engine

import (
	"errors"
	"path/filepath"
	"strings"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/internal/fault"
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

// foreignWriter adds to an error that another writes as this host what to do then.
func (j *job) foreignWriter(err error) error {
	if errors.Is(err, backup.ErrForeignWriter) {
		return fault.WithHint(err,
			"if this machine was cloned, make it a separate host: "+j.becomeNewHost())
	}
	return err
}

// becomeNewHost is the command that puts aside who this machine was and begins
// with a store of its own.
func (j *job) becomeNewHost() string {
	aside := filepath.Join(j.places.State, "old-host")
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
