package main

import (
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

// Run prints the settings in force as YAML that could be the configuration.
func (configShowCmd) Run(s *session) error {
	c, err := s.config()
	if err != nil {
		return err
	}
	s.out.raw("# " + c.File + "\n" + config.YAML(c.Settings(s.places)))
	ev := configEvent{Type: "config", File: c.File, StorageURL: c.StorageURL, Recipients: c.Recipients.Strings(),
		Sets: map[string]configSet{}, Compression: c.Compression, ChunkSize: config.FormatSize(c.ChunkSize),
		BlobSize: config.FormatSize(c.BlobSize), Memory: config.FormatSize(c.Memory), Parallel: c.Parallel,
		IndexPath: s.places.IndexDir(c), Hostname: c.Hostname}
	for _, set := range c.Sets {
		ev.Sets[set.Name] = configSet{set.Paths, set.Patterns(), set.ExcludeFiles}
	}
	s.out.event(ev)
	return nil
}
