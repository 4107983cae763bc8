//go:build race

package main

// scripts are those that the race detector watches: each command that has much to do at the
// same time, as it ends well, fails, hangs and is stopped. The others say what is printed, and
// reach no other code between goroutines; with all of them this took fourteen minutes.
var scripts = []string{
	"again", "badfiles", "cache", "hangs", "indexrebuild", "interrupt", "limits", "onewriter",
	"readback", "repairhead", "restore", "restoredelete", "restorelocal", "roundtrip", "sets", "signals",
	"snapshots", "stdin", "storecheck", "storecopy", "storehangs", "unread", "verify",
}
