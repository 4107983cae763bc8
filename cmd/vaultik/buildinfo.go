package main

import (
	"runtime/debug"
	"strings"
)

// release is set by the linker for releases: -X main.release=v1.2.3.
var release = ""

// programVersion gives the version, "dev" where none was stamped, and the
// revision it was built from, "" where unknown.
func programVersion() (v, revision string) {
	v = release
	info, ok := debug.ReadBuildInfo()
	if ok {
		if v == "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
		for _, kv := range info.Settings {
			switch {
			case kv.Key == "vcs.revision":
				revision = kv.Value[:min(12, len(kv.Value))]
			case kv.Key == "vcs.modified" && kv.Value == "true":
				revision += "+changes"
			}
		}
	}
	if v == "" {
		v = "dev"
	}
	return v, revision
}

// tool is what a snapshot says made it.
func tool() string {
	v, revision := programVersion()
	return strings.TrimSpace("vaultik " + v + " " + revision)
}
