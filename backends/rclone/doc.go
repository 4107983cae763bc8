// Package rclone keeps objects wherever rclone can: rclone://remote/path, where
// remote is a name that the user has configured with "rclone config". rclone is
// linked in as a library; the providers come from package all or few.
//
// An object is a file of its key below the path. What rclone promises of a remote
// is little, and less than its name says, so Put does not rely on it:
//
//   - Where a half-written file could be seen, it is written below [tempDir], its
//     size checked (and a hash, where the remote has one for free), and then
//     moved to its name. Buckets take an object whole or not at all, so there it
//     goes to its name at once.
//   - No remote creates if absent: Capabilities.ConditionalPut is false.
//   - A cancelled call returns at once, whether rclone listens or not; what still
//     runs is waited for by Close.
//
// rclone keeps state for the whole process: settings from the environment, one
// rclone.conf, one logger, handlers of signals, and it ends the process when it
// does not like them. process.go holds all that has to do with it, package
// rcloneenv what has to happen before rclone initialises.
package rclone
