package placecheck

import (
	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/vault/snapshot"
)

// Abilities are what a place can do.
func Abilities(info backends.Info) events.Abilities {
	return events.Abilities{ConditionalPut: info.ConditionalPut, AtomicReplace: info.AtomicReplace,
		Checksums: info.ServerChecksum,
		Sorted:    info.Sorted, RangeNative: info.RangeNative, EmptyObjects: info.EmptyObjects,
		MaxObject: Known(info.MaxObjectSize, 1), Connections: info.Connections}
}

// Known is n, nil if it is less than least: not known.
func Known(n, least int64) *int64 {
	if n < least {
		return nil
	}
	return &n
}

// Safety is what the format does about two writers of one name. doc is nil where there
// is no store yet.
func Safety(doc *snapshot.StoreDoc, conditional bool) (word string, p events.Promise) {
	switch {
	case doc == nil && conditional:
		return safetyStrong, events.NewStrong
	case doc == nil:
		return snapshot.SafetyWeak, events.NewWeak
	case doc.Safety == snapshot.SafetyWeak:
		return snapshot.SafetyWeak, events.Weak
	case !conditional:
		return safetyStrong, events.StrongBroken
	}
	return safetyStrong, events.Strong
}

const safetyStrong = "strong"
