package main

import (
	"slices"

	"vaultik/internal/fault"
)

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Command to show help for."`
}

// Run shows what COMMAND --help shows.
func (c *helpCmd) Run(s *session) error {
	_, err := s.parser.Parse(append(slices.Clone(c.Command), "--help"))
	if err != nil && len(c.Command) > 0 {
		if _, known := s.parser.Parse([]string{c.Command[0]}); known != nil {
			return fault.Misuse("", err.Error())
		}
	}
	return nil
}
