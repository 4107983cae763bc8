package main

import (
	"runtime"

	"vaultik/engine/events"
)

// storeFormat is the version of the store format that this program writes.
const storeFormat = 1

type versionCmd struct{}

// Run prints which program this is.
func (versionCmd) Run(s *session) error {
	v, revision := programVersion()
	shown := v
	if revision != "" {
		shown += " (" + revision + ")"
	}
	s.out.result("vaultik %s, store format %d, %s %s/%s", shown, storeFormat, runtime.Version(),
		runtime.GOOS, runtime.GOARCH)
	s.out.event(events.Version{Type: "version", Version: v, Revision: revision, Format: storeFormat,
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH})
	return nil
}
