package main

// The kinds of store that this program knows. Which providers of rclone are linked
// in is decided by build tags: all, few (rclone_min), none (norclone).
import (
	_ "vaultik/backends/file"
	_ "vaultik/backends/s3"
)
