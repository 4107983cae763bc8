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
// in a log. Package fmt does not ask values in unexported fields how they want to
// be printed; what is secret lies behind functions, where it finds nothing. Only
// [HostSecret] is plain bytes: keep it in exported fields, or do not print
// what holds it.
package keys
