package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vaultik/config"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// signedStore is the store of this host in a script, with its keys.
type signedStore struct {
	ts        *testscript.TestScript
	dir       string
	host      *config.Host
	manifests []string // files of the only set, by seq
}

func newSignedStore(ts *testscript.TestScript) *signedStore {
	conf := filepath.Join(ts.Getenv("HOME"), ".config", "vaultik")
	host, err := config.NewState(conf).LoadHost()
	ts.Check(err)
	c, err := config.Load(filepath.Join(conf, "config.yaml"))
	ts.Check(err)
	s := &signedStore{ts: ts, dir: config.FilePath(c.StorageURL), host: host}
	s.manifests, err = filepath.Glob(filepath.Join(s.dir, layout.ManifestPrefix(host.ID), "*", "*"))
	ts.Check(err)
	return s
}

func (s *signedStore) read(file string) ([]byte, snapshot.Sum) {
	b, err := os.ReadFile(file)
	s.ts.Check(err)
	return b, sha256.Sum256(b)
}

func (s *signedStore) manifest(seq int) (*snapshot.Manifest, snapshot.Sum) {
	b, sum := s.read(s.manifests[seq-1])
	m, err := snapshot.DecodeManifest(b, s.host.Signer.Public())
	s.ts.Check(err)
	return m, sum
}

// next is the first free number under which key names an object, and the sum of the one
// before it.
func (s *signedStore) next(key func(uint64) string) (seq uint64, prev snapshot.Sum) {
	for seq = 1; ; seq++ {
		file := filepath.Join(s.dir, key(seq))
		if _, err := os.Stat(file); err != nil {
			return seq, prev
		}
		_, prev = s.read(file)
	}
}

// prunes counts gc objects: times are of whole seconds, and no two objects are the same.
var prunes atomic.Int64

// pruned signs the next gc object of this host: pruned [TO]. With TO it deletes the
// manifests up to that seq, all of the only set, and says so.
func pruned(ts *testscript.TestScript, _ bool, args []string) {
	s := newSignedStore(ts)
	g := s.nextGC()
	if len(args) > 0 {
		to, err := strconv.Atoi(args[0])
		ts.Check(err)
		m, sum := s.manifest(to)
		g.Pruned = []snapshot.Pruned{{Set: m.Set, From: 1, To: m.Seq, Sum: sum}}
		for _, f := range s.manifests[:to] {
			ts.Check(os.Remove(f))
		}
	}
	s.putGC(g)
}

// gcSays signs the next gc object of this host, which says one thing of the only set:
//
//	gcsays dropped SEQ REASON    that the object there, whatever it is, is none of the chain
//	gcsays removed               that the whole set was removed; its manifests are deleted
//	gcsays deleted               in a condemned list, that a blob of the first snapshot is
//	                             deleted; its key is in $DELETED then
//
// What the one before it said of manifests stays.
func gcSays(ts *testscript.TestScript, _ bool, args []string) {
	s := newSignedStore(ts)
	g := s.nextGC()
	if g.Seq > 1 {
		b, _ := s.read(filepath.Join(s.dir, layout.GC(s.host.ID, g.Seq-1)))
		before, err := snapshot.DecodeGC(b, []keys.PublicKey{s.host.Signer.Public()})
		ts.Check(err)
		g.Pruned, g.Dropped, g.Removed = before.Pruned, before.Dropped, before.Removed
	}
	m, _ := s.manifest(1)
	switch args[0] {
	case "dropped":
		seq, err := strconv.Atoi(args[1])
		ts.Check(err)
		_, of := s.read(s.manifests[seq-1])
		g.Dropped = []snapshot.Dropped{{Set: m.Set, Seq: uint64(seq), Sum: of, Reason: args[2]}}
	case "removed":
		m, sum := s.manifest(len(s.manifests))
		g.Pruned = []snapshot.Pruned{{Set: m.Set, From: 1, To: m.Seq, Sum: sum}}
		g.Removed = []snapshot.Removed{{Set: m.Set, Seq: m.Seq, Sum: sum}}
		for _, f := range s.manifests {
			ts.Check(os.Remove(f))
		}
	case "deleted":
		ts.Setenv("DELETED", layout.Blob(s.host.ID, m.Blobs[0].Name))
		o, err := layout.Parse(ts.Getenv("DELETED"))
		ts.Check(err)
		b, err := snapshot.EncodeCondemned([]string{o.Name()})
		ts.Check(err)
		name := snapshot.Sum(sha256.Sum256(b))
		put(ts, s.dir, layout.CondemnedList(s.host.ID, name), b)
		g.Condemned = []snapshot.Condemned{{First: g.Seq - 1, Deleted: g.Seq,
			Lists: []snapshot.ListRef{{Name: name, Size: int64(len(b)), Count: 1}}}}
	}
	s.putGC(g)
}

func (s *signedStore) nextGC() *snapshot.GC {
	at := time.Now().Add(time.Duration(prunes.Add(1))*time.Second - time.Hour)
	g := &snapshot.GC{Store: s.host.Store, Host: s.host.ID, Time: at}
	g.Seq, g.Prev = s.next(func(seq uint64) string { return layout.GC(s.host.ID, seq) })
	return g
}

func (s *signedStore) putGC(g *snapshot.GC) {
	b, err := snapshot.EncodeGC(g, s.host.Signer)
	s.ts.Check(err)
	put(s.ts, s.dir, layout.GC(s.host.ID, g.Seq), b)
}

// nextTrust is the newest trust list with the number of the next one, and the owner of a kit.
func (s *signedStore) nextTrust(kitFile string) (snapshot.Trust, *keys.Signer) {
	kit, err := keys.ParseKit([]byte(s.ts.ReadFile(kitFile)))
	s.ts.Check(err)
	next, prev := s.next(layout.Trust)
	b, _ := s.read(filepath.Join(s.dir, layout.Trust(next-1)))
	t, err := snapshot.DecodeTrust(b, kit.Owner.Public())
	s.ts.Check(err)
	t.Seq, t.Prev = next, prev
	return t, kit.Owner
}

func (s *signedStore) putTrust(t snapshot.Trust, owner *keys.Signer) {
	b, err := snapshot.EncodeTrust(t, owner)
	s.ts.Check(err)
	put(s.ts, s.dir, layout.Trust(t.Seq), b)
}

// forkTrust has the owner sign two trust lists of one number, as on a store that cannot
// create only if absent: forktrust KIT.
func forkTrust(ts *testscript.TestScript, _ bool, args []string) {
	s := newSignedStore(ts)
	t, owner := s.nextTrust(args[0])
	for i := range 2 {
		t.Time = t.Time.Add(time.Duration(i+1) * time.Hour)
		b, err := snapshot.EncodeTrust(t, owner)
		ts.Check(err)
		put(ts, s.dir, layout.Weak(layout.Trust(t.Seq), sha256.Sum256(b)), b)
	}
}

// roles has the owner give this host other roles: roles KIT ROLE...
func roles(ts *testscript.TestScript, _ bool, args []string) {
	s := newSignedStore(ts)
	t, owner := s.nextTrust(args[0])
	t.Hosts[0].Roles = args[1:]
	s.putTrust(t, owner)
}

// revoke has the owner revoke the key of this host: revoke KIT [SEQ]. With SEQ the
// snapshots of the only set stand up to that one.
func revoke(ts *testscript.TestScript, _ bool, args []string) {
	s := newSignedStore(ts)
	t, owner := s.nextTrust(args[0])
	h := &t.Hosts[0]
	h.Revoked, h.Until = time.Now().AddDate(1, 0, 0), &snapshot.Until{}
	if len(args) > 1 {
		seq, err := strconv.Atoi(args[1])
		ts.Check(err)
		m, sum := s.manifest(seq)
		h.Until.Sets = []snapshot.UntilSet{{Set: m.Set, Seq: m.Seq, Sum: sum}}
	}
	s.putTrust(t, owner)
}
