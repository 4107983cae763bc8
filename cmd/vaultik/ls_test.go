package main

import (
	"testing"

	"vaultik/vault/page"
)

func TestModeText(t *testing.T) {
	for _, c := range []struct {
		typ  page.Type
		mode uint32
		want string
	}{
		{page.File, 0o644, "-rw-r--r--"}, {page.Dir, 0o755, "drwxr-xr-x"},
		{page.Symlink, 0o777, "lrwxrwxrwx"}, {page.File, 0, "----------"},
		{page.File, 0o4755, "-rwsr-xr-x"}, {page.File, 0o6644, "-rwSr-Sr--"},
		{page.Dir, 0o1777, "drwxrwxrwt"}, {page.Dir, 0o1770, "drwxrwx--T"},
		{page.FIFO, 0o600, "prw-------"}, {page.Char, 0o2660, "crw-rwS---"},
		{page.Block, 0o660, "brw-rw----"}, {page.Socket, 0o7777, "srwsrwsrwt"},
		{"of the future", 0o400, "?r--------"},
	} {
		if got := modeText(c.typ, c.mode); got != c.want {
			t.Errorf("%s %o: %s, want %s", c.typ, c.mode, got, c.want)
		}
	}
}
