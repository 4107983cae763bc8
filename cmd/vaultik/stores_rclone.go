//go:build !norclone

package main

import _ "vaultik/backends/rclone" // rclone://remote/path
