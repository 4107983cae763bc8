// Package few links those providers of rclone that need no large library: file
// protocols, S3, and the remotes that wrap others. It is what the build tag
// rclone_min chooses; package all is the default.
package few

import (
	_ "github.com/rclone/rclone/backend/alias" // each registers itself
	_ "github.com/rclone/rclone/backend/b2"
	_ "github.com/rclone/rclone/backend/chunker"
	_ "github.com/rclone/rclone/backend/combine"
	_ "github.com/rclone/rclone/backend/crypt"
	_ "github.com/rclone/rclone/backend/ftp"
	_ "github.com/rclone/rclone/backend/hasher"
	_ "github.com/rclone/rclone/backend/local"
	_ "github.com/rclone/rclone/backend/s3"
	_ "github.com/rclone/rclone/backend/sftp"
	_ "github.com/rclone/rclone/backend/swift"
	_ "github.com/rclone/rclone/backend/union"
	_ "github.com/rclone/rclone/backend/webdav"
)
