package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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
	ev := events.ConfigPath{Type: "config-path"}
	ev.Config, ev.Config64 = events.Twin(p.Config)
	ev.State, ev.State64 = events.Twin(p.State)
	ev.Index, ev.Index64 = events.Twin(p.Index)
	ev.Store, ev.Store64 = events.Twin(p.Store)
	s.out.event(ev)
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
	ev := events.Config{Type: "config",
		Recipients: c.Recipients.Strings(),
		Sets:       map[string]map[string]any{}, Compression: c.Compression,
		ChunkSize: config.FormatSize(c.ChunkSize),
		BlobSize:  config.FormatSize(c.BlobSize), Parity: fmt.Sprintf("%d%%", c.Parity),
		Compact: config.FormatSize(c.Compact), Memory: config.FormatSize(c.Memory),
		BWLimit: c.BWLimit.String(), Connections: c.Parallel, Parallel: c.Parallel,
		Elapsed: c.Retry.ElapsedText(), Stall: c.Retry.StallText(),
		SlowStore: c.Retry.SlowStore,
		Hostname:  c.Hostname}
	ev.File, ev.File64 = events.Twin(c.File)
	ev.StorageURL, ev.StorageURL64 = events.Twin(c.StorageURL)
	ev.IndexPath, ev.IndexPath64 = events.Twin(p.IndexDir(c))
	ev.StateDir, ev.StateDir64 = events.Twin(p.State)
	for _, set := range c.Sets {
		ev.Sets[set.Name] = map[string]any{}
		for _, one := range set.Settings() {
			key, value := settingTwin(one)
			ev.Sets[set.Name][key] = value
		}
	}
	for _, one := range c.Settings(p) {
		if group, ok := one.Value.([]config.Setting); ok && one.Key == "retention" {
			_, ev.Retention = groupTwin(one.Key, group)
		}
	}
	s.out.event(ev)
	return nil
}

// groupTwin is a group of settings as JSON has it.
func groupTwin(key string, group []config.Setting) (string, map[string]any) {
	out := map[string]any{}
	for _, one := range group {
		key, value := settingTwin(one)
		out[key] = value
	}
	return key, out
}

// settingTwin is a setting as JSON has it: one with a text that is not UTF-8 has 64 at the end
// of its key, and all its texts in base64.
func settingTwin(one config.Setting) (key string, value any) {
	switch v := one.Value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return one.Key + "64", []byte(v)
		}
	case []config.Setting:
		return groupTwin(one.Key, v)
	case []string:
		if slices.ContainsFunc(v, func(s string) bool { return !utf8.ValidString(s) }) {
			var all [][]byte
			for _, s := range v {
				all = append(all, []byte(s))
			}
			return one.Key + "64", all
		}
	}
	return one.Key, one.Value
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
