// Package keys holds everything that must not be printed, and the public
// halves of it.
//
// A host owns three secrets and none of them can read a backup:
//
//   - the [HostSecret], from which the keys for chunk ids, cut points, page
//     boundaries, hard links and paths are derived;
//   - its [Signer], which signs manifests;
//   - on a machine that also owns the store, the owner's [Signer].
//
// Reading takes an [Identity], which a backed-up host never holds. What a
// backup seals is sealed to [Recipients] and to the recipient of the current
// [EpochKey]; the host forgets the epoch's identity as soon as it has sealed
// it to the recipients.
//
// Secrets print as "(secret)" under every verb, and no error of this package
// repeats what it was given: a secret pasted into the wrong place must not end
// in a log. Both hold for a value reached through exported fields or pointers;
// package fmt does not ask an unexported field how it wants to be printed, so
// keep secrets there behind a pointer.
package keys
