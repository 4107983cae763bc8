// Package config knows every path the program uses and every file it keeps on
// this machine.
//
// Words:
//
//   - Places: where configuration, state files, index and the embedded store are.
//   - Config: the YAML file, read only by the program, written once by init.
//   - State files: JSON beside the configuration or in the state directory, written by the program only:
//     host.json (who this host is), sets.json (its sets), seen.json (the newest
//     that was seen of each store) and known_stores.json (whose stores they are).
//
// Promises: state files are replaced atomically and have mode 0600, so a reader
// beside a writer sees the old or the new file; read-modify-write goes through
// [State.Update...] methods, which hold a lock between processes. A file that
// cannot be understood is an [*Error] with the file, the line where known, and
// what to do next. A secret key is never part of a message.
package config
