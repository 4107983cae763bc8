// Package file keeps objects as files below one directory: file:///path or a path.
//
// A key is the path of its file below the root, so that sha256sum, age and zstd
// work on a store as it lies there. Files are 0600, directories 0700. Only regular
// files whose names are keys are objects. Symlinks below the root are refused with
// an error (the root itself may be one), so no key leads out, and a store that was
// spread by symlinks is not taken for one that has lost objects.
//
// Put writes beside the final name and links or renames when all is on the disk, see
// package atomicfile. What a killed writer has left is removed when a listing finds it,
// unless the store was opened read-only.
package file
