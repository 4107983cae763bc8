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
// opened, and writes FILE then. With -dead it has crashed, with -hangs it never answers.
func fuse(ts *testscript.TestScript, _ bool, args []string) {
	var mount atomic.Pointer[testfuse.Mount]
	how := ""
	if strings.HasPrefix(args[0], "-") {
		how, args = args[0], args[1:]
	}
	files := map[string]testfuse.File{
		"a":       testfuse.Bytes([]byte("good")),
		"eio":     {Size: 10, Read: func(int64, int) ([]byte, error) { return nil, unix.EIO }},
		"stale":   {Stat: func() error { return unix.ESTALE }},
		"unsized": testfuse.Unsized([]byte(strings.Repeat("content\n", 1000))),
		"z":       testfuse.Bytes([]byte("good")),
	}
	if len(args) > 1 {
		hangs := testfuse.Bytes([]byte("never read"))
		hangs.Open = func() error {
			mount.Load().Stall()
			return os.WriteFile(ts.MkAbs(args[1]), []byte("stalled"), 0o600)
		}
		files = map[string]testfuse.File{"a": files["a"], "hangs": hangs}
	}
	m, err := testfuse.Make(ts.MkAbs(args[0]), files)
	ts.Check(err)
	mount.Store(m)
	ts.Defer(m.Unmount)
	switch how {
	case "-dead":
		m.Die()
	case "-hangs":
		m.Stall()
	}
}

// fuselinks mounts files that are said to be names of one file, and are not: fuselinks DIR
func fuselinks(ts *testscript.TestScript, _ bool, args []string) {
	files := map[string]testfuse.File{}
	for name, text := range map[string]string{"a": "first", "b": "first", "c": "other"} {
		f := testfuse.Bytes([]byte(text))
		f.Inode = 77
		files[name] = f
	}
	m, err := testfuse.Make(ts.MkAbs(args[0]), files)
	ts.Check(err)
	ts.Defer(m.Unmount)
}
