package main

import (
	"testing"
)

func TestShownURL(t *testing.T) {
	for url, want := range map[string]string{
		"rclone://:sftp,host=h,pass=abc:/path":   "rclone://...",
		"rclone://remote,pass=abc:path":          "rclone://...",
		"rclone://remote/path":                   "rclone://remote/path",
		"s3://bucket/p?endpoint=https://e&x=1,2": "s3://bucket/p?endpoint=https://e&x=1,2",
		"/media/disk":                            "/media/disk",
		"file:///a,b":                            "file:///a,b",
	} {
		if got := shownURL(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}
