// Package atomicfile writes files that are either whole or not there.
//
// It is the one place that knows the order: a temporary file beside the final
// name, write, fsync, close, then rename (or link, where nothing may be replaced),
// then fsync of the directory. [WriteFile] and [CreateFile] do that for a path.
// [Dir] does it below a directory that is held open: names are single parts or
// checked relative paths, no symlink below it is ever followed, so nothing gets
// out of it.
//
// A temporary file starts with [TempPrefix] and is locked while its writer lives.
// What a dead writer has left is recognised by that, see [Dir.RemoveStale].
package atomicfile
