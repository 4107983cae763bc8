// Package engine is what can be asked of Vaultik: set a machine up, back up, list,
// restore, verify, mirror, try out a place. Whoever asks gives options and gets a typed
// result, an error that knows its exit code and hint ([Explain]), and hears on the way
// what happens ([events.Sink]). It prints nothing, reads no command line and no signal,
// and knows no environment but that of its configuration.
//
// An [Engine] holds the options of every request. Each request is a job: it reads
// the configuration anew, counts for itself and leaves nothing behind in the process, so
// that many can be made, one after the other or at once. Two that write as this host
// are kept apart by the lock of the host.
package engine
