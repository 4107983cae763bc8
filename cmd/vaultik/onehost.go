package main

import (
	"path/filepath"
	"strings"

	"vaultik/config"
)

// lockHost makes this process the only one that writes as this host, until the
// function that it returns is called. Those who only read need not ask.
func (s *session) lockHost() (release func(), err error) {
	lock, err := s.state.LockHost()
	if err != nil {
		return nil, err
	}
	return lock.Release, nil
}

// refuseClone fails on a machine that has another's host.json, before it has
// written anything. same is the user's word that it is the one it was made on,
// installed anew: that is remembered.
func (s *session) refuseClone(h *config.Host, same bool) error {
	switch {
	case !h.Moved():
		return nil
	case !same:
		return &cloned{s.state.HostFile()}
	}
	h.Machine = config.MachineHash(h.Secret)
	return s.state.UpdateHost(func(now *config.Host) error {
		now.Machine = h.Machine
		return nil
	})
}

// cloned: host.json was made on another machine.
type cloned struct{ file string }

func (e *cloned) Error() string {
	return "the keys in " + e.file + " are of another machine, and two must not write as one host: " +
		"make this one a host of its own, or say that it is the same one, installed anew"
}

// cloneChoices are the ways on from there.
func (s *session) cloneChoices() []string {
	return []string{s.becomeNewHost(), s.command("backup --same-host")}
}

// becomeNewHost is the command that puts aside who this machine was and begins
// with a store of its own.
func (s *session) becomeNewHost() string {
	aside := filepath.Join(s.places.Dir(), "old-host")
	words := []string{"mkdir", config.Quote(aside), "&&", "mv"}
	for _, f := range s.places.HostFiles() {
		words = append(words, config.Quote(f))
	}
	words = append(words, config.Quote(aside))
	if dir := s.places.IndexDir(s.conf); exists(dir) {
		words = append(words, "&&", "mv", config.Quote(dir), config.Quote(dir+".old-host"))
	}
	return strings.Join(words, " ") + " && " + s.command("--store URL init")
}

// command is a command of this program for the same configuration.
func (s *session) command(words string) string {
	if s.cli.Config != "" {
		words = "--config " + config.Quote(s.cli.Config) + " " + words
	}
	return "vaultik " + words
}
