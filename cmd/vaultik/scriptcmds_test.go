package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"vaultik/config"
	"vaultik/internal/oddtree"
	"vaultik/internal/treecmp"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// mortal runs its arguments without the privileges of root.
func mortal() {
	runtime.LockOSThread() // the bounding set is a thread's, and passes on by exec
	for c := 0; os.Geteuid() == 0 && c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			fmt.Fprintf(os.Stderr, "mortal: drop capability %d: %v\n", c, err)
			os.Exit(99)
		}
	}
	path, err := exec.LookPath(os.Args[1])
	if err == nil {
		err = unix.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintf(os.Stderr, "mortal: run %s: %v\n", os.Args[1], err)
	os.Exit(99)
}

// flip changes a byte in the middle of files.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		file := ts.MkAbs(name)
		b, err := os.ReadFile(file)
		ts.Check(err)
		b[len(b)/2] ^= 1
		ts.Check(os.WriteFile(file, b, 0o600))
	}
}

// compareTrees is by a program that shares no code with the scanner or the restorer.
func compareTrees(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: treecmp A B")
	}
	r, err := treecmp.Compare(context.Background(), ts.MkAbs(args[0]), ts.MkAbs(args[1]), treecmp.Options{})
	ts.Check(err)
	for _, d := range r.Differences {
		ts.Logf("%v", d)
	}
	if (len(r.Differences) > 0) != neg {
		ts.Fatalf("%d differences in %d entries", len(r.Differences), r.Entries)
	}
	ts.Logf("%d entries compared", r.Entries)
}

func oddTree(ts *testscript.TestScript, _ bool, args []string) {
	leftOut, err := oddtree.Make(ts.MkAbs(args[0]), oddtree.Options{Seed: 1, Small: true})
	ts.Check(err)
	for _, what := range leftOut {
		ts.Logf("excluded: %s", what)
	}
}

// unsign writes the next trust list of a store as an older program would have, without the
// sums of recipients, signed by the owner whose recovery kit it gets: unsign STORE KIT.
func unsign(ts *testscript.TestScript, _ bool, args []string) {
	kit, err := keys.ParseKit([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	store := ts.MkAbs(args[0])
	lists, err := filepath.Glob(filepath.Join(store, "trust", "*"))
	ts.Check(err)
	b, err := os.ReadFile(slices.Max(lists))
	ts.Check(err)
	t, err := snapshot.DecodeTrust(b, kit.Owner.Public())
	ts.Check(err)
	t.Seq, t.Prev = t.Seq+1, sha256.Sum256(b)
	for i := range t.Hosts {
		t.Hosts[i].Recipients = nil
	}
	b, err = snapshot.EncodeTrust(t, kit.Owner)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(store, layout.Trust(t.Seq)), b, 0o600))
}

// condemn writes a gc object about a host, signed by itself, which condemns nothing:
// condemn STORE CONFIG-DIRECTORY SEQ.
func condemn(ts *testscript.TestScript, _ bool, args []string) {
	h, err := config.NewState(ts.MkAbs(args[1])).LoadHost()
	ts.Check(err)
	seq, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	g := &snapshot.GC{Store: h.Store, Host: h.ID, Seq: seq}
	before := filepath.Join(ts.MkAbs(args[0]), layout.GC(h.ID, seq-1))
	ts.Check(os.MkdirAll(filepath.Dir(before), 0o700))
	if b, err := os.ReadFile(before); err == nil {
		g.Prev = sha256.Sum256(b)
	} else if seq > 1 {
		g.Prev = snapshot.Sum{1} // of one that is lost
	}
	b, err := snapshot.EncodeGC(g, h.Signer)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), layout.GC(h.ID, g.Seq)), b, 0o600))
}

// makeNewer gives store.json a version that this program does not know, signed
// by the owner whose recovery kit it gets: newer STORE KIT.
func makeNewer(ts *testscript.TestScript, _ bool, args []string) {
	kit, err := keys.ParseKit([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	file := filepath.Join(ts.MkAbs(args[0]), layout.StoreJSON)
	b, err := os.ReadFile(file)
	ts.Check(err)
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = append(bytes.Replace(line, []byte(`"v":1`), []byte(`"v":2`), 1), '\n')
	sig, err := kit.Owner.Sign("store@vaultik", line)
	ts.Check(err)
	ts.Check(os.WriteFile(file, append(line, sig...), 0o600))
}
