//go:build !norclone && rclone_min

package main

import _ "vaultik/backends/rclone/few" // the small ones
