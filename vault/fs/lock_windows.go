package fs

import "os"

// lockFile reports that there is no lock that a file keeps while it is renamed.
func lockFile(*os.File) bool { return false }
