package main

import (
	"os"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"vaultik/internal/testfuse"
)

// fuse mounts a file system of bad files at a new directory until the script ends:
// fuse DIR [FILE]. With FILE it stops answering as soon as the file "hangs" is
// opened, and writes FILE then. fuse -stalled DIR answers nothing from the beginning, as a
// network file system whose server is gone.
func fuse(ts *testscript.TestScript, _ bool, args []string) {
	var mount atomic.Pointer[testfuse.Mount]
	files := map[string]testfuse.File{
		"a":       testfuse.Bytes([]byte("good")),
		"eio":     {Size: 10, Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"stale":   {Stat: func() error { return unix.ESTALE }},
		"unsized": testfuse.Unsized([]byte(strings.Repeat("content\n", 1000))),
		"z":       testfuse.Bytes([]byte("good")),
	}
	if len(args) > 1 && args[0] != "-stalled" {
		hangs := testfuse.Bytes([]byte("never read"))
		hangs.Open = func() error {
			mount.Load().Stall()
			return os.WriteFile(ts.MkAbs(args[1]), []byte("stalled"), 0o600)
		}
		files = map[string]testfuse.File{"a": files["a"], "hangs": hangs}
	}
	stalled := args[0] == "-stalled"
	if stalled {
		args, files = args[1:], map[string]testfuse.File{"a": files["a"]}
	}
	m, err := testfuse.Make(ts.MkAbs(args[0]), files)
	ts.Check(err)
	if stalled {
		m.Stall()
	}
	mount.Store(m)
	ts.Defer(m.Unmount)
}
