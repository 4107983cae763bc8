package main

// The kinds of store that this program knows; rclone's are in stores_*.go.
import (
	_ "vaultik/backends/file"
	_ "vaultik/backends/s3"
)
