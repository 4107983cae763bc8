// Package fs reads trees from a file system and writes them back.
//
// Words: a path names an entry the way pages do, as bytes without the leading slash,
// the top of the file system being "."; an absolute path is what a user or the kernel
// means. A root is an absolute path that a user asked for. An implied entry is a
// directory above a root, recorded with its attributes but without its contents.
//
// Out: Roots turns arguments into roots, Walk lists them in the order of
// page.Compare, CaptureMeta fills an entry, OpenFile and Extents give its data.
// Back: a Target makes entries below one directory.
//
// Promises:
//   - No symbolic link is followed, except those in the arguments to Roots and
//     OpenTarget, once.
//   - Directories are held by descriptor and names looked up one component at a
//     time, so that neither a long path nor one changed in the meantime leads elsewhere.
//   - What is opened is checked to be what was listed; otherwise ErrSwapped.
//   - A Target never shows an incomplete file under its name: it is made without
//     a name or under a temporary one, and gets its name last.
//   - What a restore may not set (the owner, without privilege) is reported as a
//     MetaProblem and does not fail the entry.
//
// So on Linux 4.11 or newer (statx) with /proc mounted. On macOS, FreeBSD and
// Windows entries are known by path: what the descriptors guarantee is checked
// before and after, paths are no longer than the system takes in one call, and
// os.Root keeps a Target inside its directory. The build tag portable runs that
// half on Linux, where it is tested. On Windows "/C/dir" is the absolute path of
// what the system calls C:\dir.
package fs
