//go:build !rclone_min && !norclone

// Package all links every provider of rclone into the program that imports it: 70
// of them, 80 MB. See package few for less.
package all

import _ "github.com/rclone/rclone/backend/all" // all providers register themselves
