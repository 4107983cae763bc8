package main

import (
	"context"
	"strings"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
)

type configPathCmd struct{}

// Run prints the path, whether or not the file is there.
func (configPathCmd) Run(ctx context.Context, s *session) error {
	p, err := s.engine.Places(ctx, s)
	if err != nil {
		return err
	}
	s.out.result("%s", p.Config)
	s.out.event(events.ConfigPath{Type: "config-path", Config: p.Config, State: p.State,
		Index: p.Index, Store: p.Store})
	return nil
}

type configShowCmd struct{}

// Run prints the settings in force as YAML that could be the configuration, unless
// there is a password in the URL of the store, which is not shown.
func (configShowCmd) Run(ctx context.Context, s *session) error {
	known, err := s.engine.Config(ctx, s)
	if err != nil {
		return err
	}
	p, err := s.engine.Places(ctx, s)
	if err != nil {
		return err
	}
	c := new(config.Config)
	*c = *known
	c.StorageURL = shownURL(c.StorageURL)
	s.out.raw("# " + c.File + "\n" + config.YAML(c.Settings(p)))
	ev := events.Config{Type: "config", File: c.File, StorageURL: c.StorageURL,
		Recipients: c.Recipients.Strings(),
		Sets:       map[string]map[string]any{}, Compression: c.Compression,
		ChunkSize: config.FormatSize(c.ChunkSize),
		BlobSize:  config.FormatSize(c.BlobSize), Memory: config.FormatSize(c.Memory),
		BWLimit: c.BWLimit.String(), Connections: c.Parallel, Parallel: c.Parallel,
		Elapsed: c.Retry.ElapsedText(), Stall: c.Retry.StallText(),
		SlowStore: c.Retry.SlowStore,
		IndexPath: p.IndexDir(c), StateDir: p.State,
		Hostname: c.Hostname}
	for _, set := range c.Sets {
		ev.Sets[set.Name] = map[string]any{}
		for _, one := range set.Settings() {
			ev.Sets[set.Name][one.Key] = one.Value
		}
	}
	s.out.event(ev)
	return nil
}

// shownURL is a URL as it was written, without what may be a password in it.
func shownURL(url string) string {
	if short := backends.Redact(url); strings.HasSuffix(short, "://...") {
		return short
	}
	return url
}

type configCheckCmd struct{}

func (configCheckCmd) Help() string {
	return `Checks everything that vaultik backup needs: the configuration, the state of this
host, the store and its owner, this host's keys, the index, and the paths and patterns of
each set. Only beside the state a temporary file is written, so whether store and index are
writable is judged by their permissions.

The exit code is that of the first failure, or 3 if only paths are missing.`
}

func (configCheckCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.CheckConfig(ctx, s)
	return err
}
