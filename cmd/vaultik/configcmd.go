package main

import (
	"strings"

	"vaultik/backends"
	"vaultik/config"
)

type configPathCmd struct{}

// Run prints the path, whether or not the file is there.
func (configPathCmd) Run(s *session) error {
	s.out.result("%s", s.places.Config)
	s.out.event(configPathEvent{"config-path", s.places.Config, s.places.Index, s.places.Store})
	return nil
}

type configShowCmd struct{}

// Run prints the settings in force as YAML that could be the configuration, unless
// there is a password in the URL of the store, which is not shown.
func (configShowCmd) Run(s *session) error {
	known, err := s.config()
	if err != nil {
		return err
	}
	c := new(config.Config)
	*c = *known
	c.StorageURL = shownURL(c.StorageURL)
	s.out.raw("# " + c.File + "\n" + config.YAML(c.Settings(s.places)))
	ev := configEvent{Type: "config", File: c.File, StorageURL: c.StorageURL, Recipients: c.Recipients.Strings(),
		Sets: map[string]map[string]any{}, Compression: c.Compression, ChunkSize: config.FormatSize(c.ChunkSize),
		BlobSize: config.FormatSize(c.BlobSize), Memory: config.FormatSize(c.Memory),
		BWLimit: c.BWLimit.String(), Connections: c.Parallel, Parallel: c.Parallel,
		Elapsed: c.Retry.ElapsedText(), Stall: c.Retry.StallText(),
		IndexPath: s.places.IndexDir(c), Hostname: c.Hostname}
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
