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
	settings := c.Settings(s.places)
	s.out.raw("# " + c.File + "\n" + config.YAML(settings))
	ev := map[string]any{"type": "config", "file": c.File}
	for _, set := range settings {
		ev[set.Key] = set.Value
	}
	sets := map[string]any{}
	for _, set := range c.Sets {
		sets[set.Name] = map[string]any{"paths": set.Paths}
	}
	ev["snapshots"] = sets
	s.out.event(ev)
	return nil
}
